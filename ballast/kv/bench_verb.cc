// `ballast kv bench`: YCSB workloads, all methods side by side.
#include <fmt/format.h>

#include <cmath>

#include "ballast/base/bench.h"
#include "ballast/base/errors.h"
#include "ballast/base/statistics.h"
#include "ballast/base/units.h"
#include "ballast/kv/verbs.h"
#include "ballast/kv/ycsb.h"

namespace ballast::kv {
namespace {

struct BenchOptions {
  bool quick = false;
  std::vector<std::string> workloads{"A", "B", "C", "D", "E", "F"};
  std::vector<std::string> methods{"push", "pull-dedup", "sort", "hot-replicate", "hot-aware", "td-orch"};
  std::vector<double> exponents{0.99, 1.5};
  std::string suite = "ycsb", batch = "5000", records = "100000", net;
  int machines = 8, rounds = 1;
};

}  // namespace

void add_bench(cli::Program& program) {
  auto options = std::make_shared<BenchOptions>();
  auto verb = program.verb(
      "bench", "YCSB workloads by all methods, on the same operations",
      {"ballast kv bench --quick --json kv.json", "ballast kv bench --workload A --zipf 1.2 --net slow",
       "ballast kv bench --workload workloads/workloada"});
  verb->add_option("--suite", options->suite, "ycsb; server: beside Redis and memcached, over sockets")
      ->capture_default_str();
  verb->add_flag("--quick", options->quick,
                 "the figures of the chapter: YCSB on an emulated slow network, then the server");
  verb->add_option("--workload", options->workloads, "A to F or .properties files")->delimiter(',');
  verb->add_option("--methods", options->methods, "as in `ballast orch bench`")->delimiter(',');
  verb->add_option("--zipf", options->exponents, "exponents of the key distribution")->delimiter(',');
  verb->add_option("--batch", options->batch, "operations of each machine in a batch")->capture_default_str();
  verb->add_option("--rounds", options->rounds, "batches")->capture_default_str();
  verb->add_option("--records", options->records, "records of the lettered workloads")->capture_default_str();
  verb->add_option("--machines", options->machines, "P")->capture_default_str();
  verb->add_option("--net", options->net, "slow the links to this profile (`ballast cluster info`)");
  verb.run([options](const cli::Common& common) {
    if (options->quick) {
      if (options->net.empty()) options->net = "slow";
      options->rounds = std::max(options->rounds, 3);
    }
    cli::require_one_of("--suite", options->suite, {"ycsb", "server"});
    Bench bench("kv", options->suite, common);
    if (options->suite == "server") {
      server_rows(common, bench, 7);
      return bench.finish();
    }
    std::vector<double> gains, bytes_gains, aware_gains;
    auto cluster =
        cluster::Cluster::open({.machines = options->machines, .net = options->net, .seed = common.seed});
    for (const auto& name : options->workloads) {
      for (double exponent : options->exponents) {
        cli::stop_if_interrupted();
        Workload workload = name.size() == 1 ? Workload::named(name) : Workload::from_properties(name);
        if (name.size() == 1) workload.records = parse_count("--records", options->records);
        if (name == "D" && exponent != options->exponents[0]) continue;  // its law has YCSB's own constant
        workload.exponent = exponent;
        std::vector<std::string> methods = options->methods;
        if (workload.scan > 0) methods.push_back(kIndexMethod);
        const auto results = run_workload(
            cluster, workload, methods,
            std::max<std::uint64_t>(1, parse_count("--batch", options->batch) /
                                           (workload.scan > 0 ? 25 : 1)),  // a scan is many reads
            options->rounds, common.seed);
        Table table(
            fmt::format("YCSB {} exponent {}: hottest key {:.1f} % of the draws, top 100 {:.1f} %{}",
                        workload.name, exponent, 100 * results[0].hottest_share,
                        100 * results[0].top100_share,
                        options->net.empty() ? "" : "; emulated network " + options->net),
            {"method", "operations/s (measured)", "busiest MiB (counted)", "work max/mean (counted)"});
        // The best baseline; our own cost-aware cache of hot keys is looked at apart.
        const WorkloadResult *best = nullptr, *fewest = nullptr, *aware = nullptr, *ours = nullptr,
                             *indexed = nullptr;
        for (const auto& result : results) {
          table.row({result.method, format_count(static_cast<double>(result.operations) / result.seconds),
                     fmt::format("{:.2f}", static_cast<double>(result.busiest_bytes) / 1048576.0),
                     result.method == kIndexMethod ? "" : fmt::format("{:.2f}", result.report.imbalance())});
          if (result.method.rfind("td-orch", 0) == 0) {
            ours = &result;
            continue;
          }
          if (result.method == kIndexMethod) {
            indexed = &result;
            continue;
          }
          if (result.method == "hot-aware") {
            aware = &result;
            continue;
          }
          if (best == nullptr || result.seconds < best->seconds) best = &result;
          if (fewest == nullptr || result.busiest_bytes < fewest->busiest_bytes) fewest = &result;
        }
        if (common.for_people()) {
          table.print(stdout);
          std::puts("");
        }
        bench.section().table(table);
        if (indexed != nullptr && best != nullptr)
          bench.add(
              {.id = fmt::format("ycsb.index.{}.z{}", workload.name, exponent),
               .what = "operations/s of the ordered mode on the index against the best method on ranges "
                       "with splitters",
               .unit = "op/s",
               .ours = static_cast<double>(indexed->operations) / indexed->seconds,
               .peer = Peer{best->method, static_cast<double>(best->operations) / best->seconds},
               .better = Better::higher,
               .note = options->net.empty() ? "threads, no network" : "emulated network " + options->net});
        if (ours == nullptr || best == nullptr) continue;
        gains.push_back(best->seconds / ours->seconds);
        bytes_gains.push_back(static_cast<double>(fewest->busiest_bytes) /
                              static_cast<double>(ours->busiest_bytes));
        if (aware != nullptr) aware_gains.push_back(std::min(best->seconds, aware->seconds) / ours->seconds);
        bench.add({.id = fmt::format("ycsb.bytes.{}.z{}", workload.name, exponent),
                   .what = "busiest machine's bytes of td-orch against the best baseline",
                   .unit = "B",
                   .ours = static_cast<double>(ours->busiest_bytes),
                   .peer = Peer{fewest->method, static_cast<double>(fewest->busiest_bytes)},
                   .better = Better::lower,
                   .basis = Basis::counted});
        bench.add(
            {.id = fmt::format("ycsb.{}.z{}", workload.name, exponent),
             .what = "operations/s of td-orch against the best baseline of the cell",
             .unit = "op/s",
             .ours = static_cast<double>(ours->operations) / ours->seconds,
             .peer = Peer{best->method, static_cast<double>(best->operations) / best->seconds},
             .better = Better::higher,
             .note = options->net.empty() ? "threads, no network" : "emulated network " + options->net});
      }
    }
    if (!gains.empty()) {
      bench.add({.id = "ycsb.geomean",
                 .what = "geometric mean of the gains over the best baseline of each cell",
                 .unit = "x",
                 .ours = geometric_mean(gains),
                 .better = Better::higher,
                 .target = 1.5});
      bench.add({.id = "ycsb.bytes.geomean",
                 .what = "the same of the busiest machine's bytes",
                 .unit = "x",
                 .ours = geometric_mean(bytes_gains),
                 .better = Better::higher,
                 .basis = Basis::counted});
    }
    if (!aware_gains.empty())
      bench.add({.id = "ycsb.aware.geomean",
                 .what = "of the operations/s, with our own cost-aware cache of hot keys among the baselines",
                 .unit = "x",
                 .ours = geometric_mean(aware_gains),
                 .better = Better::higher});
    if (options->quick) server_rows(common, bench, 3);
    bench.finish();
  });
}

}  // namespace ballast::kv
