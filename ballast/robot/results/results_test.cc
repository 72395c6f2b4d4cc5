// Import and audit of the published files, comparison statistics, energy counters.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/robot/harness/clock_offset.h"
#include "ballast/robot/harness/energy.h"
#include "ballast/robot/harness/synthetic_graph.h"
#include "ballast/robot/results/compare.h"
#include "ballast/robot/results/exchange.h"
#include "ballast/robot/results/fingerprint.h"
#include "ballast/robot/results/published.h"

namespace ballast::robot {
namespace {

TEST(Published, NotesAreUnderstood) {
  const auto a =
      parse_note("mean 14.73 ms, RMS 14.84 ms, max 20.40 ms, min 6.03 ms, throughput bounded to 30fps");
  EXPECT_EQ(a.mean, 14.73);
  EXPECT_EQ(a.rms, 14.84);
  EXPECT_EQ(a.max, 20.40);
  EXPECT_EQ(a.min, 6.03);
  EXPECT_EQ(a.bounded_hz, 30);
  const auto b = parse_note(
      "mean_benchmark 1.8055, rms_benchmark 2.0244, max_benchmark 3.0874, min_benchmark 1.0066, lost "
      "messages 0.50 %");
  EXPECT_EQ(b.mean, 1.8055);
  EXPECT_EQ(b.max, 3.0874);
  EXPECT_EQ(b.loss_percent, 0.5);
  const auto c = parse_note(
      "median 0.0283 ms, mean 0.01, ms, 0.00 % lost messages, throughput swept from 30 to 300 fps, update "
      "rate 100 Hz");
  EXPECT_EQ(c.median, 0.0283);
  EXPECT_EQ(c.mean, 0.01);
  EXPECT_EQ(c.loss_percent, 0);
  EXPECT_EQ(c.swept_to_hz, 300);
  EXPECT_EQ(c.bounded_hz, 100);
  EXPECT_FALSE(parse_note("").mean);
}

TEST(Published, DatesInThreeSpellings) {
  EXPECT_EQ(iso_date("07-07-2023"), "2023-07-07");
  EXPECT_EQ(iso_date("2023-07-01 13:33:05"), "2023-07-01");
  EXPECT_EQ(iso_date("1-9-2024"), "2024-09-01");
  EXPECT_EQ(iso_date("yesterday"), "yesterday");
}

PublishedSet one(const std::string& metric, const std::string& unit, const std::string& value,
                 const std::string& note) {
  return parse_published(
      "id: a1\nname: x\nresults:\n- result:\n    hardware: H\n    category: edge\n    metric: " + metric +
          "\n    metric_unit: " + unit + "\n    note: '" + note +
          "'\n    timestampt: 07-07-2023\n    type: black\n    value: " + value + "\n",
      "a1.yaml");
}

TEST(Audit, EveryBreachIsFoundAndNoneInvented) {
  const auto rules = [](const PublishedSet& set) {
    std::set<std::string> names;
    for (const auto& finding : audit({set})) names.insert(finding.rule);
    return names;
  };
  using Set = std::set<std::string>;
  EXPECT_EQ(rules(one("latency", "ms", "20.4", "mean 14.7 ms, RMS 14.8 ms, max 20.40 ms, min 6 ms")), Set{});
  EXPECT_EQ(rules(one("latency", "ms", "14.7", "mean 14.7 ms, max 20.40 ms")), Set{"value-is-not-max"});
  EXPECT_EQ(rules(one("latency", "ms", "20.4", "mean 14.7 ms, max 20.40 ms, min -3 ms")),
            Set{"negative-latency"});
  EXPECT_EQ(rules(one("latency", "ms", "20.4", "mean 24.7 ms, max 20.40 ms")), Set{"order"});
  EXPECT_EQ(rules(one("power", "W", "0.0", "")), Set{"zero-power"});
  EXPECT_EQ(rules(one("throughput", "fps", "30.2", "throughput bounded to 30fps")), Set{});
  EXPECT_EQ(rules(one("throughput", "fps", "33", "throughput bounded to 30fps")),
            Set{"throughput-above-offered"});
  EXPECT_EQ(rules(one("latency", "fps", "3", "")), Set{"unit-mismatch"});
  EXPECT_EQ(rules(one("latency", "ms", "3", "lost messages 120.00 %")), Set{"loss-out-of-range"});
  EXPECT_EQ(rules(one("latency", "ms", "much", "")), Set{"no-value"});
  EXPECT_THROW(parse_published("a: 1\n", "x"), InvalidInput);
  EXPECT_THROW(parse_published("id: a1\nresults: [3]\n", "x"), InvalidInput);
}

TEST(Audit, OurDocuments) {
  Json run{{"counts", {{"sent", 10}, {"received", 9}, {"lost", 1}, {"loss_percent", 10}}},
           {"latency_corrected", {{"count", 9}, {"min_ms", 1}, {"mean_ms", 2}, {"max_ms", 3}}},
           {"latency_service", {{"count", 9}, {"min_ms", 1}, {"mean_ms", 2}, {"max_ms", 3}}},
           {"send_rate_hz", 30},
           {"receive_rate_hz", 30}};
  Json document{{"results", {{{"id", "a1"}, {"implementation", "r"}, {"rates", {{{"runs", {run}}}}}}}}};
  EXPECT_TRUE(audit_document(document, "f").empty());
  document["results"][0]["rates"][0]["runs"][0]["counts"]["lost"] = 2;
  document["results"][0]["rates"][0]["runs"][0]["latency_service"]["min_ms"] = -1;
  EXPECT_EQ(audit_document(document, "f").size(), 2u);
}

TEST(Published, ThePublicFilesImportAndBreakTheirOwnRules) {
  const char* given = std::getenv("BALLAST_SHARED_DATA");
  const std::string folder =
      (given ? std::string(given) : BALLAST_SOURCE_DIR "/../shared/data") + "/robotperf";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " is not here";
  const auto sets = read_published(folder);
  EXPECT_EQ(sets.size(), 36u);
  std::size_t results = 0;
  for (const auto& set : sets) results += set.results.size();
  EXPECT_EQ(results, 1129u);
  std::map<std::string, int> counts;
  for (const auto& finding : audit(sets)) ++counts[finding.rule];
  EXPECT_GE(counts["zero-power"], 20);  // `grep -c "value: 0.0"` shows 26 zero values in all metrics
  EXPECT_GT(counts["value-is-not-max"], 0);
  for (const auto& set : sets)
    EXPECT_EQ(parse_published(to_yaml(set), "again").results.size(), set.results.size());
}

TEST(Compare, ToldApartOnlyWhenTheyDiffer) {
  const std::uint64_t seed = 5;
  Random random(seed);
  int wrong = 0;
  for (int trial = 0; trial < 50; ++trial) {
    std::vector<double> a, b, slower;
    for (int i = 0; i < 10; ++i) {
      a.push_back(10 + random.normal());
      b.push_back(10 + random.normal());
      slower.push_back(20 + random.normal());
    }
    wrong += compare_runs(a, b, true, seed).verdict != Verdict3::same;
    EXPECT_EQ(compare_runs(a, slower, true, seed).verdict, Verdict3::worse);
    EXPECT_EQ(compare_runs(a, slower, false, seed).verdict, Verdict3::better);
  }
  EXPECT_LE(wrong, 10) << "seed " << seed;                                      // about 5 % expected
  EXPECT_EQ(compare_runs({1, 1}, {9, 9}, true, seed).verdict, Verdict3::same);  // two runs show no spread
}

TEST(Energy, HwmonMultipliesRailsAndIntegratesPower) {
  const TemporaryFolder folder;
  const std::string device = folder.path() + "/hwmon0";
  std::filesystem::create_directories(device);
  write_file(device + "/power1_input", "2500000\n");  // 2.5 W
  write_file(device + "/in2_input", "5000\n");        // 5 V x 0.3 A
  write_file(device + "/curr2_input", "300\n");
  Hwmon hwmon(folder.path(), 5);
  EXPECT_NEAR(hwmon.watts_now(), 4.0, 1e-9);
  const auto start = std::chrono::steady_clock::now();
  double joules = 0;
  while (joules < 0.2 && std::chrono::steady_clock::now() - start < std::chrono::seconds(20)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    joules += hwmon.joules();
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  EXPECT_GE(joules, 0.2);
  EXPECT_LE(joules, 4.0 * seconds + 0.1);
  EXPECT_THROW(Hwmon("/nonexistent"), Unavailable);
}

TEST(Energy, AMachineWithoutCountersSaysSoAndNeverZero) {
  EnergyMeter meter;
  meter.start();
  const auto use = to_json(meter.stop());
  EXPECT_NE(use.contains("unavailable"), use.contains("joules"));
  if (use.contains("unavailable")) {
    EXPECT_FALSE(use.contains("watts"));
    EXPECT_NE(use.at("unavailable").get<std::string>().find("rapl"), std::string::npos);
  }
}

TEST(Energy, RaplWrapsAndMeterIntegrates) {
  const TemporaryFolder folder;
  const std::string zone = folder.path() + "/intel-rapl:0";
  std::filesystem::create_directories(zone);
  const auto put = [&](const char* name, const char* text) {
    std::ofstream(zone + "/" + name) << text << "\n";
  };
  put("name", "package-0");
  put("max_energy_range_uj", "1000000");
  put("energy_uj", "900000");
  Rapl rapl(folder.path());
  put("energy_uj", "950000");
  EXPECT_NEAR(rapl.joules(), 0.05, 1e-9);
  put("energy_uj", "50000");  // wrapped
  EXPECT_NEAR(rapl.joules(), 0.1, 1e-9);
  EXPECT_THROW(Rapl("/nonexistent"), Unavailable);
  // 10 W for 2 s, then rising to 20 W over 2 s: 20 J + 30 J; the middle second of the ramp 1..2 is 10 J.
  const std::string csv = "t,watts\n0,10\n2,10\n4,20\n";
  EXPECT_NEAR(meter_joules(csv, "m", 0, 4), 50, 1e-9);
  EXPECT_NEAR(meter_joules(csv, "m", 1, 2), 10, 1e-9);
  EXPECT_THROW(meter_joules(csv, "m", 0, 5), InvalidInput);
  EXPECT_THROW(meter_joules("0,1\nx\n", "m", 0, 1), InvalidInput);
}

TEST(Fingerprint, SaysWhatCannotBeSeen) {
  const auto facts = fingerprint();
  EXPECT_TRUE(facts.contains("virtual"));
  EXPECT_FALSE(facts["governor"].get<std::string>().empty());
  for (const auto& provider : energy_providers()) EXPECT_FALSE(provider.reason.empty()) << provider.name;
}

TEST(Exchange, R2bAndRobotPerfFormsComeBackAsTheyWent) {
  SessionResult result{.id = "a2", .slot = "reference"};
  RateResult rate{.rate_hz = 30};
  robot::Run run;
  std::vector<Sent> sent;
  std::vector<Received> received;
  for (std::int64_t i = 0; i < 100; ++i) {
    sent.push_back({i + 1, i * 33'333'333, i * 33'333'333});
    if (i % 20 != 7) received.push_back({i + 1, i * 33'333'333 + 2'000'000 + i * 1000});
  }
  run.analyses = {analyse(sent, received, {.rate_hz = 30})};
  run.energy.joules = 20;
  run.energy.seconds = 4;
  rate.runs = {run};
  rate.valid = 1;
  rate.throughput_hz = {28.5, 28.5, 28.5};
  rate.loss_percent = {5, 5, 5};
  result.rates = {rate};
  const auto set = parse_r2b(to_r2b(result), "ours.json");
  ASSERT_EQ(set.results.size(), 4u);  // the headline and 30.0fps, latency and throughput each
  EXPECT_NEAR(*set.results[0].value, 2.099, 1e-6);
  EXPECT_NEAR(*set.results[0].stated.loss_percent, 5, 1e-9);
  EXPECT_NEAR(*set.results[0].stated.min, 2.0, 1e-6);
  const auto published = to_robotperf(result, "this machine", "workstation", "2026-11-24");
  const auto again = parse_published(to_yaml(published), "ours.yaml");
  ASSERT_EQ(again.results.size(), 3u);
  EXPECT_EQ(again.results[0].metric, "latency");
  EXPECT_NEAR(*again.results[0].value, run.analysis().corrected.max_ms, 1e-3);
  EXPECT_EQ(again.results[2].metric, "power");
  EXPECT_NEAR(*again.results[2].value, 5, 1e-9);
  EXPECT_TRUE(audit({again}).empty());
  EXPECT_THROW(parse_r2b(Json::object(), "x.json"), InvalidInput);
  EXPECT_THROW(parse_r2b(Json::array(), "x.json"), InvalidInput);
}

TEST(ClockOffset, IsFoundWithinItsUncertaintyUnderAsymmetricDelays) {
  const std::uint64_t seed = 17;
  Random random(seed);
  for (int trial = 0; trial < 20; ++trial) {
    const auto offset = static_cast<std::int64_t>(random.uniform(-5e9, 5e9));
    std::vector<ClockExchange> exchanges;
    for (std::int64_t i = 0; i < 200; ++i) {
      const auto there = 50'000 + static_cast<std::int64_t>(random.exponential() * 2e5);
      const auto back = 60'000 + static_cast<std::int64_t>(random.exponential() * 4e5);
      const std::int64_t sent = i * 10'000'000;
      exchanges.push_back({sent, sent + there + back, sent + there + offset});
    }
    const auto found = estimate_offset(exchanges);
    EXPECT_LE(std::abs(found.offset_ns - offset), found.uncertainty_ns) << "seed " << seed;
    const auto ways = one_way(exchanges);
    if (ways.measured) {
      EXPECT_NEAR(ways.there_ms + ways.back_ms, 0.25 * 3, 0.6);
    }
  }
  // A known offset of exactly symmetric exchanges: one-way times come out exactly and count as measured.
  std::vector<ClockExchange> even;
  for (std::int64_t i = 0; i < 100; ++i) {
    const std::int64_t half = i == 0 ? 1000 : 100'000;
    even.push_back({i * 1'000'000, i * 1'000'000 + 2 * half, i * 1'000'000 + half + 777});
  }
  const auto exact = estimate_offset(even);
  EXPECT_EQ(exact.offset_ns, 777);
  EXPECT_EQ(exact.uncertainty_ns, 1000);
  EXPECT_NEAR(one_way(even).there_ms, 0.1, 1e-9);
  EXPECT_THROW(estimate_offset({}), InvalidInput);
}

}  // namespace
}  // namespace ballast::robot
