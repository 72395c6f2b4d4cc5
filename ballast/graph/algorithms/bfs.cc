#include "ballast/graph/algorithms/algorithms.h"

namespace ballast::graph {

BfsTree bfs(const DistGraph& g, VertexId source) {
  g.machine().begin_stage("bfs");
  BfsTree tree;
  tree.levels.assign(g.owned(), kUnreached);
  tree.parents.assign(g.owned(), kNoVertex);
  if (g.owns(source)) {
    tree.levels[g.local(source)] = 0;
    tree.parents[g.local(source)] = source;
  }
  std::uint32_t level = 0;
  EdgeMap<Nothing, VertexId> over(g, Policy::any);
  const Edges edges{.source = [](LocalId) { return Nothing{}; },
                    .along = [](const Origin<Nothing>& u, double) { return u.id; },
                    .merge = [](VertexId a, VertexId b) { return a < b ? a : b; },
                    .cond = [&](LocalId v) { return tree.parents[v] == kNoVertex; },
                    .apply =
                        [&](LocalId v, VertexId parent) {
                          tree.parents[v] = parent;
                          tree.levels[v] = level;
                          return true;
                        }};
  VertexSubset frontier = VertexSubset::single(g, source);
  while (!frontier.empty()) {
    ++level;
    frontier = over(frontier, edges);
  }
  tree.counts = over.counts();
  return tree;
}

}  // namespace ballast::graph
