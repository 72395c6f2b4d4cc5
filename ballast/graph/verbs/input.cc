#include "ballast/graph/verbs/input.h"

#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/data/datasets.h"
#include "ballast/graph/generate.h"

namespace ballast::graph {
namespace {

constexpr std::string_view kCollection = "collection:";

std::string collection_file(const std::string& name) {
  const std::string folder = data::find_dataset("graph-collection");
  const std::string path = folder + "/" + name + ".gt.gz";
  if (std::filesystem::exists(path)) return path;
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string file = entry.path().filename().string();
    if (file.ends_with(".gt.gz")) names.push_back(file.substr(0, file.size() - 6));
  }
  std::sort(names.begin(), names.end());
  cli::require_one_of("graph of the collection", name, names);
  return path;
}

}  // namespace

void add_input(CLI::App& app, InputOptions& options) {
  app.add_option("GRAPH", options.graph, "a graph file, kron:SCALE, road:SIDE, ... or collection:NAME")
      ->required();
  app.add_option("--format", options.read.format,
                 "format of the file in place of its ending (see `convert --help`)");
  app.add_flag("--undirected", options.read.undirected,
               "edge lists: a line is an undirected edge; adjacency: both directions are stored");
  app.add_flag("--sparse-ids", options.read.sparse_ids,
               "text edge lists: number the ids anew; results keep the names");
  app.add_option("--vertices", options.vertices,
                 "edge lists: how many vertices (default: the largest id + 1)");
  app.add_option("--weight-type", options.read.weight_type, "Galois edge data of 4 bytes: u32, i32, f32");
  app.add_flag("--dedup", options.dedup, "keep one of several equal edges");
  app.add_flag("--no-loops", options.no_loops, "leave self-loops out");
  app.add_flag("--weights", options.weights, "give an unweighted graph integer weights 1..255");
}

std::unique_ptr<EdgeSource> open_slices(const InputOptions& options, std::uint64_t seed) {
  GenerateOptions generated;
  generated.seed = seed;
  generated.weighted = options.weights;
  if (options.dedup || options.no_loops)
    throw InvalidInput("--stream holds no graph as a whole: --dedup and --no-loops cannot be with it");
  if (parse_generator(options.graph, generated)) return source_of(Generator(generated), generated);
  if (!options.graph.ends_with(".bgr"))
    throw InvalidInput(
        "--stream", options.graph,
        "a .bgr file (`ballast graph convert` makes one) or a generated graph such as kron:16");
  auto source = source_of_bgr(options.graph);
  if (options.weights && !source->weighted())
    throw InvalidInput("--stream holds no graph as a whole: --weights is for generated graphs with it");
  return source;
}

EdgeList open_graph(const InputOptions& options, std::uint64_t seed) {
  EdgeList list;
  GenerateOptions generated;
  generated.seed = seed;
  generated.weighted = options.weights;
  if (parse_generator(options.graph, generated)) {
    list = Generator(generated).all();
  } else {
    ReadOptions read = options.read;
    if (options.vertices > 0) read.vertices = options.vertices;
    const std::string path = options.graph.starts_with(kCollection)
                                 ? collection_file(options.graph.substr(kCollection.size()))
                                 : options.graph;
    list = read_graph(path, read);
  }
  if (options.dedup || options.no_loops) simplify(list, options.dedup, options.no_loops);
  if (options.weights && !list.weighted()) add_weights(list, seed);
  return list;
}

}  // namespace ballast::graph
