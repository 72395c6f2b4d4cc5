// METIS .graph: `n m [fmt [ncon]]`, then a line a vertex: [size] [weights] and its neighbours (from 1), each
// with a weight if fmt ends in 1. Undirected; every edge stands on both ends' lines.
#include <fmt/format.h>

#include "ballast/graph/formats/format.h"

namespace ballast::graph {

EdgeList read_metis(std::unique_ptr<ByteSource> source) {
  TextReader in(std::move(source));
  if (!in.next_line("%")) in.fail("no header line", "n m [fmt [ncon]]");
  EdgeList list;
  list.vertices = in.integer("number of vertices", 0, kMaxVertices);
  const std::uint64_t edges = in.integer("number of edges");
  std::string format(in.at_end_of_line() ? std::string_view("0") : in.word());
  if (format.size() > 3 || format.find_first_not_of("01") != std::string::npos)
    in.fail(fmt::format("fmt '{}'", format), "three digits of 0 and 1");
  format.insert(0, 3 - format.size(), '0');
  const bool sizes = format[0] == '1', vertex_weights = format[1] == '1', edge_weights = format[2] == '1';
  const std::uint64_t constraints =
      in.at_end_of_line() ? (vertex_weights ? 1 : 0) : in.integer("ncon", 0, 1000);
  in.end_of_line();
  for (std::uint64_t v = 0; v < list.vertices; ++v) {
    do {
      if (!in.next_raw_line())
        in.fail(fmt::format("the file ends after {} of {} vertices", v, list.vertices));
    } while (in.line().starts_with('%'));
    if (sizes) in.integer("vertex size");
    for (std::uint64_t i = 0; vertex_weights && i < constraints; ++i) in.integer("vertex weight");
    while (!in.at_end_of_line()) {
      const auto u = static_cast<VertexId>(in.integer("neighbour", 1, list.vertices) - 1);
      list.edges.push_back({static_cast<VertexId>(v), u});
      if (edge_weights) list.weights.push_back(in.real("edge weight"));
    }
  }
  if (in.next_line("%")) in.fail(fmt::format("more lines than the {} vertices of the header", list.vertices));
  fold_symmetric(list, in.file());
  if (list.edges.size() != edges)
    in.fail(fmt::format("{} edges, but the header counts {}", list.edges.size(), edges));
  return list;
}

}  // namespace ballast::graph
