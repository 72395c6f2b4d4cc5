// Table A (batches of every policy over the lower bound) and the first of Table B (TreeLSTM under every
// policy).
#include <fmt/format.h>

#include <deque>

#include "ballast/base/bench.h"
#include "ballast/base/statistics.h"
#include "ballast/dynamic/bench_models.h"
#include "ballast/dynamic/fsm.h"
#include "ballast/dynamic/tree_lstm.h"
#include "ballast/dynamic/verbs.h"

namespace ballast::dynamic {
namespace {

struct Reference {
  const char* workload;
  double depth, agenda, suff, fsm_target;  ///< the specification's ratios to the lower bound
};
constexpr Reference kReferences[] = {{"tree", 1.81, 1.41, 1.00, 1.00},
                                     {"tree-2type", 2.2, 1.6, 1.29, 1.26},
                                     {"lattice", 2.8, 2.0, 1.27, 1.32},
                                     {"bilstm", 1.46, 1.17, 1.00, 1.01},
                                     {"bilstm-char", 1.51, 1.19, 1.00, 1.01}};

void batch_counts(Bench& bench, std::uint64_t seed, int iterations, bool quick) {
  for (const Reference& reference : kReferences) {
    std::deque<Graph> graphs;
    std::deque<Structure> structures;
    std::vector<const Structure*> training, validation, unseen;
    for (std::uint64_t g = 0; g < 14; ++g) {
      graphs.push_back(make_workload(reference.workload, 32, seed, g * 32));
      structures.emplace_back(graphs.back());
      (g < 4 ? training : g < 8 ? validation : unseen).push_back(&structures.back());
    }
    const auto ratio = [&](const std::function<Schedule(const Structure&)>& make) {
      std::vector<double> values;
      for (const Structure* s : unseen)
        values.push_back(static_cast<double>(make(*s).size()) / s->lower_bound);
      return mean(values);
    };
    double agenda = 0;
    for (const auto& [name, expected] :
         {std::pair{"depth", reference.depth}, {"agenda", reference.agenda}, {"suff", reference.suff}}) {
      const double value =
          ratio([&, n = std::string(name)](const Structure& s) { return schedule_by_name(s, n); });
      if (std::string(name) == "agenda") agenda = value;
      bench.add({.id = fmt::format("A.{}.{}", reference.workload, name),
                 .what = "difference from the reference ratio of batches to the bound",
                 .unit = "%",
                 .ours = 100 * std::abs(value / expected - 1),
                 .better = Better::lower,
                 .target = 12,
                 .basis = Basis::counted,
                 .note = fmt::format("ratio {:.3f}, reference {:.2f}", value, expected)});
    }
    LearnOptions options;
    options.iterations = iterations;
    options.seed = seed;
    if (quick) options.restarts = 2;
    Learned learned;
    const double seconds = time_of([&] { learned = learn_best(training, validation, options); });
    const double fsm = ratio([&](const Structure& s) {
      FsmPolicy policy(learned.table);
      return schedule(s, policy);
    });
    bench.add({.id = fmt::format("A.{}.fsm", reference.workload),
               .what = "batches over the lower bound, learned policy, unseen data",
               .unit = "1",
               .ours = fsm,
               .better = Better::lower,
               .target = reference.fsm_target + 1e-9,
               .basis = Basis::counted,
               .note = fmt::format("{}, {} states, {:.1f} % unseen, learned in {} runs",
                                   to_string(learned.table.encoding), learned.table.actions.size(),
                                   100 * learned.miss_rate, learned.iterations)});
    bench.add({.id = fmt::format("A.{}.fewer", reference.workload),
               .what = "batches of agenda over those of the learned policy",
               .unit = "1",
               .ours = fsm,
               .peer = Peer{.name = "agenda", .value = agenda},
               .better = Better::lower,
               .basis = Basis::counted,
               .note = fmt::format("training {:.1f} s", seconds)});
  }
}

void tree_lstm(Bench& bench, std::uint64_t seed, bool quick) {
  TreeLstm model({.embedding = 128, .hidden = 128}, seed);
  for (const int instances : {8, 64}) {
    std::vector<Tree> trees;
    for (int i = 0; i < instances; ++i)
      trees.push_back(draw_tree(seed, static_cast<std::uint64_t>(1000 + i)));
    const TreeBatch batch(trees);
    const Structure structure(batch.graph());
    std::map<std::string, Schedule> schedules;
    for (const char* name : {"unbatched", "depth", "agenda", "suff"})
      schedules[name] = schedule_by_name(structure, name);
    std::vector<Contestant> contestants;
    for (const auto& [name, plan] : schedules) {
      contestants.push_back({name, [&, p = &plan] { return model.run(batch, *p).seconds; }});
    }
    const auto timing = interleave(contestants, {.rounds = quick ? 9 : 25, .seed = seed});
    for (const char* other : {"unbatched", "depth", "agenda"}) {
      bench.add({.id = fmt::format("B.treelstm.b{}.{}", instances, other),
                 .what = "TreeLSTM h 128, execution under suff = the learned policy",
                 .unit = "s",
                 .better = Better::lower,
                 .note = "same kernels, same bits",
                 .comparison = timing,
                 .ours_name = "suff",
                 .peer_name = other});
    }
  }
}

}  // namespace

void add_bench(cli::Program& program) {
  struct Options {
    bool quick = false;
    std::string suite = "all";
  };
  auto options = std::make_shared<Options>();
  auto verb =
      program.verb("bench", "the figures of the chapter",
                   {"ballast dynamic bench --quick", "ballast dynamic bench --suite models --json out.json"});
  verb->add_flag("--quick", options->quick, "fewer models, iterations and rounds");
  verb->add_option("--suite", options->suite,
                   "policies (Table A), models (B built-in, C), peers (B: libtorch, DyNet), passes (D), "
                   "blocks (E, F) or all")
      ->capture_default_str()
      ->check(CLI::IsMember({"policies", "models", "peers", "passes", "blocks", "all"}));
  verb.run([options](const cli::Common& common) {
    Bench bench("dynamic", options->suite, common);
    const auto wanted = [&](const char* suite) { return options->suite == "all" || options->suite == suite; };
    if (wanted("policies")) {
      batch_counts(bench, common.seed, options->quick ? 300 : 1000, options->quick);
      tree_lstm(bench, common.seed, options->quick);
    }
    if (wanted("models")) bench_models(bench, common.seed, options->quick);
    if (wanted("peers")) bench_peers(bench, common.seed, options->quick);
    if (wanted("passes")) bench_passes(bench, common.seed, options->quick);
    if (wanted("blocks")) bench_blocks(bench, common.seed, options->quick);
    bench.finish();
  });
}

}  // namespace ballast::dynamic
