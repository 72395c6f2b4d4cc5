// The figures of the chapter: accuracy by strategy, gap closed, ablations, speed of the fused trainer.
#include <fmt/format.h>

#include <algorithm>

#include "ballast/base/bench.h"
#include "ballast/base/statistics.h"
#include "ballast/federate/verbs.h"

namespace ballast::federate {
namespace {

struct Cell {
  std::string data, pattern;
  double gap_target, points_target;
};

const std::vector<std::string>& single_model_strategies() {
  static const std::vector<std::string> names{"oblivious", "win:1", "win:2", "lin", "exp"};
  return names;
}

RunLog run_one(const Federation& federation, StrategySpec spec, const RunConfig& config) {
  const auto strategy = make_strategy(spec, federation.pattern());
  return run(federation, *strategy, config);
}

// Every strategy on the same data, seeds and budgets; mean over seeds.
void accuracy_suite(Bench& bench, const std::vector<Cell>& cells, const std::string& budget, int seeds) {
  for (const Cell& cell : cells) {
    std::map<std::string, std::vector<double>> accuracy;
    std::vector<double> rand, gaps;
    for (int seed = 1; seed <= seeds; ++seed) {
      const auto federation =
          make_federation({.name = cell.data, .samples = 500, .seed = static_cast<std::uint64_t>(seed)},
                          ConceptPattern::named(cell.pattern));
      RunConfig config = preset(budget, cell.data);
      config.seed = static_cast<std::uint64_t>(seed);
      std::vector<std::string> names{"oracle", "feddrift", "feddrift_eager", "ifca", "local_win1"};
      names.insert(names.end(), single_model_strategies().begin(), single_model_strategies().end());
      double best_single = 0;
      for (const auto& name : names) {
        StrategySpec spec{.name = name, .drift = {}};
        spec.drift.delta = default_delta(cell.data);
        const RunLog log = run_one(federation, spec, config);
        accuracy[name].push_back(100 * log.accuracy());
        if (name == "feddrift") rand.push_back(log.rand_index());
        if (std::count(single_model_strategies().begin(), single_model_strategies().end(), name) > 0) {
          best_single = std::max(best_single, accuracy[name].back());
        }
      }
      gaps.push_back((accuracy["feddrift"].back() - best_single) / (accuracy["oracle"].back() - best_single));
    }
    std::string best = single_model_strategies()[0];
    for (const auto& name : single_model_strategies()) {
      if (mean(accuracy[name]) > mean(accuracy[best])) best = name;
    }
    const std::string where = fmt::format("{}.{}", cell.data, cell.pattern);
    bench.add({.id = "accuracy.gap." + where,
               .what = "gap closed between the best single model and the oracle",
               .unit = "1",
               .ours = mean(gaps),
               .better = Better::higher,
               .target = cell.gap_target,
               .note = fmt::format("std {:.3f} over {} seeds, {} budget", std::sqrt(variance(gaps)), seeds,
                                   budget)});
    bench.add({.id = "accuracy.oracle." + where,
               .what = "points behind the oracle",
               .unit = "points",
               .ours = mean(accuracy["oracle"]) - mean(accuracy["feddrift"]),
               .better = Better::lower,
               .target = cell.points_target,
               .note = fmt::format("oracle {:.2f} %", mean(accuracy["oracle"]))});
    bench.add({.id = "accuracy.rand." + where,
               .what = "adjusted Rand index of serving models against concepts",
               .unit = "1",
               .ours = mean(rand),
               .better = Better::higher,
               .target = cell.data == "sea" ? 0.8 : 0.95,
               .note = {}});
    for (const auto& name :
         {best, std::string("ifca"), std::string("local_win1"), std::string("feddrift_eager")}) {
      bench.add({.id = "accuracy." + where,
                 .what = "prequential accuracy",
                 .unit = "%",
                 .ours = mean(accuracy["feddrift"]),
                 .peer = Peer{.name = name, .value = mean(accuracy[name])},
                 .better = Better::higher,
                 .note = fmt::format("{:+.2f} points", mean(accuracy["feddrift"]) - mean(accuracy[name]))});
    }
  }
}

// Two new concepts at once is where isolation matters; single linkage chains.
void ablation_suite(Bench& bench, const std::string& budget, int seeds) {
  const auto accuracy_of = [&](const std::string& name, const std::function<void(FedDriftOptions&)>& change) {
    std::vector<double> values;
    for (int seed = 1; seed <= seeds; ++seed) {
      const auto federation =
          make_federation({.name = "sea", .samples = 500, .seed = static_cast<std::uint64_t>(seed)},
                          ConceptPattern::named("C"));
      RunConfig config = preset(budget, "sea");
      config.seed = static_cast<std::uint64_t>(seed);
      StrategySpec spec{.name = name, .drift = {}};
      spec.drift.delta = default_delta("sea");
      change(spec.drift);
      values.push_back(100 * run_one(federation, spec, config).accuracy());
    }
    return mean(values);
  };
  const double full = accuracy_of("feddrift", [](FedDriftOptions&) {});
  const std::vector<std::pair<std::string, double>> others = {
      {"eager (no isolation, no merging)", accuracy_of("feddrift_eager", [](FedDriftOptions&) {})},
      {"single linkage", accuracy_of("feddrift", [](FedDriftOptions& o) { o.linkage = Linkage::single; })},
      {"distance B", accuracy_of("feddrift", [](FedDriftOptions& o) { o.distance_b = true; })},
      {"cold start", accuracy_of("feddrift", [](FedDriftOptions& o) { o.warm_start = false; })},
      {"isolation 2", accuracy_of("feddrift", [](FedDriftOptions& o) { o.isolation_steps = 2; })},
      {"delta x 1/4", accuracy_of("feddrift", [](FedDriftOptions& o) { o.delta /= 4; })},
      {"delta x 4", accuracy_of("feddrift", [](FedDriftOptions& o) { o.delta *= 4; })},
      {"auto delta", accuracy_of("feddrift", [](FedDriftOptions& o) { o.auto_delta = true; })},
      {"FedDrift-C", accuracy_of("feddrift_c", [](FedDriftOptions&) {})},
  };
  for (const auto& [name, value] : others) {
    bench.add({.id = "ablation.sea.C",
               .what = "FedDrift against itself with one thing changed",
               .unit = "%",
               .ours = full,
               .peer = Peer{.name = name, .value = value},
               .better = Better::higher,
               .note = fmt::format("{:+.2f} points", full - value)});
  }
}

void scale_suite(Bench& bench, const cli::Common& common, double seconds) {
  const auto federation =
      make_federation({.name = "sine", .samples = 500, .seed = common.seed}, ConceptPattern::named("A"));
  const MlpShape shape{2, 4, 2};
  DrawTable table;
  for (int step = 0; step < 4; ++step) table.add(federation.batch(0, step), 1.0);
  Params params = fresh_params(shape, common.seed, 0);
  OptimizerState state;
  Trainer trainer(shape);
  const OptimizerConfig config;
  std::vector<double> rates;
  const int steps = 20'000;
  for (double spent = 0; spent < seconds || rates.size() < 5;) {
    const double took =
        time_of([&] { trainer.train(params, state, config, table, steps, 50, rates.size()); });
    spent += took;
    rates.push_back(steps / took / 1000);
  }
  bench.add({.id = "scale.fused",
             .what = "optimizer steps of one core, SINE, batch 50, keyed draws counted",
             .unit = "k/s",
             .ours = median(rates),
             .better = Better::higher,
             .target = 800,
             .note = fmt::format("spread {:.0f}-{:.0f}", quantile(rates, 0.1), quantile(rates, 0.9))});
}

}  // namespace

void add_bench(cli::Program& program) {
  struct Options {
    std::string suite = "all";
    bool quick = false;
    int seeds = 5;
  };
  auto options = std::make_shared<Options>();
  auto verb = program.verb(
      "bench", "the figures of the chapter",
      {"ballast federate bench --quick", "ballast federate bench --suite accuracy --seeds 3 --json a.json"});
  verb->add_option("--suite", options->suite, "accuracy, ablation, scale or all")->capture_default_str();
  verb->add_option("--seeds", options->seeds, "seeds 1 to N")
      ->capture_default_str()
      ->check(CLI::Range(1, 100));
  verb->add_flag("--quick", options->quick, "small budgets, two seeds: ends within three minutes");
  verb.run([options](const cli::Common& common) {
    cli::require_one_of("--suite", options->suite, {"accuracy", "ablation", "scale", "all"});
    Bench bench("federate", options->suite, common);
    const auto wanted = [&](const std::string& name) {
      return options->suite == "all" || options->suite == name;
    };
    const std::string budget = options->quick ? "fast" : "paper";
    const int seeds = options->quick ? 2 : options->seeds;
    if (wanted("accuracy")) {
      std::vector<Cell> cells = {{"sine", "A", 0.95, 0.7},
                                 {"circle", "A", 0.95, 0.7},
                                 {"sea", "A", 0.95, 0.7},
                                 {"sea", "B", 0.85, 1.5}};
      if (!options->quick) cells.push_back({"fmnist", "A", 0.85, 0.7});
      accuracy_suite(bench, cells, budget, seeds);
    }
    if (wanted("ablation")) ablation_suite(bench, budget, seeds);
    if (wanted("scale")) scale_suite(bench, common, options->quick ? 2 : 10);
    bench.finish();
  });
}

}  // namespace ballast::federate
