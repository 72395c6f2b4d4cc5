// Algorithms on a distributed graph. Each is collective and returns the values of the vertices that this
// machine owns, by their local number; gather() brings them together. Definitions: LDBC Graphalytics 1.0.5
// and the GAP benchmark.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "ballast/graph/dist/edge_map.h"
#include "ballast/graph/result.h"

namespace ballast::graph {

inline constexpr std::uint32_t kUnreached = std::numeric_limits<std::uint32_t>::max();

struct BfsTree {
  std::vector<std::uint32_t> levels;  ///< kUnreached where there is no path
  std::vector<VertexId> parents;      ///< kNoVertex there; the source is its own
  RoundCounts counts;
};
/// Breadth-first search from a vertex (global id).
BfsTree bfs(const DistGraph& g, VertexId source);

struct Components {
  std::vector<VertexId> labels;  ///< the smallest id of the component
  RoundCounts counts;
  std::uint64_t jump_rounds = 0;
};
/// Connected components of a graph whose edges are there in both directions.
Components connected_components(const DistGraph& g);

struct RankOptions {
  double damping = 0.85;
  int iterations = 20;   ///< exactly these, or at most these with a tolerance
  double tolerance = 0;  ///< > 0: stop when the L1 change falls below (GAP: 1e-4)
};
struct Ranks {
  std::vector<double> ranks;
  int iterations = 0;
  RoundCounts counts;
};
/// PageRank by power iteration in doubles; the rank of sinks is spread over all vertices.
Ranks pagerank(const DistGraph& g, const RankOptions& options = {});

/// All machines' values in the order of global ids, at machine 0 (elsewhere empty). Collective.
template <typename T>
std::vector<T> gather(const DistGraph& g, const std::vector<T>& owned) {
  cluster::Machine& me = g.machine();
  cluster::Outbox out = me.outbox();
  out.to(0).append(owned.data(), owned.size() * sizeof(T));
  const cluster::Inbox in = me.exchange(std::move(out));
  std::vector<T> all;
  if (!me.is_first()) return all;
  all.resize(g.vertices());
  for (int m = 0; m < me.machines(); ++m) {
    cluster::Reader reader = in.from(m);
    for (VertexId i = 0; !reader.empty(); ++i) all[g.owners().global(m, i)] = reader.get<T>();
  }
  return all;
}

}  // namespace ballast::graph
