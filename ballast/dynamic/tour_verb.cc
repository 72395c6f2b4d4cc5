#include <fmt/format.h>

#include <deque>

#include "ballast/base/bench.h"
#include "ballast/base/errors.h"
#include "ballast/dynamic/bench_contest.h"
#include "ballast/dynamic/corpora.h"
#include "ballast/dynamic/fsm.h"
#include "ballast/dynamic/peers/torch_models.h"
#include "ballast/dynamic/verbs.h"
#include "ballast/dynamic/workloads.h"

namespace ballast::dynamic {

void add_tour(cli::Program& program) {
  program.tour("batches out of trees and lattices", [](const cli::Common& common, Section& section) {
    section.title = "dynamic: batches out of trees and lattices";
    section.uneven =
        "Every sentence has its own tree or lattice, so no two instances run the same operators in the same "
        "order.";
    section.today =
        "Run one instance at a time, group by depth, or follow a fixed heuristic (DyNet's agenda).";
    section.ballast =
        "A small state machine, learned once for a model, says which kind of operator to run next; batched "
        "kernels read "
        "their operands where they lie.";
    Chart chart{.kind = Chart::Kind::bar,
                .title = "Batches over the least possible",
                .y_label = "ratio",
                .labels = {},
                .basis = Basis::counted};
    std::vector<Series> bars{{"depth", {}, {}}, {"agenda", {}, {}}, {"learned", {}, {}}};
    Table table("Batches for 32 unseen instances (counted)",
                {"model", "nodes", "lower bound", "depth", "agenda", "learned", "encoding", "states"});
    for (const char* name : {"tree", "lattice", "bilstm-char"}) {
      std::deque<Graph> graphs;
      std::deque<Structure> structures;
      for (std::uint64_t g = 0; g < 5; ++g) {
        graphs.push_back(make_workload(name, 32, common.seed, g * 32));
        structures.emplace_back(graphs.back());
      }
      LearnOptions options;
      options.iterations = 200;
      const Learned learned =
          learn_best({&structures[0], &structures[1]}, {&structures[2], &structures[3]}, options);
      const Structure& unseen = structures[4];
      FsmPolicy policy(learned.table);
      const std::size_t counts[] = {schedule_by_name(unseen, "depth").size(),
                                    schedule_by_name(unseen, "agenda").size(),
                                    schedule(unseen, policy).size()};
      chart.labels.emplace_back(name);
      for (std::size_t i = 0; i < 3; ++i)
        bars[i].ys.push_back(static_cast<double>(counts[i]) / unseen.lower_bound);
      table.row({name, std::to_string(unseen.graph.size()), std::to_string(unseen.lower_bound),
                 std::to_string(counts[0]), std::to_string(counts[1]), std::to_string(counts[2]),
                 to_string(learned.table.encoding), std::to_string(learned.table.actions.size())});
    }
    chart.series = bars;
    section.table(table).chart(chart);

    // The shipped models on what installed packages bring; without them on generated instances.
    Table runs(
        "The same model file, weights and instances (measured; batches counted)",
        {"model", "instances", "system", "launches", "times faster than libtorch one by one", "spread"});
    for (const auto& [name, corpus, what] :
         {std::tuple{"treelstm", "wordnet", "trees of kinds from WordNet"},
          std::tuple{"latticelstm", "chinese", "lattices of Chinese sentences with jieba's dictionary"}}) {
      const Module module = load_model(name, {{"H", 64}, {"V", 2000}});
      std::vector<Instance> batch;
      std::string from = what;
      try {
        batch = read_corpus(module, corpus, 32, common.seed);
      } catch (const Unavailable&) {
        batch = draw_instances(module, 32, common.seed);
        from = "generated (the package of the real ones is not installed)";
      }
      Contest contest(module, batch, common.seed);
      contest.add({"Ballast", {}, {}});
      contest.add({"Ballast, one node at a time", {}, {.policy = "unbatched"}});
      contest.add(
          {"whole cells by depth (as TensorFlow Fold)", {}, {.policy = "depth", .gather = Gather::copied}});
      contest.add({"single operators by agenda (as DyNet)",
                   unfused(),
                   {.policy = "agenda", .gather = Gather::copied}});
      std::string base = "Ballast, one node at a time";
      const auto eager = torch_eager(name, module, contest.parameters(), contest.batch());
      if (eager) {
        base = "libtorch, one instance at a time";
        contest.compare(eager->run());
        contest.add(base, [&] { return time_of([&] { eager->run(); }); });
      }
      const auto timing = contest.time(5, common.seed, 6);
      std::size_t i = 0;
      for (const char* system :
           {"Ballast", "Ballast, one node at a time", "whole cells by depth (as TensorFlow Fold)",
            "single operators by agenda (as DyNet)"}) {
        const auto ratio = timing.ratio(base, system);
        runs.row({name, from, system, std::to_string(contest.batches(i++)),
                  fmt::format("{:.1f}", ratio.median), fmt::format("{:.1f}-{:.1f}", ratio.low, ratio.high)});
      }
      runs.row({name, from, base, "", "1.0", contest.answers_note()});
    }
    section.table(runs);
    section.command("ballast dynamic schedule lattice --instances 32");
    section.command("ballast dynamic run treelstm --data wordnet --check");
    section.command("ballast dynamic run latticelstm --data chinese --check");
  });
}

}  // namespace ballast::dynamic
