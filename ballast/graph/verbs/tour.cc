// The stop of graph in the guided tour: a real graph, the answers checked, and what the busiest machine
// carries as skew grows, by three ways of bringing edges to their vertices' values.
#include <fmt/format.h>

#include "ballast/base/errors.h"
#include "ballast/base/units.h"
#include "ballast/data/datasets.h"
#include "ballast/graph/formats/format.h"
#include "ballast/graph/generate.h"
#include "ballast/graph/run.h"
#include "ballast/graph/verbs/verbs.h"

namespace ballast::graph {
namespace {

constexpr int kMachines = 16;
const std::vector<std::string> kMethods{"push", "pull", "td-orch"};

// The real graph where it is installed, else a Kronecker graph of its size.
std::pair<std::string, EdgeList> subject(std::uint64_t seed) {
  const std::string folder = data::try_dataset("graph-collection");
  if (!folder.empty())
    return {"email-Enron (36 692 people, 183 831 pairs who wrote to each other)",
            read_graph(folder + "/email-Enron.gt.gz")};
  return {"a Kronecker graph of 32 768 vertices (the graph collection is not installed)",
          Generator({.kind = "kron", .scale = 15, .degree = 6, .seed = seed}).all()};
}

JobReport staged(const EdgeList& list, const std::string& algorithm, const std::string& method,
                 VertexId source, int iterations, std::uint64_t seed) {
  return run_job(*source_of(list), {.algorithm = algorithm,
                                    .cluster = {.machines = kMachines, .seed = seed},
                                    .parameters = {.source = source, .rank = {.iterations = iterations}},
                                    .stages = orch::Options{.method = orch::method_from_string(method)}});
}

std::string kib(std::uint64_t bytes) {
  return fmt::format("{:.0f}", static_cast<double>(bytes) / 1024);
}

Table real_graph(const std::string& name, const EdgeList& list, std::uint64_t seed) {
  Table table(fmt::format("{}, 16 machines: KiB through the busiest machine (counted)", name),
              {"algorithm", "push", "pull", "td-orch stages", "td-orch routes, replayed", "answers"});
  for (const std::string algorithm : {"bfs", "cc", "pr"}) {
    cli::stop_if_interrupted();
    AlgorithmOptions parameters{.rank = {.iterations = 5}};
    const NamedValues expected = named(run_sequential(algorithm, list, parameters), list);
    bool right = true;
    std::vector<std::string> row{algorithm};
    for (const auto& method : kMethods) {
      const JobReport report = staged(list, algorithm, method, 0, 5, seed);
      right = right && compare(algorithm, expected, named(report.result, list)).same;
      row.push_back(kib(report.busiest_bytes));
    }
    const JobReport routes = run_job(
        *source_of(list),
        {.algorithm = algorithm, .cluster = {.machines = kMachines, .seed = seed}, .parameters = parameters});
    right = right && compare(algorithm, expected, named(routes.result, list)).same;
    row.push_back(kib(routes.busiest_bytes));
    row.push_back(right ? "all equal to one core's" : "WRONG");
    table.row(row);
  }
  return table;
}

void sweep(Section& section, std::uint64_t seed) {
  Table table("One round over 65 536 edges as the skew of their sources grows, 16 machines (counted)",
              {"exponent", "push KiB", "pull KiB", "td-orch KiB", "push / td-orch",
               "edges of the busiest machine / mean"});
  Chart chart{.kind = Chart::Kind::line,
              .title = "Bytes of the busiest machine in one round",
              .x_label = "Zipf exponent of the out-degrees",
              .y_label = "KiB",
              .basis = Basis::counted};
  for (const auto& method : kMethods) chart.series.push_back({method, {}, {}});
  for (const double skew : {0.0, 0.5, 0.8, 1.0, 1.2, 1.5, 2.0}) {
    cli::stop_if_interrupted();
    const EdgeList list =
        Generator({.kind = "zipf", .scale = 13, .degree = 8, .skew = skew, .seed = seed, .directed = true})
            .all();
    std::vector<double> figures;
    std::vector<std::string> imbalance;
    for (std::size_t m = 0; m < kMethods.size(); ++m) {
      const JobReport one = staged(list, "pr", kMethods[m], 0, 1, seed),
                      two = staged(list, "pr", kMethods[m], 0, 2, seed);
      // The difference is one round, without the counting of degrees.
      figures.push_back(static_cast<double>(two.busiest_bytes - one.busiest_bytes) / 1024);
      imbalance.push_back(fmt::format("{:.2f}", two.stage_imbalance));
      chart.series[m].xs.push_back(skew);
      chart.series[m].ys.push_back(figures.back());
    }
    table.row({fmt::format("{:.1f}", skew), fmt::format("{:.0f}", figures[0]),
               fmt::format("{:.0f}", figures[1]), fmt::format("{:.0f}", figures[2]),
               fmt::format("{:.1f}", figures[0] / figures[2]),
               fmt::format("td-orch {}, push {}", imbalance[2], imbalance[0])});
  }
  section.table(table);
  section.chart(chart);
}

}  // namespace

void add_tour(cli::Program& program) {
  program.tour("bytes of the busiest machine on a real graph, and as hubs grow", [](const cli::Common& common,
                                                                                    Section& section) {
    section.uneven =
        "In most real graphs a few vertices hold most of the edges, so the machine that owns a hub gets the "
        "work of many.";
    section.today =
        "Push every edge to the owner of its source, or pull a copy of the source's value for every edge.";
    section.ballast =
        "Every round is an orchestration stage: for each source, on each machine, the count of its edges "
        "decides whether "
        "they move or the value does. The engine finds that out once, when it reads the graph, and then "
        "replays the routes.";
    const auto [name, list] = subject(common.seed);
    section.table(real_graph(name, list, common.seed));
    sweep(section, common.seed);
    section.text(
        "Machines are threads; every byte between them is counted. Every answer is compared with a "
        "sequential one.");
    section.command("ballast graph run pr collection:email-Enron --machines 16 --stages td-orch --verify");
  });
}

}  // namespace ballast::graph
