// The harness against systems whose behaviour is known exactly: simulated ones, and a synthetic component in
// a child process behind DDS.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/robot/harness/black_box.h"
#include "ballast/robot/harness/search.h"
#include "ballast/robot/harness/synthetic_graph.h"

namespace ballast::robot {
namespace {

using namespace std::chrono_literals;

TEST(Schedule, DoesNotDriftOverAMillionPeriods) {
  const auto schedule = make_schedule({.rate_hz = 30}, 1'000'001, 1);
  EXPECT_EQ(schedule.intended_ns.back(), std::llround(1e6 / 30 * 1e9));
  for (std::size_t i = 1; i < schedule.intended_ns.size(); i += 997)
    EXPECT_NEAR(static_cast<double>(schedule.intended_ns[i] - schedule.intended_ns[i - 1]), 1e9 / 30, 1.0);
}

TEST(Schedule, PatternsKeepTheirMeanRate) {
  const std::uint64_t seed = 7;
  for (const auto kind : {Arrival::poisson, Arrival::burst}) {
    const auto schedule = make_schedule({.kind = kind, .rate_hz = 100}, 20001, seed);
    EXPECT_TRUE(std::is_sorted(schedule.intended_ns.begin(), schedule.intended_ns.end()));
    EXPECT_NEAR(static_cast<double>(schedule.intended_ns.back()) * 1e-9, 200, 6) << "seed " << seed;
  }
  const auto ramp = make_schedule({.kind = Arrival::ramp, .rate_hz = 10, .end_rate_hz = 1000}, 100, seed);
  EXPECT_NEAR(static_cast<double>(ramp.intended_ns[99] - ramp.intended_ns[98]), 1e6, 1e3);
  for (const double bad : {0.0, -1.0, double(NAN), double(INFINITY)})
    EXPECT_THROW(make_schedule({.rate_hz = bad}, 1, seed), InvalidInput);
}

TEST(Schedule, SweepingTurnsAround) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < 7; ++i) order.push_back(frame_index(Playback::sweeping, i, 3));
  EXPECT_EQ(order, (std::vector<std::size_t>{0, 1, 2, 2, 1, 0, 0}));
  EXPECT_EQ(frame_index(Playback::looping, 4, 3), 1u);
}

TEST(Clock, SimulatedRunsWithoutWaiting) {
  SimulatedClock clock;
  clock.sleep_until(5'000'000'000);
  EXPECT_EQ(clock.now_ns(), 5'000'000'000);
  clock.sleep_until(1);
  EXPECT_EQ(clock.now_ns(), 5'000'000'000);
}

// Any script of drops, duplicates and exchanges must leave sent = received + lost, and be told exactly.
TEST(Accounting, ConservesCountsUnderAnyScript) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Random random(seed);
    std::vector<Sent> sent;
    std::vector<Received> received;
    std::size_t dropped = 0, duplicated = 0, strangers = 0;
    const std::size_t count = 1 + random.below(60);
    for (std::size_t i = 0; i < count; ++i) {
      const auto time = static_cast<std::int64_t>(i) * 1'000'000;
      sent.push_back({time + 17, time, time + static_cast<std::int64_t>(random.below(1000))});
      if (random.below(5) == 0) {
        ++dropped;
        continue;
      }
      received.push_back(
          {sent.back().key, sent.back().actual_ns + 100 + static_cast<std::int64_t>(random.below(5000))});
      if (random.below(7) == 0) {
        ++duplicated;
        received.push_back(received.back());
      }
      if (random.below(9) == 0) {
        ++strangers;
        received.push_back({-5, time});
      }
    }
    random.shuffle(received);
    const auto result = analyse(sent, received);
    EXPECT_EQ(result.counts.sent, result.counts.received + result.counts.lost) << "seed " << seed;
    EXPECT_EQ(result.counts.lost, dropped) << "seed " << seed;
    EXPECT_EQ(result.counts.duplicates, duplicated) << "seed " << seed;
    EXPECT_EQ(result.counts.unmatched, strangers) << "seed " << seed;
    EXPECT_GE(result.counts.loss_percent(), 0);
    EXPECT_LE(result.counts.loss_percent(), 100);
    EXPECT_GE(result.service.min_ms, 0);  // 0 when nothing came
  }
}

TEST(Accounting, ByHand) {
  // Three messages, 10 ms apart; the second is sent 4 ms late; answers 2 ms after the actual send.
  const std::vector<Sent> sent{{1, 0, 0}, {2, 10'000'000, 14'000'000}, {3, 20'000'000, 20'000'000}};
  const std::vector<Received> received{{1, 2'000'000}, {2, 16'000'000}, {3, 22'000'000}};
  const auto result = analyse(sent, received, {.rate_hz = 100});
  EXPECT_DOUBLE_EQ(result.service.max_ms, 2);
  EXPECT_DOUBLE_EQ(result.corrected.max_ms, 6);
  EXPECT_DOUBLE_EQ(result.receive_rate_hz, 100);       // 2 intervals in 20 ms
  EXPECT_DOUBLE_EQ(result.compat_frame_rate_hz, 150);  // as the suite divides: 3 in 20 ms
  EXPECT_DOUBLE_EQ(result.compat_jitter_max_ms, 8);    // gaps 14 and 6 ms
  const auto late = analyse(sent, received, {.drain_end_ns = 20'000'000});
  EXPECT_EQ(late.counts.late, 1u);
  EXPECT_EQ(late.counts.lost, 1u);
  EXPECT_THROW(analyse(sent, {{1, 5}}, {.key = KeyMode::order}), InvalidInput);
  EXPECT_EQ(
      analyse(sent, {{9, 5}, {9, 15'000'000}, {9, 25'000'000}}, {.key = KeyMode::order}).counts.received, 3u);
}

TEST(Accounting, TheilSenIgnoresOutliers) {
  std::vector<double> xs, ys;
  for (int i = 0; i < 101; ++i) {
    xs.push_back(i);
    ys.push_back(i == 50 ? 1e9 : 3.0 * i);
  }
  EXPECT_NEAR(theil_sen(xs, ys), 3.0, 1e-9);
}

// One server of constant service time behind an unlimited queue, on a simulated clock.
Probe simulated_server(double rate_hz, double service_s, double seconds) {
  const auto count = static_cast<std::size_t>(rate_hz * seconds);
  const auto schedule = make_schedule({.rate_hz = rate_hz}, count, 1);
  std::vector<Sent> sent;
  std::vector<Received> received;
  double free_at = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto time = schedule.intended_ns[i];
    sent.push_back({time, time, time});
    free_at = std::max(free_at, static_cast<double>(time)) + service_s * 1e9;
    received.push_back({time, static_cast<std::int64_t>(free_at)});
  }
  return probe_of(analyse(sent, received, {.rate_hz = rate_hz}), rate_hz, seconds);
}

TEST(Search, FindsTheServiceRateOfASimulatedServer) {
  double last = 0;
  for (const double rate : {17.0, 61.0, 140.0, 333.0, 900.0}) {
    int probes = 0;
    const auto peak = find_peak(
        [&](double hz) {
          ++probes;
          return simulated_server(hz, 1 / rate, 5);
        },
        {.lower_hz = 10, .upper_hz = 2000});
    EXPECT_NEAR(peak.hz, rate, 0.02 * rate) << "service rate " << rate;
    EXPECT_TRUE(peak.confirmed);
    EXPECT_LE(probes, static_cast<int>(std::ceil(std::log2(2000 - 10)) + 8));
    EXPECT_GT(peak.hz, last);
    last = peak.hz;
  }
}

TEST(Search, SaysWhenABoundOrTheGeneratorLimits) {
  const auto above = find_peak([](double hz) { return simulated_server(hz, 1e-4, 2); }, {.upper_hz = 100});
  EXPECT_TRUE(above.at_bound);
  const auto below = find_peak([](double hz) { return simulated_server(hz, 1, 2); }, {.lower_hz = 10});
  EXPECT_EQ(below.hz, 0);
  const auto limited = find_peak([](double hz) {
    Probe probe = simulated_server(hz, 1e-4, 2);
    probe.generator_ok = hz < 50;
    return probe;
  });
  EXPECT_TRUE(limited.generator_limited);
  EXPECT_LT(limited.hz, 50);
  EXPECT_THROW(find_peak([](double) { return Probe{}; }, {.lower_hz = 5, .upper_hz = 5}), InvalidInput);
}

TEST(Search, CompatFollowsThePublishedSteps) {
  std::vector<double> asked;
  const auto peak = find_peak_compat([&](double hz) {
    asked.push_back(hz);
    return simulated_server(hz, 1 / 62.0, 5);
  });
  // Trial at 55, then bisection 55, 77.5, 66.25 (ok: it drops 4.25 Hz, but loses nothing), then steps of 5
  // Hz.
  ASSERT_GE(asked.size(), 4u);
  EXPECT_EQ(asked[0], 55);
  EXPECT_EQ(asked[1], 55);
  EXPECT_EQ(asked[2], 77.5);
  EXPECT_GE(peak.hz, 55);
  EXPECT_LE(peak.hz, 77.5);
}

TEST(Validity, EveryRuleIsNamed) {
  Analysis analysis;
  analysis.lateness_p99_ms = 5;
  analysis.rate_error = 0.02;
  analysis.service.count = 1;
  analysis.service.min_ms = -1;
  ResourceUse resources;
  resources.steal_percent = 3;
  EXPECT_EQ(broken_rules(analysis, {.rate_hz = 30}, resources, 2'000'000).size(), 5u);
  EXPECT_TRUE(broken_rules(Analysis{}, {.rate_hz = 30}, ResourceUse{}, 0).empty());
}

TEST(GraphFile, RoundTripAndRefusals) {
  const std::string text =
      "graph: a1\ninputs: [{topic: /image_raw, type: sensor_msgs/msg/Image, qos: sensor_data}]\n"
      "outputs: [{topic: /out, type: sensor_msgs/msg/Image, key: stamp}]\n"
      "nodes:\n  - {name: rectify, component: 'ballast::components::Rectify', remap: {image: /image_raw},"
      " params: {slot: tbb, n: 3, f: 2.5, flag: true, list: [1, 2]}}\nplacement: process-per-node\nexecutor: "
      "events\n";
  const auto graph = parse_graph(text, "a1.yaml");
  const auto again = parse_graph(to_yaml(graph), "again.yaml");
  EXPECT_EQ(to_yaml(graph), to_yaml(again));
  EXPECT_EQ(again.nodes.at(0).params["n"], 3);
  EXPECT_EQ(again.nodes[0].params["f"], 2.5);
  EXPECT_EQ(again.nodes[0].params["flag"], true);
  EXPECT_EQ(again.nodes[0].remap.at("image"), "/image_raw");
  EXPECT_EQ(again.inputs[0].qos.reliability, ros::Reliability::best_effort);
  EXPECT_TRUE(again.process_per_node);
  for (const char* bad :
       {"outputs: []\n", "graph: x\nnonsense: 1\n", "outputs: [{topic: out, type: a/msg/B}]\n", "[1, 2]\n",
        "outputs: [{topic: /out, type: a/msg/B, key: none}]\n", "outputs: [{topic: /out}]\n", "a: [\n",
        "outputs: [{topic: /o, type: a/msg/B}]\nplacement: somewhere\n"})
    EXPECT_THROW(parse_graph(bad, "bad.yaml"), InvalidInput) << bad;
}

TEST(Resources, CountsThisProcess) {
  const auto before = snapshot_resources({::getpid()});
  volatile double sum = 0;
  const auto start = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - start < 100ms) sum = sum + 1;
  const auto use = difference(before, snapshot_resources({::getpid()}));
  EXPECT_GT(use.sut_cpu_percent, 0);
  EXPECT_GT(use.sut_resident_peak_kib, 1000u);
}

/// A synthetic system in a child process, and the black box around it.
class KnownSystem : public ::testing::Test {
 protected:
  void start(const Json& params) {
    const auto graph = synthetic_graph(params);
    sut_.emplace(Sut::graph(graph, domain_.id(), folder_.path()));
    box_.emplace(context_, synthetic_streams(64), graph.outputs);
    box_->wait_ready(*sut_, 20s);
  }
  robot::Run run(double rate_hz, std::size_t count) {
    return box_->run({.arrival = {.rate_hz = rate_hz}, .count = count}, *sut_);
  }

  ros::PrivateDomain domain_;
  TemporaryFolder folder_;
  ros::Context context_{{.domain_id = domain_.id()}};
  std::optional<Sut> sut_;
  std::optional<BlackBox> box_;
};

TEST_F(KnownSystem, DropsDuplicatesAndExchangesAreToldExactly) {
  start({{"drop", {3, 10, 11, 40}}, {"duplicate", {5, 6}}, {"exchange", {20, 30}}});
  const auto result = run(200, 60).analysis();
  EXPECT_EQ(result.counts.sent, 60u);
  EXPECT_EQ(result.counts.lost, 4u);
  EXPECT_EQ(result.counts.duplicates, 2u);
  EXPECT_EQ(result.counts.reordered, 2u);
  EXPECT_EQ(result.counts.unmatched, 0u);
  std::set<std::size_t> lost;
  for (std::size_t i = 0; i < result.corrected_ns.size(); ++i)
    if (result.corrected_ns[i] < 0) lost.insert(i);
  EXPECT_EQ(lost, (std::set<std::size_t>{3, 10, 11, 40}));
}

TEST_F(KnownSystem, LatencyIsNeverBelowTheServiceTime) {
  start({{"service_us", 3000}});
  const auto result = run(50, 30).analysis();
  EXPECT_EQ(result.counts.lost, 0u);
  EXPECT_GE(result.service.min_ms, 3.0);
  EXPECT_GE(result.corrected.min_ms, result.service.min_ms);
}

TEST_F(KnownSystem, AStallIsSeenByAllMessagesBehindIt) {
  start({{"stall_every", 20}, {"stall_ms", 200}});
  const auto result = run(100, 39).analysis();  // one stall, at message 19
  EXPECT_EQ(result.counts.lost, 0u);
  int waited = 0;
  for (const auto latency : result.corrected_ns) waited += latency > 50'000'000;
  EXPECT_GE(waited, 10);  // 200 ms at 100 Hz: about 15 messages wait for over 50 ms, not one
  EXPECT_GE(result.corrected.max_ms, 200);
}

TEST_F(KnownSystem, DeathIsNamed) {
  start({{"exit_after", 10}});
  const auto result = run(200, 200);
  ASSERT_FALSE(result.valid());
  bool named = false;
  for (const auto& reason : result.invalid) named = named || reason.find("exit code 42") != std::string::npos;
  EXPECT_TRUE(named);
}

TEST(BlackBox, NamesWhatIsMissing) {
  const ros::PrivateDomain domain;
  ros::Context context({.domain_id = domain.id()});
  const auto graph = synthetic_graph(Json::object());
  auto sut = Sut::external();
  BlackBox box(context, synthetic_streams(4), graph.outputs);
  try {
    box.wait_ready(sut, 300ms);
    FAIL() << "nobody is there";
  } catch (const Unavailable& error) {
    EXPECT_NE(std::string(error.what()).find("topic /in has no subscriber"), std::string::npos)
        << error.what();
    EXPECT_NE(std::string(error.what()).find("topic /out has no publisher"), std::string::npos)
        << error.what();
  }
}

TEST(BlackBox, NamesASystemThatDoesNotStart) {
  const ros::PrivateDomain domain;
  const TemporaryFolder folder;
  ros::Context context({.domain_id = domain.id()});
  auto graph = synthetic_graph({{"sevice_us", 1}});
  Sut sut = Sut::graph(graph, domain.id(), folder.path());
  BlackBox box(context, synthetic_streams(4), graph.outputs);
  try {
    box.wait_ready(sut, 20s);
    FAIL() << "the parameter is misspelt";
  } catch (const Unavailable& error) {
    EXPECT_NE(std::string(error.what()).find("service_us"), std::string::npos) << error.what();
  }
  EXPECT_THROW(Sut::command({"/no/such/program"}, domain.id()), Unavailable);
}

TEST(BlackBox, RefusesStreamsThatCannotBeMeasured) {
  const ros::PrivateDomain domain;
  ros::Context context({.domain_id = domain.id()});
  const auto outputs = synthetic_graph(Json::object()).outputs;
  EXPECT_THROW(BlackBox(context, {}, outputs), InvalidInput);
  Stream text{.topic = {.topic = "/text", .type = "std_msgs/msg/String"}, .messages = {ros::Bytes(16)}};
  EXPECT_THROW(BlackBox(context, {text}, outputs), InvalidInput);  // no header to carry the key
  auto two = synthetic_streams(4);
  two.push_back(two[0]);
  two[1].messages.push_back(two[1].messages[0]);
  EXPECT_THROW(BlackBox(context, two, outputs), InvalidInput);
}

}  // namespace
}  // namespace ballast::robot
