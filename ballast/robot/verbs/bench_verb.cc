// `ballast robot bench`: the figures of docs/robot.md, measured anew, each against its target.
#include "ballast/base/bench.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/base/statistics.h"
#include "ballast/robot/benchmarks/session.h"
#include "ballast/robot/components/reference_system.h"
#include "ballast/robot/harness/closed_loop.h"
#include "ballast/robot/harness/ping_pong.h"
#include "ballast/robot/harness/synthetic_graph.h"
#include "ballast/robot/peers/fast_dds.h"
#include "ballast/robot/verbs/bench_inside.h"
#include "ballast/robot/verbs/show.h"
#include "ballast/robot/verbs/verbs.h"

namespace ballast::robot {
namespace {

struct BenchOptions {
  bool quick = false;
  std::vector<std::string> suites;
};

constexpr const char* kSuites[] = {"floor",   "large",     "rate",   "known",  "grey",    "slots",
                                   "kernels", "executors", "repeat", "set-ab", "set-rest"};

class RobotBench {
 public:
  RobotBench(Bench& bench, const BenchOptions& options, const cli::Common& common)
      : bench_(bench), quick_(options.quick), common_(common) {
    context_.domain_id = domain_.id();
  }

  /// F1: what the harness itself adds to a bare ping of the same size at the same rate.
  void floor() {
    const std::size_t rounds = quick_ ? 200 : 2000;
    const double rate = 100;
    const auto ping = ping_inter({.context = context_, .bytes = 1024, .rounds = rounds, .rate_hz = rate});
    const auto harness = echo_through_harness(1024, rate, rounds);
    const double added_us = (harness.median_ms - ping.round_trip.median_ms) * 1e3;
    bench_.add({.id = "F1.harness",
                .what = "playback to monitor over a raw echo, less a bare ping, 1 kB at 100 Hz, p50",
                .unit = "us",
                .ours = added_us,
                .better = Better::lower,
                .target = 15,
                .note = fmt::format("ping {:.1f} us, harness {:.1f} us", ping.round_trip.median_ms * 1e3,
                                    harness.median_ms * 1e3)});
    for (const char* executor : {"single", "static", "events"}) {
      const auto intra = ping_intra(
          {.context = context_, .bytes = 1024, .rounds = quick_ ? 2000u : 100000u, .executor = executor});
      bench_.add({.id = fmt::format("n1.{}", executor),
                  .what = fmt::format("round trip within one process, {} executor, 1 kB, p50", executor),
                  .unit = "us",
                  .ours = intra.round_trip.median_ms * 1e3,
                  .better = Better::lower,
                  .target = 10});
    }
    const std::vector<std::size_t> sizes = quick_
                                               ? std::vector<std::size_t>{64, 65536, 1 << 20}
                                               : std::vector<std::size_t>{64, 1024, 65536, 1 << 20, 8 << 20};
    for (const std::size_t bytes : sizes) {
      const auto inter = ping_inter({.context = context_, .bytes = bytes, .rounds = quick_ ? 100u : 1000u});
      bench_.add({.id = fmt::format("n2.{}", bytes),
                  .what = fmt::format("round trip between processes, Cyclone DDS, {} B, p50", bytes),
                  .unit = "us",
                  .ours = inter.round_trip.median_ms * 1e3,
                  .peer = bytes == 1024 ? ddsperf() : std::nullopt,
                  .better = Better::lower,
                  .note = fmt::format("p99 {:.1f} us, lost {}", inter.round_trip.p99_ms * 1e3, inter.lost)});
    }
    Peer fast{"Fast DDS, both ends", std::nullopt, "2.9.1", "raw bytes, UDP on loopback, asynchronous"};
    const std::size_t rounds_both = quick_ ? 200 : 2000;
    const auto cyclone = ping_inter({.context = context_, .bytes = 1024, .rounds = rounds_both});
    if (has_fast_dds()) fast.value = fast_ping(context_.domain_id, 1024, rounds_both).median_ms * 1e3;
    bench_.add({.id = "n2.vendors",
                .what = "round trip between processes, 1 kB, p50, by vendor",
                .unit = "us",
                .ours = cyclone.round_trip.median_ms * 1e3,
                .peer = fast,
                .better = Better::lower});
  }

  /// F2: 6.2 MB images at 30 Hz, our DDS settings against Cyclone's defaults.
  void large() {
    const std::size_t bytes = 1920 * 1080 * 3, count = quick_ ? 90 : 300;
    const auto tuned = flood(context_, bytes, 30, count);
    auto plain = context_;
    plain.tuning.large_messages = false;
    const auto untuned = flood(plain, bytes, 30, count);
    bench_.add({.id = "F2.rate",
                .what = "6.2 MB images at 30 Hz between processes, received",
                .unit = "Hz",
                .ours = tuned.analysis.receive_rate_hz,
                .peer = Peer{"Cyclone's own settings", untuned.analysis.receive_rate_hz, "0.10.2"},
                .better = Better::higher,
                .note = fmt::format("lost {} against {}; p99 {:.1f} against {:.1f} ms",
                                    tuned.analysis.counts.lost, untuned.analysis.counts.lost,
                                    tuned.analysis.corrected.p99_ms, untuned.analysis.corrected.p99_ms)});
    bench_.add({.id = "F2.loss",
                .what = "of these, lost with our settings",
                .unit = "messages",
                .ours = static_cast<double>(tuned.analysis.counts.lost),
                .better = Better::lower,
                .target = 0,
                .basis = Basis::counted});
    bench_.add({.id = "F2.p99",
                .what = "and their latency, p99",
                .unit = "ms",
                .ours = tuned.analysis.corrected.p99_ms,
                .better = Better::lower,
                .target = 20});
  }

  /// F3: does the generator keep what it promises?
  void rate() {
    double worst = 0, late = 0;
    for (const double hz : {10.0, 100.0, 1000.0}) {
      const auto count = static_cast<std::size_t>(std::max(20.0, hz * (quick_ ? 1 : 5)));
      const auto schedule = make_schedule({.rate_hz = hz}, count, common_.seed);
      MonotonicClock clock;
      std::vector<Sent> sent;
      const auto start = clock.now_ns() + 10'000'000;
      for (const auto offset : schedule.intended_ns) {
        clock.sleep_until(start + offset);
        sent.push_back({offset, start + offset, clock.now_ns()});
      }
      const auto analysis = analyse(sent, {}, {.rate_hz = hz});
      worst = std::max(worst, std::abs(analysis.rate_error) * 100);
      late = std::max(late, analysis.lateness_p99_ms);
    }
    bench_.add({.id = "F3.rate",
                .what = "largest error of the mean rate, 10 to 1000 Hz",
                .unit = "%",
                .ours = worst,
                .better = Better::lower,
                .target = 0.1});
    bench_.add({.id = "F3.lateness",
                .what = "lateness of sends, p99, worst of these rates",
                .unit = "ms",
                .ours = late,
                .better = Better::lower,
                .target = 0.5});
  }

  /// F4: systems of exactly known behaviour.
  void known() {
    const auto wrong = drops_told_wrong();
    bench_.add({.id = "F4.drops",
                .what = "drops, duplicates and exchanges told wrong, of 9 made",
                .unit = "messages",
                .ours = wrong,
                .better = Better::lower,
                .target = 0,
                .basis = Basis::counted});
    const double service_ms = 5;
    const double peak = peak_of_known(service_ms);
    bench_.add({.id = "F4.peak",
                .what = "peak found for a system of 5 ms service time, distance from 200 Hz",
                .unit = "%",
                .ours = std::abs(peak - 1e3 / service_ms) / (1e3 / service_ms) * 100,
                .better = Better::lower,
                .target = 2,
                .note = fmt::format("found {:.1f} Hz (synthetic)", peak)});
    const auto stall = compare_closed_loop({.context = context_, .seconds = quick_ ? 6.0 : 20.0});
    bench_.add({.id = "F4.stall",
                .what = "p99 of a system that stalls 200 ms every 5 s, corrected",
                .unit = "ms",
                .ours = stall.corrected.p99_ms,
                .peer = Peer{"naive, one in flight", stall.naive.p99_ms},
                .ratio = stall.corrected.p99_ms / std::max(stall.naive.p99_ms, 1e-9),
                .better = Better::higher,
                .target = 10,
                .note = "how many times more of the stall is seen (synthetic)"});
    Chart chart{.kind = Chart::Kind::line,
                .title = "A stalling system asked in two ways",
                .x_label = "latency ms",
                .y_label = "% of messages at or below",
                .x_log = true};
    chart.series = {distribution("naive, one in flight", stall.naive_ns),
                    distribution("corrected", stall.corrected_ns)};
    bench_.section().chart(std::move(chart));
  }

  /// F6: implementations of the same benchmark, by their peaks; the output of each is checked first.
  void slots() {
    std::map<std::string, double> peaks;
    SessionOptions options{.rates_hz = {30},
                           .peak = true,
                           .lower_hz = 30,
                           .iterations = 1,
                           .seconds = quick_ ? 0.8 : 2.0,
                           .seed = common_.seed,
                           .context = context_};
    std::vector<SessionResult> results;
    std::vector<std::string> others{"fused"};
    if (!quick_) others.push_back("tbb");
    std::vector<std::string> slots{"reference"};
    slots.insert(slots.end(), others.begin(), others.end());
    for (const auto& slot : slots) {
      options.slot = slot;
      results.push_back(run_session(find_benchmark("a1"), options));
      peaks[slot] = results.back().peak ? results.back().peak->hz : 0;
    }
    for (const auto& slot : others)
      bench_.add({.id = fmt::format("F6.a1.{}", slot),
                  .what = fmt::format("a1 peak, {} against reference", slot),
                  .unit = "Hz",
                  .ours = peaks[slot],
                  .peer = Peer{"reference (OpenCV, two nodes)", peaks["reference"], "4.6.0"},
                  .better = Better::higher,
                  .target = slot == "fused" ? std::optional(1.8) : std::nullopt});
    bench_.section().table(result_table(results));
  }

  /// F7: x1 under the executors, at 80 % of one core.
  void executors() {
    const auto trial =
        run_reference_system({.executor = "single", .work_ms = 0, .seconds = 2, .context = context_});
    std::uint64_t callbacks = 0;
    for (const auto& [unused, count] : trial.executions) callbacks += count;
    const double work_ms = 0.8 * 1e3 / std::max(1.0, static_cast<double>(callbacks) / 2);
    Table table(fmt::format("x1: hot path under 80 % load, {:.2f} ms a callback (measured)", work_ms),
                {"executor", "mean ms", "p99 ms", "worst ms", "dropped", "planner period std ms"});
    std::map<std::string, LatencySummary> hot;
    const std::vector<std::string> kinds =
        quick_ ? std::vector<std::string>{"single", "prioritized", "events"}
               : std::vector<std::string>{"single", "static", "multi(2)", "prioritized", "events"};
    for (const auto& kind : kinds) {
      const auto run = run_reference_system(
          {.executor = kind, .work_ms = work_ms, .seconds = quick_ ? 4.0 : 10.0, .context = context_});
      std::uint64_t dropped = 0;
      for (const auto& [unused, count] : run.dropped) dropped += count;
      hot[kind] = run.hot_path;
      table.row({kind, fmt::format("{:.2f}", run.hot_path.mean_ms),
                 fmt::format("{:.2f}", run.hot_path.p99_ms), fmt::format("{:.2f}", run.hot_path.max_ms),
                 std::to_string(dropped), fmt::format("{:.2f}", std::sqrt(variance(run.planner_period_ms)))});
    }
    bench_.section().table(table);
    bench_.add({.id = "F7.x1",
                .what = "worst hot-path latency, prioritized executor against single-threaded",
                .unit = "ms",
                .ours = hot["prioritized"].max_ms,
                .peer = Peer{"single-threaded executor", hot["single"].max_ms},
                .better = Better::lower,
                .target = 1 / 0.7});
  }

  /// F8: the same thing twice: does its interval hold its own repeat?
  void repeat() {
    SessionOptions options{.iterations = quick_ ? 3 : 5,
                           .seconds = quick_ ? 1.0 : 2.0,
                           .seed = common_.seed,
                           .context = context_};
    const std::vector<std::pair<std::string, double>> cases =
        quick_ ? std::vector<std::pair<std::string, double>>{{"a2", 30}, {"d6", 100}}
               : std::vector<std::pair<std::string, double>>{{"a2", 30},  {"a5", 30},  {"c3", 100},
                                                             {"d2", 100}, {"d6", 100}, {"m1", 100}};
    int held = 0, all = 0;
    std::string medians;
    for (const auto& [id, rate] : cases) {
      options.rates_hz = {rate};
      const auto first = run_session(find_benchmark(id), options),
                 second = run_session(find_benchmark(id), options);
      if (first.rates.empty() || second.rates.empty()) continue;
      const auto judge = [&](const Concluded& a, const Concluded& b) {
        ++all;
        held += b.low <= a.high && a.low <= b.high;
      };
      const auto &a = first.rates.at(0), &b = second.rates.at(0);
      judge(a.median_ms, b.median_ms);
      judge(a.mean_ms, b.mean_ms);
      judge(a.p99_ms, b.p99_ms);
      judge(a.loss_percent, b.loss_percent);
      judge(a.throughput_hz, b.throughput_hz);
      medians += fmt::format("{}{} {:.3f} and {:.3f} ms", medians.empty() ? "" : "; ", id, a.median_ms.value,
                             b.median_ms.value);
    }
    bench_.add(
        {.id = "F8.aa",
         .what = fmt::format("{} benchmarks measured twice: metrics whose 95 % intervals meet", cases.size()),
         .unit = "%",
         .ours = all == 0 ? 0 : 100.0 * held / all,
         .better = Better::higher,
         .target = 90,
         .note = medians});
  }

  InsideOptions inside() const { return {.quick = quick_, .seed = common_.seed, .context = context_}; }

 private:
  LatencySummary echo_through_harness(std::size_t bytes, double rate, std::size_t count) {
    auto graph = synthetic_graph(Json::object());
    graph.nodes[0].component = "ballast::components::RawEcho";
    const TemporaryFolder folder;
    ros::Context context(context_);
    Sut sut = Sut::graph(graph, context_.domain_id, folder.path());
    BlackBox box(context, synthetic_streams(bytes), graph.outputs);
    box.wait_ready(sut, std::chrono::seconds(20));
    return box.run({.arrival = {.rate_hz = rate}, .count = count}, sut).analysis().service;
  }

  double drops_told_wrong() {
    const auto graph =
        synthetic_graph({{"drop", {3, 10, 11, 40}}, {"duplicate", {5, 6}}, {"exchange", {20, 30, 35}}});
    const TemporaryFolder folder;
    ros::Context context(context_);
    Sut sut = Sut::graph(graph, context_.domain_id, folder.path());
    BlackBox box(context, synthetic_streams(64), graph.outputs);
    box.wait_ready(sut, std::chrono::seconds(20));
    const auto counts = box.run({.arrival = {.rate_hz = 200}, .count = 60}, sut).analysis().counts;
    const auto off = [](std::size_t told, std::size_t made) {
      return std::abs(static_cast<double>(told) - static_cast<double>(made));
    };
    return off(counts.lost, 4) + off(counts.duplicates, 2) + off(counts.reordered, 3) +
           static_cast<double>(counts.unmatched);
  }

  double peak_of_known(double service_ms) {
    const auto graph = synthetic_graph({{"service_us", service_ms * 1e3}});
    const TemporaryFolder folder;
    ros::Context context(context_);
    Sut sut = Sut::graph(graph, context_.domain_id, folder.path());
    BlackBox box(context, synthetic_streams(64), graph.outputs);
    box.wait_ready(sut, std::chrono::seconds(20));
    const double seconds = quick_ ? 1 : 4;
    return find_peak(
               [&](double hz) {
                 const auto run = box.run(
                     {.arrival = {.rate_hz = hz}, .count = static_cast<std::size_t>(hz * seconds)}, sut);
                 return probe_of(run.analysis(), hz, run.duration_s);
               },
               {.lower_hz = 100, .upper_hz = 800})
        .hz;
  }

  /// Cyclone's own tool: round trip of 1 kB back to back (it prints half of it).
  static std::optional<Peer> ddsperf() {
    if (!std::filesystem::exists("/usr/bin/ddsperf")) return Peer{"ddsperf", std::nullopt};
    const std::string config =
        "<General><Interfaces><NetworkInterface name=\"lo\" "
        "multicast=\"false\"/></Interfaces><AllowMulticast>false"
        "</AllowMulticast></General><Discovery><Peers><Peer Address=\"localhost\"/></Peers></Discovery>";
    ::setenv("BALLAST_DDSPERF_URI", config.c_str(), 1);
    std::FILE* pipe = ::popen(
        "export CYCLONEDDS_URI=\"$BALLAST_DDSPERF_URI\"; ddsperf -D 6 pong >/dev/null 2>&1 & ddsperf -D 4 "
        "ping size 1k 2>/dev/null; wait",
        "r");
    std::string output;
    std::array<char, 4096> chunk;
    while (const std::size_t got = std::fread(chunk.data(), 1, chunk.size(), pipe))
      output.append(chunk.data(), got);
    ::pclose(pipe);
    // "... rtt mean 25.3us min 12.9us 50% 24.1us 90% ...": the last line counts.
    const auto line = output.rfind("50%");
    if (line == std::string::npos)
      return Peer{"ddsperf ping size 1k", std::nullopt, "0.10.2", "its output was not understood"};
    return Peer{"ddsperf ping size 1k", std::strtod(output.c_str() + line + 3, nullptr) * 2, "0.10.2",
                "twice its one-way figure, no wake-up from idle"};
  }

  Bench& bench_;
  bool quick_;
  const cli::Common& common_;
  ros::PrivateDomain domain_;
  ros::ContextOptions context_;
};

}  // namespace

void add_bench(cli::Program& program) {
  auto options = std::make_shared<BenchOptions>();
  auto verb = program.verb(
      "bench", "the figures of the chapter, against their targets",
      {"ballast robot bench --quick", "ballast robot bench --suite known,executors --json out.json"});
  verb->add_flag("--quick", options->quick, "ends within three minutes on two cores");
  verb->add_option(
          "--suite", options->suites,
          "floor, large, rate, known, grey, slots, kernels, executors, repeat, set-ab, set-rest (default: "
          "all; with --quick all but the sets)")
      ->delimiter(',');
  verb.run([options](const cli::Common& common) {
    cli::catch_interrupts();
    std::vector<std::string> all(std::begin(kSuites), std::end(kSuites));
    for (const auto& suite : options->suites) cli::require_one_of("suite", suite, all);
    auto wanted = options->suites.empty() ? all : options->suites;
    if (options->quick && options->suites.empty())
      std::erase_if(wanted, [](const std::string& suite) { return suite.starts_with("set-"); });
    Bench bench("robot", options->quick ? "quick" : "full", common);
    RobotBench robot(bench, *options, common);
    for (const auto& suite : wanted) {
      cli::stop_if_interrupted();
      if (common.for_people()) show_progress("bench: " + suite);
      if (suite == "floor") robot.floor();
      if (suite == "large") robot.large();
      if (suite == "rate") robot.rate();
      if (suite == "known") robot.known();
      if (suite == "grey") bench_grey(bench, robot.inside());
      if (suite == "slots") robot.slots();
      if (suite == "kernels") bench_kernels(bench, robot.inside());
      if (suite == "executors") robot.executors();
      if (suite == "repeat") robot.repeat();
      if (suite == "set-ab") bench_set(bench, robot.inside(), true);
      if (suite == "set-rest") bench_set(bench, robot.inside(), false);
    }
    if (common.for_people()) show_progress("");
    bench.finish();
  });
}

}  // namespace ballast::robot
