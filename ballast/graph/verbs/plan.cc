// `ballast graph plan`: what an algorithm would take on a graph and machines that are not here.
#include "ballast/graph/plan.h"

#include <fmt/format.h>

#include "ballast/base/errors.h"
#include "ballast/base/units.h"
#include "ballast/graph/generate.h"
#include "ballast/graph/verbs/verbs.h"

namespace ballast::graph {
namespace {

struct PlanVerb {
  std::string algorithm = "pr", kind = "kron", vertices = "1e9", net = "10gbe";
  double degree = 16, memory_gib = 64;
  std::vector<int> machines{16, 64, 256};
};

JobReport measure(const std::string& kind, const std::string& algorithm, unsigned scale, double degree,
                  int machines, std::uint64_t seed) {
  GenerateOptions options{.kind = kind, .scale = scale, .seed = seed, .weighted = algorithm == "sssp"};
  options.degree = static_cast<std::uint64_t>(degree);
  if (kind == "road") options.size = std::uint64_t{1} << scale / 2;
  const Generator generator(options);
  const auto source = source_of(generator, options);
  // The hub or a crossing in the middle: the run is not to end at an isolated vertex.
  const EdgeList list = generator.all();
  std::vector<std::uint32_t> ends(list.vertices, 0);
  for (const Edge& e : list.edges) ++ends[e.source], ++ends[e.target];
  const auto start = static_cast<VertexId>(std::max_element(ends.begin(), ends.end()) - ends.begin());
  return run_job(*source, {.algorithm = algorithm,
                           .cluster = {.machines = machines, .seed = seed},
                           .parameters = {.source = start, .rank = {.iterations = 10}}});
}

std::string error_of(double modelled, double measured) {
  return fmt::format("{:+.0f} %", 100 * (modelled / measured - 1));
}

void plan(const PlanVerb& options, const cli::Common& common) {
  cli::require_one_of("ALGORITHM", options.algorithm, {"bfs", "sssp", "cc", "pr"});
  cli::require_one_of("--kind", options.kind, {"kron", "uniform", "road"});
  if (!(options.degree >= 1 && options.degree <= 1024))
    throw InvalidInput("--degree", fmt::format("{}", options.degree), "1 to 1024 edges a vertex");
  if (!(options.memory_gib > 0))
    throw InvalidInput("--memory-gib", fmt::format("{}", options.memory_gib), "above 0");
  for (int machines : options.machines) {
    if (machines < 1) throw InvalidInput("--machines", std::to_string(machines), "at least 1");
  }
  const std::uint64_t vertices = parse_count("--vertices", options.vertices);
  if (vertices < 2) throw InvalidInput("--vertices", options.vertices, "at least 2");
  const cluster::Profile net = cluster::find_profile(options.net);

  std::vector<PlanPoint> points;
  for (unsigned scale : {9u, 11u, 13u}) {
    for (int machines : {2, 4, 8}) {
      cli::stop_if_interrupted();
      const JobReport report =
          measure(options.kind, options.algorithm, scale, options.degree, machines, common.seed);
      points.push_back(point_of(report, report.result.size()));
    }
  }
  const PlanLaws laws = fit_plan(points);
  const JobReport held = measure(options.kind, options.algorithm, 15, options.degree, 16, common.seed);
  const PlanPoint measured = point_of(held, held.result.size());
  const PlanFigures told = laws.at(measured.size);
  Table errors(fmt::format("Held out of the fit: {} vertices on 16 machines, where the fit saw up to {} on 8",
                           held.result.size(), points.back().size.vertices),
               {"figure of the busiest machine", "modelled against counted or measured"});
  const std::vector<std::tuple<const char*, double, double>> pairs{
      {"bytes on the wire (counted)", told.bytes, measured.figures.bytes},
      {"memory (counted)", told.memory, measured.figures.memory},
      {"supersteps (counted)", told.supersteps, measured.figures.supersteps},
      {"CPU time (measured)", told.cpu_s, measured.figures.cpu_s}};
  Json held_out = Json::object();
  for (const auto& [name, modelled, real] : pairs) {
    errors.row({name, error_of(modelled, real)});
    held_out[name] = modelled / real - 1;
  }

  Table table(fmt::format("{} on a {} graph of {} vertices and {} edges each way, {} (modelled)",
                          options.algorithm, options.kind, format_count(static_cast<double>(vertices)),
                          format_count(static_cast<double>(vertices) * options.degree), net.name),
              {"P", "time s", "of it network", "GiB sent by the busiest", "supersteps", "copies of a vertex",
               "memory of a machine"});
  Json rows = Json::array();
  // What a generated graph has: each edge in both directions, as the fit saw it.
  const double both = measured.size.edges / measured.size.vertices * static_cast<double>(vertices);
  for (int machines : options.machines) {
    const PlanSize size{
        .vertices = static_cast<double>(vertices), .edges = both, .machines = static_cast<double>(machines)};
    const PlanFigures f = laws.at(size);
    const double seconds = f.seconds(net);
    const bool fits = f.memory <= options.memory_gib * 1073741824.0;
    table.row({std::to_string(machines), fmt::format("{:.3g}", seconds),
               fmt::format("{:.0f} %", 100 * (1 - f.cpu_s / seconds)),
               fmt::format("{:.3g}", f.bytes / 1073741824), fmt::format("{:.0f}", f.supersteps),
               fmt::format("{:.2f}", f.copies),
               to_string(Bytes{static_cast<std::uint64_t>(f.memory)}) + (fits ? "" : " (does not fit)")});
    rows.push_back({{"machines", machines},
                    {"seconds", seconds},
                    {"cpu_seconds", f.cpu_s},
                    {"busiest_bytes", f.bytes},
                    {"supersteps", f.supersteps},
                    {"copies", f.copies},
                    {"memory_bytes", f.memory},
                    {"fits", fits},
                    {"basis", "modelled"}});
  }
  if (common.for_people()) {
    table.print(stdout);
    std::puts("");
    errors.print(stdout);
  }
  common.write_json({{"algorithm", options.algorithm},
                     {"kind", options.kind},
                     {"vertices", vertices},
                     {"net", net.to_json()},
                     {"plan", rows},
                     {"held_out", held_out}});
}

}  // namespace

void add_plan(cli::Program& program) {
  auto options = std::make_shared<PlanVerb>();
  auto verb =
      program.verb("plan", "what your size would take: time, bytes and memory of a machine (modelled)",
                   {"ballast graph plan pr --vertices 1e9 --degree 16 --machines 64,256",
                    "ballast graph plan sssp --kind road --vertices 1e8 --degree 3 --net 100gbe"});
  verb->add_option("ALGORITHM", options->algorithm, "bfs, sssp, cc or pr (10 iterations)")->required();
  verb->add_option("--kind", options->kind, "what the graph is like: kron (skewed), uniform or road")
      ->capture_default_str();
  verb->add_option("--vertices", options->vertices, "how many")->capture_default_str();
  verb->add_option("--degree", options->degree, "undirected edges a vertex (road: as the generator has it)")
      ->capture_default_str();
  verb->add_option("--machines", options->machines, "numbers of machines to plan for")->delimiter(',');
  verb->add_option("--net", options->net, "the network (`ballast cluster info`)")->capture_default_str();
  verb->add_option("--memory-gib", options->memory_gib, "memory of a machine")->capture_default_str();
  verb.run([options](const cli::Common& common) { plan(*options, common); });
}

}  // namespace ballast::graph
