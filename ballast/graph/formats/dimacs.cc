// The 9th DIMACS challenge's shortest-path files: `c` comments, `p sp n m`, then m arcs `a u v w`, ids
// from 1.
#include <fmt/format.h>

#include "ballast/graph/formats/format.h"

namespace ballast::graph {

EdgeList read_dimacs(std::unique_ptr<ByteSource> source) {
  TextReader in(std::move(source));
  EdgeList list;
  std::uint64_t arcs = 0;
  bool header = false;
  while (in.next_line("c")) {
    const auto kind = in.word();
    if (kind == "p") {
      if (header) in.fail("a second 'p' line");
      if (const auto problem = in.word(); problem != "sp")
        in.fail(fmt::format("problem '{}'", problem), "sp");
      list.vertices = in.integer("number of vertices", 0, kMaxVertices);
      arcs = in.integer("number of arcs");
      header = true;
    } else if (kind == "a") {
      if (!header) in.fail("an arc before the 'p sp' line");
      if (list.edges.size() == arcs) in.fail(fmt::format("more arcs than the {} of the header", arcs));
      const auto u = in.integer("source", 1, list.vertices), v = in.integer("target", 1, list.vertices);
      list.edges.push_back({static_cast<VertexId>(u - 1), static_cast<VertexId>(v - 1)});
      list.weights.push_back(in.real("weight"));
    } else {
      in.fail(fmt::format("line kind '{}'", kind.substr(0, 20)), "c, p, a");
    }
    in.end_of_line();
  }
  if (!header) in.fail("no 'p sp' line");
  if (list.edges.size() != arcs)
    in.fail(fmt::format("the file ends after {} of {} arcs", list.edges.size(), arcs));
  return list;
}

}  // namespace ballast::graph
