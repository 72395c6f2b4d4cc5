#include <algorithm>
#include <unordered_map>

#include "ballast/graph/sequential/sequential.h"
#include "ballast/graph/union_find.h"

namespace ballast::graph::sequential {

std::vector<VertexId> connected_components(const Graph& graph) {
  const std::uint64_t n = graph.vertices();
  constexpr std::uint64_t kNeighbourRounds = 2, kSample = 1024;
  UnionFind sets(n);
  const Csr& out = graph.out();
  for (std::uint64_t round = 0; round < kNeighbourRounds; ++round) {
    for (VertexId v = 0; v < n; ++v) {
      if (round < out.degree(v)) sets.join(v, out.targets[out.offsets[v] + round]);
    }
  }
  // Most vertices now share one set; its members' other edges need no look, as the far ends look for
  // themselves.
  std::unordered_map<VertexId, std::uint64_t> seen;
  VertexId giant = 0;
  for (std::uint64_t i = 0; i < std::min(n, kSample); ++i) {
    const VertexId root = sets.find(static_cast<VertexId>(i * (n / std::min(n, kSample))));
    if (++seen[root] > seen[giant]) giant = root;
  }
  if (n > 0) giant = sets.find(giant);
  for (VertexId v = 0; v < n; ++v) {
    if (sets.find(v) == giant) continue;
    const auto row = out.neighbours(v);
    for (std::size_t i = kNeighbourRounds; i < row.size(); ++i) sets.join(v, row[i]);
    if (graph.directed()) {
      for (VertexId u : graph.in().neighbours(v)) sets.join(v, u);
    }
  }
  std::vector<VertexId> labels(n);
  for (VertexId v = 0; v < n; ++v) labels[v] = sets.find(v);
  return labels;
}

}  // namespace ballast::graph::sequential
