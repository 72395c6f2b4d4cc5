// The stop of kv in the guided tour: YCSB A as its keys grow more uneven, and a real Redis client's view.
#include <fmt/format.h>

#include "ballast/kv/verbs.h"
#include "ballast/kv/ycsb.h"

namespace ballast::kv {

void add_tour(cli::Program& program) {
  program.tour("YCSB A under growing skew, by push, pull and td-orch", [](const cli::Common& common,
                                                                          Section& section) {
    const std::vector<std::string> methods{"push", "pull-dedup", "td-orch"};
    section.uneven =
        "A key-value store of 20 000 records of 1 kB on 8 machines; half of the operations read a record, "
        "half write a field.";
    section.today =
        "Every operation goes to the machine that owns its key: the owner of the popular record does most of "
        "the work.";
    section.ballast =
        "The same operations as a batch through orch: popular records visit the machines that ask, writes "
        "merge on the way back.";
    Table table("YCSB A, 3000 operations a machine",
                {"exponent", "hottest key (counted)", "MiB busiest: push", "pull", "td-orch (counted)",
                 "work, busiest / mean: push", "td-orch (counted)"});
    Chart chart{.kind = Chart::Kind::line,
                .title = "Bytes of the busiest machine, YCSB A",
                .x_label = "exponent of the key distribution",
                .y_label = "MiB",
                .basis = Basis::counted};
    for (const auto& method : methods) chart.series.push_back({method, {}, {}});
    auto cluster = cluster::Cluster::open({.machines = 8, .seed = common.seed});
    for (double exponent : {0.0, 0.6, 0.99, 1.2, 1.5}) {
      cli::stop_if_interrupted();
      Workload workload = Workload::named("A");
      workload.records = 20'000;
      workload.exponent = exponent;
      const auto results = run_workload(cluster, workload, methods, 3'000, 1, common.seed);
      std::vector<std::string> row{fmt::format("{}", exponent),
                                   fmt::format("{:.1f} %", 100 * results[0].hottest_share)};
      for (std::size_t m = 0; m < methods.size(); ++m) {
        const double mib = static_cast<double>(results[m].busiest_bytes) / 1048576.0;
        chart.series[m].xs.push_back(exponent);
        chart.series[m].ys.push_back(mib);
        row.push_back(fmt::format("{:.2f}", mib));
      }
      row.push_back(fmt::format("{:.2f}", results[0].report.imbalance()));
      row.push_back(fmt::format("{:.2f}", results[2].report.imbalance()));
      table.row(row);
    }
    section.table(table);
    section.chart(chart);
    section.text("The three leave the same store and give the same replies: a digest of both is compared.");
    section.command("ballast kv serve --resp 127.0.0.1:6380    # then: redis-cli -p 6380 set greeting hello");
  });
}

}  // namespace ballast::kv
