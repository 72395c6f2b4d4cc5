#include <fmt/format.h>

#include "ballast/base/errors.h"
#include "ballast/base/units.h"
#include "ballast/graph/formats/format.h"
#include "ballast/graph/generate.h"
#include "ballast/graph/verbs/verbs.h"

namespace ballast::graph {
namespace {

struct GenOptions {
  GenerateOptions graph;
  std::string output, format;
};

}  // namespace

void add_gen(cli::Program& program) {
  auto options = std::make_shared<GenOptions>();
  auto verb = program.verb("gen", "make a graph by rule, the same for the same seed",
                           {"ballast graph gen kron --scale 16 -o kron16.bgr",
                            "ballast graph gen road --size 512 --weights -o road.wel"});
  verb->add_option(
          "KIND", options->graph.kind,
          "kron (= rmat), uniform, road, grid, ba, hub, zipf, star, path, complete; or kron:16 for its size")
      ->required();
  verb->add_option("--scale", options->graph.scale, "log2 of the vertices")->capture_default_str();
  verb->add_option("--size", options->graph.size,
                   "vertices, or the side of a road or grid, in place of --scale");
  verb->add_option("--degree", options->graph.degree, "edges a vertex")->capture_default_str();
  verb->add_option("--hubs", options->graph.hubs, "hub: vertices that own half of the edges")
      ->capture_default_str();
  verb->add_option("--skew", options->graph.skew, "zipf: exponent of the sources")->capture_default_str();
  verb->add_flag("--weights", options->graph.weighted, "integer weights 1..255 (road: lengths)");
  verb->add_flag("--directed", options->graph.directed, "edges have a direction");
  verb->add_flag("!--no-permute", options->graph.permute, "kron: leave the hubs at the low ids");
  verb->add_option("-o,--output", options->output, "graph file to write")->required();
  verb->add_option("--format", options->format, "its format in place of its ending");
  verb.run([options](const cli::Common& common) {
    GenerateOptions graph = options->graph;
    const std::string kind = graph.kind;
    parse_generator(kind, graph);  // `kron:16`, as `run` takes it; else the kind alone
    if (graph.kind == "rmat") graph.kind = "kron";
    graph.seed = common.seed;
    format_of(options->output, options->format);  // refuse a bad name before the work
    const EdgeList list = Generator(graph).all();
    write_graph(list, options->output, options->format);
    if (common.for_people())
      fmt::print("{}: {} vertices, {} {} edges\n", options->output, list.vertices, list.edges.size(),
                 list.directed ? "directed" : "undirected");
    common.write_json({{"file", options->output},
                       {"vertices", list.vertices},
                       {"edges", list.edges.size()},
                       {"directed", list.directed},
                       {"weighted", list.weighted()}});
  });
}

}  // namespace ballast::graph
