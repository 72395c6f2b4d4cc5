// The figures on Fashion-MNIST with exchanged labels. A step of this network costs a thousand times one of
// SINE's, so the budget is R = 20, K = 10 (the calibration of the specification used 30 and 20), the same for
// every strategy.
#include <fmt/format.h>

#include <algorithm>

#include "ballast/base/statistics.h"
#include "ballast/data/datasets.h"
#include "ballast/federate/bench_suites.h"
#include "ballast/federate/verbs.h"

namespace ballast::federate {
namespace {

RunLog run_one(const std::string& name, const std::string& pattern_name, int samples, int seed,
               bool auto_delta = false) {
  const ConceptPattern pattern = ConceptPattern::named(pattern_name);
  const auto federation = make_federation(
      {.name = "fmnist", .samples = samples, .seed = static_cast<std::uint64_t>(seed)}, pattern);
  RunConfig config = preset("paper", "fmnist");
  config.rounds = 20;
  config.local_steps = 10;
  config.seed = static_cast<std::uint64_t>(seed);
  StrategySpec spec{.name = name, .data = "fmnist", .seed = config.seed};
  spec.drift.delta = default_delta("fmnist");
  spec.drift.auto_delta = auto_delta;
  const auto strategy = make_strategy(spec, pattern);
  return run(federation, *strategy, config);
}

bool there(Bench& bench) {
  if (!data::try_dataset("fashion-mnist").empty()) return true;
  bench.add({.id = "accuracy.fmnist",
             .what = "Fashion-MNIST",
             .unit = "%",
             .note = "not installed: dataset-fashion-mnist"});
  return false;
}

}  // namespace

void image_suite(Bench& bench, int seeds) {
  if (!there(bench)) return;
  for (const std::string pattern : {"A", "B", "C"}) {
    std::map<std::string, std::vector<double>> accuracy;
    std::vector<double> gaps, rand;
    std::vector<std::string> names{"oracle", "feddrift", "oblivious", "win:1", "local_win1"};
    if (pattern == "C") names = {"oracle", "feddrift", "feddrift_eager", "oblivious"};
    for (int seed = 1; seed <= seeds; ++seed) {
      for (const std::string& name : names) {
        const RunLog log = run_one(name, pattern, 500, seed);
        accuracy[name].push_back(100 * log.accuracy());
        if (name == "feddrift") rand.push_back(log.rand_index());
      }
      double single = accuracy["oblivious"].back();
      if (pattern != "C") single = std::max(single, accuracy["win:1"].back());
      gaps.push_back((accuracy["feddrift"].back() - single) / (accuracy["oracle"].back() - single));
    }
    const double ours = mean(accuracy["feddrift"]);
    const std::string where = "fmnist." + pattern;
    const std::string budget = fmt::format("{} seeds, R = 20, K = 10", seeds);
    if (pattern != "C") {
      bench.add({.id = "accuracy.gap." + where,
                 .what = "gap closed between the better of oblivious and win:1 and the oracle",
                 .unit = "1",
                 .ours = mean(gaps),
                 .better = Better::higher,
                 .target = 0.85,
                 .note = budget});
      bench.add({.id = "accuracy.oracle." + where,
                 .what = "points behind the oracle",
                 .unit = "points",
                 .ours = mean(accuracy["oracle"]) - ours,
                 .better = Better::lower,
                 .target = pattern == "A" ? 0.7 : 1.5,
                 .note = fmt::format("oracle {:.2f} %; Rand index {:.3f}; {}", mean(accuracy["oracle"]),
                                     mean(rand), budget)});
    } else {
      bench.add({.id = "ablation.eager.fmnist.C",
                 .what = "FedDrift less FedDrift-Eager where two concepts appear at once",
                 .unit = "points",
                 .ours = ours - mean(accuracy["feddrift_eager"]),
                 .better = Better::higher,
                 .target = 1.5,
                 .note = budget});
    }
    for (const auto& [name, values] : accuracy) {
      if (name == "feddrift") continue;
      bench.add({.id = "accuracy." + where,
                 .what = "prequential accuracy",
                 .unit = "%",
                 .ours = ours,
                 .peer = Peer{.name = name, .value = mean(values)},
                 .better = Better::higher,
                 .note = fmt::format("{:+.2f} points", ours - mean(values))});
    }
  }
}

void image_sweep_suite(Bench& bench, int seeds) {
  if (!there(bench)) return;
  for (const int samples : {500, 100, 50}) {
    std::vector<double> ours, alone, oracle, automatic;
    for (int seed = 1; seed <= seeds; ++seed) {
      ours.push_back(100 * run_one("feddrift", "A", samples, seed).accuracy());
      alone.push_back(100 * run_one("local_win1", "A", samples, seed).accuracy());
      if (samples != 50) continue;
      oracle.push_back(100 * run_one("oracle", "A", samples, seed).accuracy());
      automatic.push_back(100 * run_one("feddrift", "A", samples, seed, true).accuracy());
    }
    bench.add(
        {.id = fmt::format("accuracy.sweep.fmnist.n{}", samples),
         .what = "FedDrift less training alone (local_win1)",
         .unit = "points",
         .ours = mean(ours) - mean(alone),
         .better = Better::higher,
         .target = samples == 500   ? 3
                   : samples == 100 ? 5
                                    : -0.3,
         .note = fmt::format("FedDrift {:.2f}, alone {:.2f} %; {} seeds", mean(ours), mean(alone), seeds)});
    if (samples != 50) continue;
    const double gap = mean(oracle) - mean(ours);
    bench.add({.id = "accuracy.auto_delta.fmnist.n50",
               .what = "share of the fixed delta's gap to the oracle that `delta: auto` recovers",
               .unit = "1",
               .ours = gap <= 0 ? 1 : (mean(automatic) - mean(ours)) / gap,
               .better = Better::higher,
               .target = 0.5,
               .note = fmt::format("oracle {:.2f}, fixed {:.2f}, auto {:.2f} %; {} seeds", mean(oracle),
                                   mean(ours), mean(automatic), seeds)});
  }
}

}  // namespace ballast::federate
