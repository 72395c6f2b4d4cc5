// The stop of orch in the guided tour: bytes of the busiest machine as skew grows, counted.
#include <fmt/format.h>

#include "ballast/base/units.h"
#include "ballast/orch/verbs.h"
#include "ballast/orch/workload.h"

namespace ballast::orch {

void add_tour(cli::Program& program) {
  program.tour("bytes of the busiest machine as skew grows: push, pull, td-orch",
               [](const cli::Common& common, Section& section) {
                 const Cell base{.item_bytes = 1024, .machines = 16, .tasks = 20'000, .keys = 200'000};
                 const std::vector<std::string> methods{"push", "pull-dedup", "td-orch"};
                 section.uneven =
                     "Sixteen machines hold 200 000 items of 1 KiB; each asks for 20 000 of them, some keys "
                     "far more often than "
                     "others, as users, words and hubs are.";
                 section.today =
                     "Send every request to the owner of its item (push): the owner of the hot key drowns. "
                     "Or fetch every item "
                     "once and work on the copy (pull): with little skew everything is copied.";
                 section.ballast =
                     "Decide for each key, on each machine, by the count of its requests, whether requests "
                     "or the item move; "
                     "nobody ever sees the whole histogram.";
                 Table table("MiB through the busiest machine, both phases and replies (counted)",
                             {"skew", "push", "pull", "td-orch", "push / td-orch", "work, busiest / mean"});
                 Chart chart{.kind = Chart::Kind::line,
                             .title = "Bytes of the busiest machine",
                             .x_label = "Zipf exponent of the keys",
                             .y_label = "MiB",
                             .basis = Basis::counted};
                 for (const auto& method : methods) chart.series.push_back({method, {}, {}});
                 auto cluster = cluster::Cluster::open({.machines = base.machines, .seed = common.seed});
                 for (double theta : {0.0, 0.5, 0.8, 0.99, 1.2, 1.5, 2.0}) {
                   cli::stop_if_interrupted();
                   Cell cell = base;
                   cell.theta = theta;
                   const auto outcomes = run_cell(cluster, cell, methods, {}, common.seed);
                   std::vector<double> mib;
                   for (std::size_t m = 0; m < methods.size(); ++m) {
                     mib.push_back(static_cast<double>(outcomes[m].report.busiest_bytes()) / 1048576.0);
                     chart.series[m].xs.push_back(theta);
                     chart.series[m].ys.push_back(mib.back());
                   }
                   table.row({fmt::format("{:.2f}", theta), fmt::format("{:.2f}", mib[0]),
                              fmt::format("{:.2f}", mib[1]), fmt::format("{:.2f}", mib[2]),
                              fmt::format("{:.1f}", mib[0] / mib[2]),
                              fmt::format("{:.2f} against push's {:.2f}", outcomes[2].report.imbalance(),
                                          outcomes[0].report.imbalance())});
                 }
                 section.table(table);
                 section.chart(chart);
                 section.text(
                     "Machines are threads; every byte between them is counted, and the replies of the three "
                     "are compared.");
                 section.command(
                     "ballast orch bench --methods push,pull-dedup,sort,hot-replicate,td-orch --zipf "
                     "0,0.99,1.5 --item 1024");
               });
}

}  // namespace ballast::orch
