// Ligra's text adjacency (GBBS reads the same): `AdjacencyGraph` or `WeightedAdjacencyGraph`, n, m, n
// offsets, m targets, [m weights], separated by white space.
#include <fmt/format.h>

#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/graph/formats/format.h"

namespace ballast::graph {
namespace {

// The words of the file, across lines.
class Words {
 public:
  explicit Words(TextReader& in) : in_(in) {}
  /// Makes the next word the next of the present line.
  void advance(const char* what) {
    while (in_.line_number() == 0 || in_.at_end_of_line()) {
      if (!in_.next_line("")) in_.fail(fmt::format("the file ends where a {} was expected", what));
    }
  }
  std::uint64_t integer(const char* what, std::uint64_t most) {
    advance(what);
    return in_.integer(what, 0, most);
  }
  double real(const char* what) {
    advance(what);
    return in_.real(what);
  }

 private:
  TextReader& in_;
};

}  // namespace

EdgeList read_ligra(std::unique_ptr<ByteSource> source, const ReadOptions& options) {
  TextReader in(std::move(source));
  Words words(in);
  words.advance("header");
  const std::string header(in.word());
  if (header != "AdjacencyGraph" && header != "WeightedAdjacencyGraph")
    in.fail(fmt::format("header '{}'", header.substr(0, 40)), "AdjacencyGraph, WeightedAdjacencyGraph");
  EdgeList list;
  list.vertices = words.integer("number of vertices", kMaxVertices);
  const std::uint64_t edges = words.integer("number of edges", std::uint64_t{1} << 48);
  std::vector<std::uint64_t> offsets;
  for (std::uint64_t v = 0; v < list.vertices; ++v) {
    offsets.push_back(words.integer("offset", edges));
    if (v > 0 && offsets[v] < offsets[v - 1])
      in.fail(fmt::format("offset {} after {}", offsets[v], offsets[v - 1]), "rising offsets");
  }
  if (!offsets.empty() && offsets[0] != 0) in.fail(fmt::format("first offset {}", offsets[0]), "0");
  if (offsets.empty() && edges > 0) in.fail("edges in a graph without vertices");
  std::uint64_t v = 0;
  for (std::uint64_t i = 0; i < edges; ++i) {
    while (v + 1 < list.vertices && offsets[v + 1] <= i) ++v;
    list.edges.push_back(
        {static_cast<VertexId>(v), static_cast<VertexId>(words.integer("target", list.vertices - 1))});
  }
  if (header == "WeightedAdjacencyGraph") {
    for (std::uint64_t i = 0; i < edges; ++i) list.weights.push_back(words.real("weight"));
  }
  in.end_of_line();
  if (in.next_line("")) in.fail("more words than the header counts");
  if (options.undirected) fold_symmetric(list, in.file());
  return list;
}

void write_ligra(const EdgeList& list, const std::string& path) {
  const Graph graph = build(list);
  const Csr& csr = graph.out();
  AtomicFile out(path);
  out.write(fmt::format("{}AdjacencyGraph\n{}\n{}\n", list.weighted() ? "Weighted" : "", csr.vertices(),
                        csr.targets.size()));
  for (std::uint64_t v = 0; v < csr.vertices(); ++v) out.write(fmt::format("{}\n", csr.offsets[v]));
  for (VertexId target : csr.targets) out.write(fmt::format("{}\n", target));
  for (double weight : csr.weights) out.write(fmt::format("{}\n", weight));
  out.commit();
}

}  // namespace ballast::graph
