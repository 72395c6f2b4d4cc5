#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "ballast/base/statistics.h"
#include "ballast/federate/bench_suites.h"
#include "ballast/federate/verbs.h"

namespace ballast::federate {
namespace {

struct Setting {
  std::string data;
  int samples = 500;
  bool auto_delta = false;
};

RunLog run_one(const std::string& name, const Setting& setting, const ConceptPattern& pattern,
               RunConfig config, int seed) {
  const auto federation = make_federation(
      {.name = setting.data, .samples = setting.samples, .seed = static_cast<std::uint64_t>(seed)}, pattern);
  config.seed = static_cast<std::uint64_t>(seed);
  StrategySpec spec{.name = name, .data = setting.data, .seed = config.seed};
  spec.drift.delta = default_delta(setting.data);
  spec.drift.auto_delta = setting.auto_delta;
  const auto strategy = make_strategy(spec, pattern);
  return run(federation, *strategy, config);
}

// Of the (client, step) at which a concept begins that no client had before, how many raised an alarm; and of
// the alarms, how many were at such a place.
void unseen(Bench& bench, const std::string& budget, int seeds) {
  double found = 0, there = 0, alarms = 0;
  const ConceptPattern pattern = ConceptPattern::named("A");
  for (int seed = 1; seed <= seeds; ++seed) {
    const RunLog log = run_one("feddrift", {.data = "sine"}, pattern, preset(budget, "sine"), seed);
    std::set<std::pair<int, int>> raised;
    for (const Event& event : log.events) {
      if (event.kind == "drift") raised.insert({event.step, event.client});
    }
    alarms += static_cast<double>(raised.size());
    std::set<int> known;
    for (int step = 0; step < pattern.steps(); ++step) {
      std::set<int> now;
      for (int c = 0; c < pattern.clients(); ++c) {
        now.insert(pattern.at(step, c));
        if (step == 0 || known.count(pattern.at(step, c)) > 0) continue;
        ++there;
        if (raised.count({step, c}) > 0) ++found;
      }
      known.insert(now.begin(), now.end());
    }
  }
  bench.add({.id = "detection.recall.sine",
             .what = "alarms at (client, step) of an unseen concept, over all such",
             .unit = "1",
             .ours = there == 0 ? 1 : found / there,
             .better = Better::higher,
             .target = 0.95,
             .basis = Basis::counted,
             .note = fmt::format("{:.0f} of {:.0f}", found, there)});
  bench.add({.id = "detection.precision.sine",
             .what = "alarms at such places over all alarms",
             .unit = "1",
             .ours = alarms == 0 ? 1 : found / alarms,
             .better = Better::higher,
             .target = 0.95,
             .basis = Basis::counted,
             .note = fmt::format("{:.0f} of {:.0f}", found, alarms)});
}

void stationary(Bench& bench, const std::string& budget, int seeds) {
  for (const auto& [data, automatic] :
       {std::pair("sine", false), {"circle", false}, {"sea", false}, {"sea", true}}) {
    double false_alarms = 0, runs = 0;
    for (int seed = 1; seed <= seeds; ++seed) {
      const RunLog log = run_one("feddrift", {.data = data, .auto_delta = automatic},
                                 ConceptPattern::stationary(10, 10), preset(budget, data), seed);
      const auto raised = std::count_if(log.events.begin(), log.events.end(),
                                        [](const Event& e) { return e.kind == "drift"; });
      false_alarms += static_cast<double>(raised);
      if (raised > 0) ++runs;
    }
    const bool sea = std::string(data) == "sea";
    bench.add({.id = fmt::format("detection.false.{}{}", data, automatic ? ".auto" : ""),
               .what = "false alarms a run where nothing drifts",
               .unit = "1",
               .ours = false_alarms / seeds,
               .better = Better::lower,
               .target = automatic ? std::optional<double>(0.2)
                         : sea     ? std::nullopt
                                   : std::optional<double>(0.0),
               .basis = Basis::counted,
               .note = fmt::format("in {:.0f} of {} seeds", runs, seeds)});
  }
}

void sweep(Bench& bench, const std::string& budget, int seeds) {
  std::vector<Setting> settings;
  for (const char* data : {"sine", "circle"}) {
    for (int n : {25, 50, 100, 500}) settings.push_back({data, n});
  }
  settings.push_back({"sea", 500});
  for (const Setting& setting : settings) {
    std::vector<double> ours, alone, oracle;
    for (int seed = 1; seed <= seeds; ++seed) {
      const ConceptPattern pattern = ConceptPattern::named("A");
      const RunConfig config = preset(budget, setting.data);
      ours.push_back(100 * run_one("feddrift", setting, pattern, config, seed).accuracy());
      alone.push_back(100 * run_one("local_win1", setting, pattern, config, seed).accuracy());
      oracle.push_back(100 * run_one("oracle", setting, pattern, config, seed).accuracy());
    }
    bench.add({.id = fmt::format("accuracy.sweep.{}.n{}", setting.data, setting.samples),
               .what = "FedDrift less training alone (local_win1)",
               .unit = "points",
               .ours = mean(ours) - mean(alone),
               .better = Better::higher,
               .target = setting.data == "sea" ? 1.5 : -0.3,
               .note = fmt::format("oracle {:.2f}, FedDrift {:.2f}, alone {:.2f} %; {} seeds, {} budget",
                                   mean(oracle), mean(ours), mean(alone), seeds, budget)});
  }
}

}  // namespace

void detection_suite(Bench& bench, bool quick, int seeds) {
  unseen(bench, "paper", seeds);
  stationary(bench, quick ? "fast" : "paper", quick ? 4 : 20);
  sweep(bench, quick ? "fast" : "paper", quick ? 1 : seeds);
}

}  // namespace ballast::federate
