// Strong single-thread algorithms on a Graph: the oracles of the distributed ones and the yardstick of what
// one core does (the COST of a distributed system). Each is the well-known fast method, not the shortest
// text; slow twins for tests live in the tests.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "ballast/graph/graph.h"

namespace ballast::graph::sequential {

inline constexpr std::uint32_t kUnreached = std::numeric_limits<std::uint32_t>::max();

/// Direction-optimising breadth-first search (Beamer, Asanovic, Patterson, SC 2012; alpha 15, beta 18 as in
/// GAP).
struct Bfs {
  std::vector<VertexId> parents;  ///< kNoVertex: unreached; the source is its own parent
  std::vector<std::uint32_t> levels;
  std::uint64_t edges_visited = 0;  ///< adjacency entries looked at
};
Bfs bfs(const Graph& graph, VertexId source, bool direction_optimising = true);

/// Connected components (weakly, for directed graphs): the smallest id of each vertex's component. Afforest
/// (Sutton, Ben-Nun, Barak, IPDPS 2018): links a few neighbours of every vertex, then only those outside the
/// giant component.
std::vector<VertexId> connected_components(const Graph& graph);

struct PageRankOptions {
  double damping = 0.85;
  int iterations = 20;   ///< exactly these (LDBC), or at most these with a tolerance
  double tolerance = 0;  ///< > 0: stop when the L1 change falls below it (GAP: 1e-4)
};
/// Power iteration in doubles; the rank of sinks is spread over all vertices, so ranks sum to 1.
struct PageRank {
  std::vector<double> ranks;
  int iterations = 0;
};
PageRank pagerank(const Graph& graph, const PageRankOptions& options = {});

/// Shortest paths by delta-stepping with buckets (Meyer, Sanders, 2003); delta 0 picks the mean weight.
/// Weights must not be negative. Unreached: infinity.
std::vector<double> shortest_paths(const Graph& graph, VertexId source, double delta = 0);
/// The same by Dijkstra's algorithm with a binary heap: the oracle.
std::vector<double> dijkstra(const Graph& graph, VertexId source);

/// Betweenness (Brandes, 2001) summed over the given sources, unweighted and not normalised.
std::vector<double> betweenness(const Graph& graph, std::span<const VertexId> sources);

/// Community detection by label propagation as LDBC Graphalytics defines it: synchronous, the most frequent
/// label among in- and out-neighbours (both count), the smallest on ties; labels begin as the vertices'
/// names.
std::vector<std::uint64_t> label_propagation(const Graph& graph, int iterations,
                                             std::span<const std::uint64_t> names = {});

/// Triangles, each once, of the graph taken as simple and undirected.
std::uint64_t triangles(const Graph& graph);
/// LDBC's local clustering coefficient: edges between neighbours (in or out) over ordered pairs of
/// neighbours.
std::vector<double> local_clustering(const Graph& graph);
/// Core numbers of the graph taken as simple and undirected (Batagelj, Zaversnik).
std::vector<std::uint32_t> core_numbers(const Graph& graph);
/// The maximal independent set that takes vertices greedily by rising (hash of id and seed, id).
std::vector<std::uint8_t> independent_set(const Graph& graph, std::uint64_t seed);
/// The priority that independent_set orders by.
std::uint64_t independent_set_priority(VertexId v, std::uint64_t seed);

/// Rows of distinct neighbours in either direction, without loops: the simple undirected graph underneath.
Csr simple_undirected(const Graph& graph);

}  // namespace ballast::graph::sequential
