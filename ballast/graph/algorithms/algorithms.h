// Algorithms on a distributed graph. Each is collective and returns the values of the vertices that this
// machine owns, by their local number; gather() brings them together. Definitions: LDBC Graphalytics 1.0.5
// and the GAP benchmark.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "ballast/graph/algorithms/progress.h"
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
  /// Not negative: only vertices whose rank / degree has changed by more than this / edges since they last
  /// sent it send again, and send the change ("delta PageRank"); ranks are then off by at most d / (1 - d)
  /// times this in all.
  double send_above = -1;
};
struct Ranks {
  std::vector<double> ranks;
  int iterations = 0;
  RoundCounts counts;
};
/// PageRank by power iteration in doubles; the rank of sinks is spread over all vertices.
Ranks pagerank(const DistGraph& g, const RankOptions& options = {}, const ProgressOptions& progress = {});

struct Distances {
  std::vector<double> distances;  ///< infinity where there is no path
  RoundCounts counts;
};
/// Shortest paths by frontier relaxation (Bellman-Ford); delta > 0: by buckets of that width
/// (delta-stepping). Weights must not be negative. With DistOptions::local_rounds a machine relaxes its own
/// edges further before it exchanges (C6).
Distances shortest_paths(const DistGraph& g, VertexId source, double delta = 0);

struct Betweenness {
  std::vector<double> scores;  ///< dependencies summed over the sources, not normalised
  RoundCounts counts;
};
/// Brandes' algorithm from each of the sources. The edges must be there in both directions or `g` needs
/// `reverse`, the same graph with its edges turned round and the same owners.
Betweenness betweenness(const DistGraph& g, const DistGraph& reverse, const std::vector<VertexId>& sources,
                        const ProgressOptions& progress = {});

/// LDBC's community detection: labels begin as `name(v)` of the owned vertices; after each round a vertex
/// takes the most frequent label among its neighbours (the smallest on ties). Edges in both directions; a
/// neighbour that is met by both counts twice.
struct Communities {
  std::vector<std::uint64_t> labels;
  std::uint64_t rounds = 0;
};
Communities label_propagation(const DistGraph& g, int iterations, std::vector<std::uint64_t> names,
                              const ProgressOptions& progress = {});

/// Local clustering (LDBC) of the owned vertices, and the triangles of the whole graph: each vertex's
/// neighbours are intersected with those of its neighbours, whose lists travel once a machine (a two-item
/// stage over adjacency lists). `both`: the graph with its edges in both directions; `directed`: as it is,
/// with the same owners.
struct Clustering {
  std::vector<double> coefficients;
  std::uint64_t triangles = 0;
};
Clustering local_clustering(const DistGraph& both, const DistGraph& directed);

struct Cores {
  std::vector<std::uint32_t> numbers;
  std::uint64_t rounds = 0;
};
/// Core numbers by peeling, bucket after bucket. Edges in both directions; parallel edges and loops do not
/// count.
Cores core_numbers(const DistGraph& g);

struct IndependentSet {
  std::vector<std::uint8_t> members;
  std::uint64_t rounds = 0;
};
/// The maximal independent set that is greedy in (hash of id and seed, id): the same as on one core. Edges
/// both ways.
IndependentSet independent_set(const DistGraph& g, std::uint64_t seed);

/// All machines' values in the order of global ids, at machine 0 (elsewhere empty). Collective.
template <typename T>
std::vector<T> gather(const DistGraph& g, const std::vector<T>& owned) {
  cluster::Machine& me = g.machine();
  cluster::Outbox out = me.outbox();
  for (VertexId index = 0; index < g.owned(); ++index) out.to(0).put(owned[g.at(index)]);
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
