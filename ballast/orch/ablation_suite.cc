// `orch bench --suite ablation`: td-orch with one technique off at a time, on a cell where it is meant to
// pay.
#include <fmt/format.h>

#include "ballast/base/bench.h"
#include "ballast/orch/bytes_grid.h"
#include "ballast/orch/stage.h"
#include "ballast/orch/workload.h"

namespace ballast::orch {
namespace {

struct Ablation {
  std::string id, what;
  Cell cell;
  Options on;
  void (*turn_off)(Options&);
};

std::vector<Ablation> ablations() {
  const Cell hot{.theta = 1.5, .item_bytes = 8192, .machines = 64, .tasks = 2'000, .keys = 100'000};
  const Cell mild{.theta = 0.99, .item_bytes = 1024, .machines = 16, .tasks = 10'000, .keys = 1'000'000};
  const Cell writes{.theta = 1.2,
                    .item_bytes = 256,
                    .machines = 64,
                    .tasks = 2'000,
                    .keys = 5'000,
                    .write = true,
                    .scatter = true};
  const Cell heavy{.theta = 1.2, .item_bytes = 65536, .machines = 16, .tasks = 2'000, .keys = 10'000};
  const Cell huge{.theta = 0, .item_bytes = 1u << 20, .machines = 16, .tasks = 40'000, .keys = 1};
  const Options four{.fanout = "4"};
  Options pieces{.fanout = "4", .meta_limit = "1"};
  pieces.segment_bytes = 128u << 10;
  Options level{.fanout = "flat"};
  level.spill = 0.05;
  return {
      {"forest", "trees of transit machines (off: flat)", hot, four, [](Options& o) { o.fanout = "flat"; }},
      {"placement", "butterfly placement of transit nodes (off: by hash)", hot, four,
       [](Options& o) { o.placement = Placement::hash; }},
      {"park", "parking (off: tasks climb to the owner)", hot, four, [](Options& o) { o.park = false; }},
      {"push",
       "pushing small groups (off: everything is pulled)",
       mild,
       {},
       [](Options& o) { o.always_pull = true; }},
      {"limit",
       "break-even push limit (off: C = B / sigma)",
       mild,
       {},
       [](Options& o) { o.push_limit = "theory"; }},
      {"meta", "meta-limit F (off: C)", hot, four, [](Options& o) { o.meta_limit = "theory"; }},
      {"direct-pull", "items straight to the slots (off: back by the tree)", hot, four,
       [](Options& o) { o.direct_pull = false; }},
      {"merge", "updates merged in transit", writes, four, [](Options& o) { o.merge_updates = false; }},
      {"fuse", "replies ride with the items", mild, {}, [](Options& o) { o.fuse = false; }},
      {"sketch",
       "auto looks at the hottest keys (off: by P alone)",
       hot,
       {},
       [](Options& o) { o.sketch = false; }},
      {"segments", "items of 1 MiB in pieces of 128 KiB", huge, pieces,
       [](Options& o) { o.segment_bytes = std::uint64_t{1} << 40; }},
      {"spill", "owners give work back (buys balance with bytes)", heavy, level,
       [](Options& o) { o.spill = -1; }},
  };
}

// Techniques that move the same bytes in less time: with and without in turn, on an emulated network.
void timed_rows(const cli::Common& common, Bench& bench) {
  struct Timed {
    std::string id, what;
    Cell cell;
    void (*turn_off)(Options&);
  };
  const Timed all[] = {
      {"overlap",
       "tasks run while others still travel",
       {.theta = 0, .item_bytes = 64, .machines = 8, .tasks = 20'000, .keys = 20'000},
       [](Options& o) { o.overlap = false; }},
      {"memory",
       "sizes and skew of the stage before serve",
       {.theta = 1.5, .item_bytes = 64, .machines = 16, .tasks = 2'000, .keys = 20'000},
       [](Options& o) { o.remember = false; }},
  };
  for (const auto& one : all) {
    cli::stop_if_interrupted();
    auto cluster =
        cluster::Cluster::open({.machines = one.cell.machines, .transport = "shaped", .seed = common.seed});
    Options on{.hot_keys = 0};
    Options off = on;
    one.turn_off(off);
    Comparison comparison;
    for (int turn = 0; turn < 4; ++turn) {
      for (const auto& [name, options] : {std::pair{"with", on}, {"without", off}}) {
        const auto runs = run_cell(cluster, one.cell, {"td-orch"}, options, common.seed, 4);
        for (std::size_t r = 1; r < runs.size(); ++r)  // the first finds an empty memory
          comparison.figures[name].push_back(runs[r].seconds);
      }
    }
    bench.add({.id = "off." + one.id,
               .what = "time of a stage without: " + one.what,
               .unit = "s",
               .better = Better::lower,
               .note = "emulated network",
               .comparison = comparison,
               .ours_name = "with",
               .peer_name = "without"});
  }
}

}  // namespace

void ablation_rows(const cli::Common& common, Bench& bench) {
  Table table("one technique off at a time (counted)",
              {"technique", "P", "exponent", "item", "busiest KiB on", "off", "off / on",
               "supersteps on, off", "work max/mean on, off"});
  for (const auto& one : ablations()) {
    cli::stop_if_interrupted();
    auto cluster = cluster::Cluster::open({.machines = one.cell.machines, .seed = common.seed});
    Options off = one.on;
    one.turn_off(off);
    Cell cell = one.cell;
    cell.made_on_demand = true;
    const auto with = run_cell(cluster, cell, {"td-orch"}, one.on, common.seed)[0],
               without = run_cell(cluster, cell, {"td-orch"}, off, common.seed)[0];
    if (with.answer != without.answer) throw StageFailed("td-orch gives another answer without " + one.id);
    const auto kib = [](const Outcome& o) { return static_cast<double>(o.report.busiest_bytes()) / 1024; };
    const std::string supersteps = fmt::format("{}, {}", with.report.supersteps, without.report.supersteps),
                      work =
                          fmt::format("{:.2f}, {:.2f}", with.report.imbalance(), without.report.imbalance());
    table.row({one.what, std::to_string(one.cell.machines), fmt::format("{}", one.cell.theta),
               std::to_string(one.cell.item_bytes), fmt::format("{:.0f}", kib(with)),
               fmt::format("{:.0f}", kib(without)), fmt::format("{:.2f}", kib(without) / kib(with)),
               supersteps, work});
    bench.add({.id = "off." + one.id,
               .what = "busiest machine's bytes without: " + one.what,
               .unit = "KiB",
               .ours = kib(with),
               .peer = Peer{"td-orch without", kib(without)},
               .better = Better::lower,
               .basis = Basis::counted,
               .note = fmt::format("supersteps {}; work {}", supersteps, work)});
  }
  if (common.for_people()) table.print(stdout);
  bench.section().table(table);
  timed_rows(common, bench);
}

void ablation_suite(const cli::Common& common) {
  Bench bench("orch", "ablation", common);
  ablation_rows(common, bench);
  bench.finish();
}

}  // namespace ballast::orch
