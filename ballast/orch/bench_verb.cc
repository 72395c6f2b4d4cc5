// `ballast orch bench`: all methods side by side on skewed batches.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ballast/base/bench.h"
#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/statistics.h"
#include "ballast/base/units.h"
#include "ballast/orch/bytes_grid.h"
#include "ballast/orch/verbs.h"
#include "ballast/orch/workload.h"

namespace ballast::orch {
namespace {

struct BenchOptions {
  std::vector<std::string> methods{"push",          "pull",      "pull-dedup",   "sort",
                                   "hot-replicate", "hot-aware", "tree-combine", "td-orch"};
  std::vector<double> zipf{0, 0.99, 1.2, 1.5};
  std::vector<std::uint32_t> item{64, 1024, 8192};
  std::string keys = "1e6", tasks = "50000", transport = "threads", fanout = "auto", placement = "butterfly";
  std::string push_limit, meta_limit, net, account, suite = "table";
  int machines = 16;
  int machines_per_rank = 1;
  bool write = false, rank_order = false, quick = false;
  bool no_forest = false, no_merge = false, no_park = false, no_direct_pull = false, no_fuse = false,
       no_sketch = false, no_overlap = false, no_memory = false, always_pull = false, check_merge = false;
  double spill = -1;
  int threads = 1;
  std::string segment = "262144";
};

bool is_baseline(const std::string& method) {
  return method.rfind("td-orch", 0) != 0 && method != "reference";
}

// One table a cell group: the methods on the same tasks.
void table_suite(const BenchOptions& given, const cli::Common& common) {
  Bench bench("orch", "table", common);
  Options base;
  base.fanout = given.fanout;
  base.push_limit = given.push_limit;
  base.meta_limit = given.meta_limit;
  cli::require_one_of("--placement", given.placement, {"butterfly", "hash"});
  base.placement = given.placement == "hash" ? Placement::hash : Placement::butterfly;
  if (given.no_forest) base.fanout = "flat";
  base.merge_updates = !given.no_merge;
  base.park = !given.no_park;
  base.always_pull = given.always_pull;
  base.direct_pull = !given.no_direct_pull;
  base.fuse = !given.no_fuse;
  base.sketch = !given.no_sketch;
  base.overlap = !given.no_overlap;
  base.remember = !given.no_memory;
  base.spill = given.spill;
  base.check_merge = given.check_merge;
  base.segment_bytes = parse_count("--segment", given.segment);
  if (base.segment_bytes < 1) throw InvalidInput("--segment", given.segment, "at least 1 byte");
  if (given.threads < 1 || given.threads > 256)
    throw InvalidInput("--threads", std::to_string(given.threads), "1 to 256");
  base.threads = given.threads;
  auto cluster = cluster::Cluster::open({.machines = given.transport == "mpi" ? 0 : given.machines,
                                         .transport = given.transport,
                                         .net = given.net,
                                         .machines_per_rank = given.machines_per_rank,
                                         .seed = common.seed});
  const bool speaks = cluster.is_first();
  Json cells = Json::array();
  for (double theta : given.zipf) {
    for (std::uint32_t item : given.item) {
      const Cell cell{.theta = theta,
                      .item_bytes = item,
                      .machines = cluster.machines(),
                      .tasks = parse_count("--tasks", given.tasks),
                      .keys = parse_count("--keys", given.keys),
                      .write = given.write,
                      .rank_order = given.rank_order};
      const auto outcomes = run_cell(cluster, cell, given.methods, base, common.seed);
      if (!speaks) continue;
      Table table(fmt::format("exponent {}, items of {} bytes, {} machines x {} tasks, {} keys", theta, item,
                              cell.machines, cell.tasks, cell.keys),
                  {"method", "forest", "busiest KiB (counted)", "sum KiB (counted)", "supersteps",
                   "work max/mean (counted)", "seconds (measured)"});
      double best = INFINITY;
      std::string best_name;
      for (const auto& outcome : outcomes) {
        const auto& report = outcome.report;
        table.row({outcome.method, report.forest,
                   fmt::format("{:.0f}", static_cast<double>(report.busiest_bytes()) / 1024),
                   fmt::format("{:.0f}", static_cast<double>(report.total().payload_sent()) / 1024),
                   std::to_string(report.supersteps), fmt::format("{:.2f}", report.imbalance()),
                   fmt::format("{:.3f}", outcome.seconds)});
        Json json = report.to_json();
        json["theta"] = theta;
        json["item"] = item;
        json["name"] = outcome.method;
        json["seconds"] = outcome.seconds;
        cells.push_back(json);
        if (is_baseline(outcome.method) && static_cast<double>(report.busiest_bytes()) < best) {
          best = static_cast<double>(report.busiest_bytes());
          best_name = outcome.method;
        }
      }
      if (common.for_people()) {
        table.print(stdout);
        std::puts("");
      }
      bench.section().table(table);
      for (const auto& outcome : outcomes) {
        if (is_baseline(outcome.method) || !std::isfinite(best)) continue;
        bench.add({.id = fmt::format("bytes.z{}.b{}.{}", theta, item, outcome.method),
                   .what = "busiest machine's bytes against the best baseline",
                   .unit = "B",
                   .ours = static_cast<double>(outcome.report.busiest_bytes()),
                   .peer = Peer{best_name, best},
                   .better = Better::lower,
                   .basis = Basis::counted});
      }
    }
  }
  if (!speaks) return;
  if (!given.account.empty()) write_file(given.account, cluster::to_csv(cluster.accounts()));
  bench.finish();
}

}  // namespace

void add_bench(cli::Program& program) {
  auto options = std::make_shared<BenchOptions>();
  auto verb = program.verb(
      "bench", "all methods side by side on skewed batches",
      {"ballast orch bench --quick --json orch.json",
       "ballast orch bench --methods push,pull-dedup,td-orch,td-orch:4 --zipf 0,1.2 --item 1024"});
  verb->add_option(
          "--suite", options->suite,
          "table: the cells asked for; grid: all counted figures of the chapter; ablation: one technique "
          "off at a time; shaped: times on an emulated slow network; uniform: td-orch against push without "
          "skew")
      ->capture_default_str();
  verb->add_flag("--quick", options->quick, "the figures of the chapter, within three minutes");
  verb->add_option("--methods", options->methods,
                   "of push, pull, pull-dedup, sort, hot-replicate, hot-aware, tree-combine, "
                   "td-orch[:FANOUT], reference")
      ->delimiter(',');
  verb->add_option("--zipf", options->zipf, "exponents of the key distribution")->delimiter(',');
  verb->add_option("--item", options->item, "bytes of an item")->delimiter(',');
  verb->add_option("--keys", options->keys, "number of keys")->capture_default_str();
  verb->add_option("--tasks", options->tasks, "tasks of each machine")->capture_default_str();
  verb->add_option("--machines", options->machines, "P")->capture_default_str();
  verb->add_option("--transport", options->transport, "threads, shaped or mpi")->capture_default_str();
  verb->add_option("--net", options->net, "slow the links to this profile (`ballast cluster info`)");
  verb->add_option("--account", options->account,
                   "write what every machine sent in every superstep of the last cell, for `orch trace`")
      ->type_name("FILE.csv");
  verb->add_option("--machines-per-rank", options->machines_per_rank, "machines in each MPI rank")
      ->capture_default_str();
  verb->add_option("--fanout", options->fanout, "auto, flat, theory, or at least 2")->capture_default_str();
  verb->add_option("--placement", options->placement, "of transit nodes: butterfly or hash")
      ->capture_default_str();
  verb->add_option("--push-limit", options->push_limit,
                   "most tasks of one key that move (default: break-even)");
  verb->add_option("--meta-limit", options->meta_limit,
                   "most meta-tasks of one key and level that move (default: F)");
  verb->add_flag("--no-forest", options->no_forest, "as --fanout flat");
  verb->add_flag("--no-park", options->no_park, "tasks climb to the owner, however many they are");
  verb->add_flag("--always-pull", options->always_pull, "no tasks move");
  verb->add_flag("--no-merge", options->no_merge, "updates are not combined on their way");
  verb->add_flag("--no-direct-pull", options->no_direct_pull, "items go back down the tree, hop by hop");
  verb->add_flag("--no-fuse", options->no_fuse, "all replies in the last superstep");
  verb->add_flag("--no-sketch", options->no_sketch, "auto looks at the number of machines only");
  verb->add_flag("--no-overlap", options->no_overlap, "tasks run only when all have arrived");
  verb->add_flag("--no-memory", options->no_memory,
                 "every stage asks anew for sizes and skew, in place of taking those of the one before");
  auto* spill = verb->add_option(
      "--spill", options->spill,
      "an owner with more than 1 + this times the mean work gives tasks back (default: never)");
  verb->add_option("--segment", options->segment, "bytes above which an item goes down the tree in pieces")
      ->capture_default_str();
  verb->add_flag("--check-merge", options->check_merge,
                 "fail if the order of merging matters (with --write)");
  verb->add_option("--threads", options->threads, "threads on which a machine runs its tasks")
      ->capture_default_str();
  verb->add_flag("--write", options->write, "tasks also add to their item");
  verb->add_flag("--rank-order", options->rank_order, "keys are ranks, dealt to machines in turn");
  verb.run([options, spill](const cli::Common& common) {
    cli::require_one_of("--suite", options->suite, {"table", "grid", "shaped", "ablation", "uniform"});
    if (spill->count() > 0 && !(options->spill >= 0))
      throw InvalidInput("--spill", fmt::format("{}", options->spill), "at least 0");
    if (options->quick || options->suite == "grid") return grid_suite(common);
    if (options->suite == "shaped") return shaped_suite(common);
    if (options->suite == "ablation") return ablation_suite(common);
    if (options->suite == "uniform") {
      Bench bench("orch", "uniform", common);
      uniform_rows(common, bench);
      return bench.finish();
    }
    table_suite(*options, common);
  });
}

}  // namespace ballast::orch
