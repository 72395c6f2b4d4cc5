#include <fmt/format.h>

#include <deque>

#include "ballast/base/bench.h"
#include "ballast/dynamic/fsm.h"
#include "ballast/dynamic/tree_lstm.h"
#include "ballast/dynamic/verbs.h"

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

    TreeLstm model({.embedding = 64, .hidden = 64}, common.seed);
    std::vector<Tree> trees;
    for (std::uint64_t i = 0; i < 32; ++i) trees.push_back(draw_tree(common.seed, i));
    const TreeBatch batch(trees);
    const Structure structure(batch.graph());
    std::map<std::string, Schedule> schedules;
    for (const char* name : {"unbatched", "depth", "agenda", "suff"})
      schedules[name] = schedule_by_name(structure, name);
    std::vector<Contestant> contestants;
    for (const auto& [name, plan] : schedules)
      contestants.push_back({name, [&, p = &plan] { return model.run(batch, *p).seconds; }});
    const auto timing = interleave(contestants, {.rounds = 7, .seed = common.seed});
    Table runs("TreeLSTM on 32 trees, same kernels and same bits (measured)",
               {"policy", "launches", "times faster than unbatched", "spread"});
    for (const char* name : {"unbatched", "depth", "agenda", "suff"}) {
      const auto ratio = timing.ratio("unbatched", name);
      runs.row({name, std::to_string(schedules[name].size()), fmt::format("{:.1f}", ratio.median),
                fmt::format("{:.1f}-{:.1f}", ratio.low, ratio.high)});
    }
    section.table(runs);
    section.command("ballast dynamic schedule lattice --instances 32");
    section.command("ballast dynamic bench --quick");
  });
}

}  // namespace ballast::dynamic
