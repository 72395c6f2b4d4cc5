// Text edge lists: `u v` or `u v weight` a line; lines that begin with # or % are comments (SNAP, GAP).
#include <fmt/format.h>

#include <algorithm>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/graph/formats/format.h"

namespace ballast::graph {
namespace {

// Numbers named vertices 0..n-1 in rising order of their names.
void number_names(EdgeList& list, const std::vector<std::pair<std::uint64_t, std::uint64_t>>& named) {
  for (const auto& [u, v] : named) {
    list.names.push_back(u);
    list.names.push_back(v);
  }
  std::sort(list.names.begin(), list.names.end());
  list.names.erase(std::unique(list.names.begin(), list.names.end()), list.names.end());
  list.vertices = list.names.size();
  auto id = [&](std::uint64_t name) {
    return static_cast<VertexId>(std::lower_bound(list.names.begin(), list.names.end(), name) -
                                 list.names.begin());
  };
  for (const auto& [u, v] : named) list.edges.push_back({id(u), id(v)});
}

}  // namespace

EdgeList read_edges(std::unique_ptr<ByteSource> source, const ReadOptions& options, bool weighted) {
  TextReader in(std::move(source));
  EdgeList list;
  list.directed = !options.undirected;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> named;
  const std::uint64_t limit = options.vertices ? std::min(*options.vertices, kMaxVertices) : kMaxVertices;
  while (in.next_line()) {
    if (options.sparse_ids) {
      const std::uint64_t u = in.integer("source"), v = in.integer("target");
      named.emplace_back(u, v);
    } else {
      if (limit == 0) in.fail("an edge in a graph without vertices");
      const VertexId u = in.vertex("source", limit), v = in.vertex("target", limit);
      list.edges.push_back({u, v});
    }
    if (weighted) {
      list.weights.push_back(in.real("weight"));
      in.end_of_line();
    }
    // An unweighted list may carry more columns (time stamps in SNAP's files); they are not read.
  }
  if (options.sparse_ids) {
    number_names(list, named);
    if (list.vertices > kMaxVertices) in.fail("more different ids than 32 bits can number");
  } else {
    settle_vertices(list, options.vertices, in.file());
  }
  return list;
}

void write_edges(const EdgeList& list, const std::string& path) {
  AtomicFile out(path);
  out.write(fmt::format("# {} vertices, {} {} edges\n", list.vertices, list.edges.size(),
                        list.directed ? "directed" : "undirected"));
  const bool weighted = list.weighted() && path.ends_with(".wel");
  if (path.ends_with(".wel") && !list.weighted() && !list.edges.empty())
    throw InvalidInput(fmt::format("{}: the graph has no weights; write an .el", path));
  for (std::size_t i = 0; i < list.edges.size(); ++i) {
    const std::uint64_t u = list.name(list.edges[i].source), v = list.name(list.edges[i].target);
    out.write(weighted ? fmt::format("{} {} {}\n", u, v, list.weights[i]) : fmt::format("{} {}\n", u, v));
  }
  out.commit();
}

}  // namespace ballast::graph
