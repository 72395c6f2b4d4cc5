// The figures of the chapter: accuracy by strategy, gap closed, ablations, speed of the fused trainer.
#include <fmt/format.h>

#include <algorithm>

#include "ballast/base/bench.h"
#include "ballast/base/statistics.h"
#include "ballast/federate/bench_suites.h"
#include "ballast/federate/verbs.h"

namespace ballast::federate {
namespace {

struct Cell {
  std::string data, pattern;
  double gap_target, points_target;
};

const std::vector<std::string>& single_model_strategies() {
  static const std::vector<std::string> names{"oblivious", "win:1",     "win:2",          "lin",
                                              "exp",       "driftsurf", "adaptive_fedavg"};
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
        StrategySpec spec{.name = name, .data = cell.data, .seed = config.seed};
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
      {"cold start", accuracy_of("feddrift", [](FedDriftOptions& o) { o.init_new = "random"; })},
      {"isolation 2", accuracy_of("feddrift", [](FedDriftOptions& o) { o.isolation_steps = 2; })},
      {"isolation 3", accuracy_of("feddrift", [](FedDriftOptions& o) { o.isolation_steps = 3; })},
      {"delta x 1/2", accuracy_of("feddrift", [](FedDriftOptions& o) { o.delta /= 2; })},
      {"delta x 2", accuracy_of("feddrift", [](FedDriftOptions& o) { o.delta *= 2; })},
      {"one model a client at the start",
       accuracy_of("feddrift", [](FedDriftOptions& o) { o.init = "per_client"; })},
      {"delta x 1/4", accuracy_of("feddrift", [](FedDriftOptions& o) { o.delta /= 4; })},
      {"delta x 4", accuracy_of("feddrift", [](FedDriftOptions& o) { o.delta *= 4; })},
      {"auto delta", accuracy_of("feddrift", [](FedDriftOptions& o) { o.auto_delta = true; })},
      {"merge before choosing", accuracy_of("feddrift", [](FedDriftOptions& o) { o.merge_first = true; })},
      {"baseline now", accuracy_of("feddrift", [](FedDriftOptions& o) { o.baseline = "now"; })},
      {"baseline reference", accuracy_of("feddrift", [](FedDriftOptions& o) { o.baseline = "reference"; })},
      {"loss as metric", accuracy_of("feddrift", [](FedDriftOptions& o) { o.use_loss = true; })},
      {"average linkage", accuracy_of("feddrift", [](FedDriftOptions& o) { o.linkage = Linkage::average; })},
      {"history of 3 steps", accuracy_of("feddrift", [](FedDriftOptions& o) { o.history = 3; })},
      {"FedDrift-C", accuracy_of("feddrift_c", [](FedDriftOptions&) {})},
  };
  bench.add({.id = "ablation.linkage",
             .what = "complete less single linkage, SEA-4, pattern C",
             .unit = "points",
             .ours = full - others[1].second,
             .better = Better::higher,
             .target = 0.0,
             .note = fmt::format("{} seeds, {} budget", seeds, budget)});
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
  verb->add_option("--suite", options->suite,
                   "accuracy, detection, ablation, comm, scale, fault, privacy, peers; all of these; images "
                   "or image_sweep "
                   "(Fashion-MNIST, minutes a seed, not in `all`)")
      ->capture_default_str();
  verb->add_option("--seeds", options->seeds, "seeds 1 to N")
      ->capture_default_str()
      ->check(CLI::Range(1, 100));
  verb->add_flag("--quick", options->quick, "small budgets, two seeds: ends within three minutes");
  verb.run([options](const cli::Common& common) {
    cli::require_one_of("--suite", options->suite,
                        {"accuracy", "images", "image_sweep", "detection", "ablation", "comm", "scale",
                         "fault", "privacy", "peers", "all"});
    Bench bench("federate", options->suite, common);
    const auto wanted = [&](const std::string& name) {
      return options->suite == "all" || options->suite == name;
    };
    // The accuracy cells are cheap enough for the paper's budget in the quick run too.
    const std::string budget = options->quick ? "fast" : "paper";
    const int seeds = options->quick ? 2 : options->seeds;
    if (wanted("accuracy")) {
      const std::vector<Cell> cells = {{"sine", "A", 0.95, 0.7},
                                       {"circle", "A", 0.95, 0.7},
                                       {"sea", "A", 0.95, 0.7},
                                       {"sea", "B", 0.85, 1.5}};
      accuracy_suite(bench, cells, "paper", seeds);
    }
    // Pictures cost a thousand times more a step: their suites run when they are asked for.
    if (options->suite == "images") image_suite(bench, options->seeds);
    if (options->suite == "image_sweep") image_sweep_suite(bench, options->seeds);
    if (wanted("detection")) detection_suite(bench, options->quick, seeds);
    if (wanted("ablation")) ablation_suite(bench, budget, seeds);
    if (wanted("scale")) scale_suite(bench, common, options->quick ? 2 : 10);
    if (wanted("comm")) comm_suite(bench, budget, seeds);
    if (wanted("fault")) fault_suite(bench, budget, seeds);
    if (wanted("privacy")) privacy_suite(bench, common, budget);
    if (wanted("peers")) peer_suite(bench, common);
    bench.finish();
  });
}

}  // namespace ballast::federate
