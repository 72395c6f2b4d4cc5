#include "ballast/orch/bytes_grid.h"

#include <fmt/format.h>

#include <cmath>

#include "ballast/base/bench.h"
#include "ballast/base/statistics.h"
#include "ballast/orch/workload.h"

namespace ballast::orch {

const std::vector<ModelCell>& model_cells() {
  const auto cell = [](double theta, std::uint32_t item, double push, double pull, double sort, double flat,
                       double four) {
    return ModelCell{
        theta,
        item,
        16,
        50'000,
        {{"push", push}, {"pull-dedup", pull}, {"sort", sort}, {"td-orch:flat", flat}, {"td-orch:4", four}}};
  };
  static const std::vector<ModelCell> cells{
      cell(0, 64, 2270, 3323, 4339, 2258, 3172),
      cell(0.99, 64, 4040, 1524, 3456, 1130, 1526),
      cell(1.2, 64, 7894, 596, 3180, 461, 609),
      cell(0, 1024, 2270, 47635, 35623, 2270, 3177),
      cell(0.99, 1024, 4040, 21842, 16316, 1757, 2228),
      cell(1.2, 1024, 7894, 8545, 9505, 966, 1173),
      cell(1.5, 1024, 14240, 1989, 4885, 399, 445),
      cell(2.0, 1024, 22006, 397, 2877, 167, 172),
      {1.5,
       8192,
       256,
       4'000,
       {{"push", 18790}, {"pull-dedup", 9077}, {"sort", 1348}, {"td-orch:flat", 4324}, {"td-orch:4", 610}}},
  };
  return cells;
}

void grid_suite(const cli::Common& common) {
  Bench bench("orch", "grid", common);
  Table table("KiB through the busiest machine: counted (modelled)",
              {"exponent", "item", "P", "push", "pull-dedup", "sort", "td-orch flat", "td-orch F=4",
               "work max/mean", "best baseline / best td-orch"});
  for (const auto& cell : model_cells()) {
    auto cluster = cluster::Cluster::open({.machines = cell.machines, .seed = common.seed});
    std::vector<std::string> methods;
    for (const auto& figure : cell.figures) methods.push_back(figure.method);
    const auto outcomes = run_cell(cluster,
                                   {.theta = cell.theta,
                                    .item_bytes = cell.item_bytes,
                                    .machines = cell.machines,
                                    .tasks = cell.tasks,
                                    .keys = 1'000'000},
                                   methods, {}, common.seed);
    std::vector<std::string> row{fmt::format("{}", cell.theta), fmt::format("{}", cell.item_bytes),
                                 fmt::format("{}", cell.machines)};
    double baseline = INFINITY, ours = INFINITY, imbalance = 0;
    std::string baseline_name;
    for (std::size_t m = 0; m < methods.size(); ++m) {
      const auto& report = outcomes[m].report;
      const double kib = static_cast<double>(report.busiest_payload_bytes()) / 1024;
      row.push_back(fmt::format("{:.0f} ({:.0f})", kib, cell.figures[m].kib));
      if (methods[m].rfind("td-orch", 0) == 0) {
        ours = std::min(ours, kib);
        imbalance = std::max(imbalance, report.imbalance());
      } else if (kib < baseline) {
        baseline = kib;
        baseline_name = methods[m];
      }
      bench.add(
          {.id = fmt::format("model.z{}.b{}.p{}.{}", cell.theta, cell.item_bytes, cell.machines, methods[m]),
           .what = "counted against the bytes model; within 15 %",
           .unit = "KiB",
           .ours = kib,
           .peer = Peer{"bytes model", cell.figures[m].kib},
           .better = Better::lower,
           .target = 0.85,
           .basis = Basis::counted});
    }
    row.push_back(fmt::format("{:.3f}", imbalance));
    row.push_back(fmt::format("{:.2f}", baseline / ours));
    table.row(row);
    bench.add({.id = fmt::format("bytes.z{}.b{}.p{}", cell.theta, cell.item_bytes, cell.machines),
               .what = "busiest machine's bytes: td-orch (better of flat and F=4) against the best baseline",
               .unit = "KiB",
               .ours = ours,
               .peer = Peer{baseline_name, baseline},
               .better = Better::lower,
               .target = 1 / 1.05,
               .basis = Basis::counted});
  }
  if (common.for_people()) table.print(stdout);
  bench.section().table(table);
  bench.finish();
}

}  // namespace ballast::orch
