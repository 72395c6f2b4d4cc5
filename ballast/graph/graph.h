// A graph in the memory of one process: as the list of edges that a file or a generator gives, and as
// adjacency (compressed sparse rows) that algorithms walk.
//
//   EdgeList list = read_graph("soc.gt.gz");         // formats/format.h
//   Graph graph = build(list);                       // O(n + m), neighbours sorted by id
//   for (VertexId v : graph.out().neighbours(0)) ...
//
// Memory: an edge of a list takes 8 bytes (16 with a weight); of a Graph 4 (12) a direction, and 8 a vertex.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace ballast::graph {

/// Vertices are 0..n-1. `kNoVertex` is no vertex, so a graph has at most 2^32 - 1 of them.
using VertexId = std::uint32_t;
inline constexpr VertexId kNoVertex = std::numeric_limits<VertexId>::max();
inline constexpr std::uint64_t kMaxVertices = kNoVertex;

struct Edge {
  VertexId source = 0, target = 0;
  auto operator<=>(const Edge&) const = default;
};

struct EdgeList {
  std::uint64_t vertices = 0;
  bool directed = true;  ///< false: each edge stands once and means both directions
  std::vector<Edge> edges;
  std::vector<double> weights;       ///< one an edge, or empty: unweighted
  std::vector<std::uint64_t> names;  ///< the id of each vertex in its file, or empty: names are the ids

  bool weighted() const { return !weights.empty(); }
  std::uint64_t name(VertexId v) const { return names.empty() ? v : names[v]; }
};

/// Rows of a sparse matrix: the neighbours of v are targets[offsets[v]] .. targets[offsets[v + 1]].
struct Csr {
  std::vector<std::uint64_t> offsets{0};  ///< n + 1
  std::vector<VertexId> targets;
  std::vector<double> weights;  ///< parallel to targets, or empty

  std::uint64_t vertices() const { return offsets.size() - 1; }
  std::uint64_t degree(VertexId v) const { return offsets[v + 1] - offsets[v]; }
  std::span<const VertexId> neighbours(VertexId v) const {
    return {targets.data() + offsets[v], static_cast<std::size_t>(degree(v))};
  }
  /// Weight of the i-th entry of `targets`; 1 in an unweighted graph.
  double weight(std::uint64_t i) const { return weights.empty() ? 1.0 : weights[i]; }
};

/// The same edges, grouped by target; neighbours come out sorted. O(n + m).
Csr transpose(const Csr& csr);

class Graph {
 public:
  Graph() = default;
  Graph(bool directed, std::uint64_t edges, Csr out, Csr in)
      : directed_(directed), edges_(edges), out_(std::move(out)), in_(std::move(in)) {}

  bool directed() const { return directed_; }
  std::uint64_t vertices() const { return out_.vertices(); }
  /// Edges as the list had them: an undirected edge counts once.
  std::uint64_t edges() const { return edges_; }
  bool weighted() const { return !out_.weights.empty(); }
  const Csr& out() const { return out_; }
  const Csr& in() const { return directed_ ? in_ : out_; }

 private:
  bool directed_ = true;
  std::uint64_t edges_ = 0;
  Csr out_, in_;
};

/// Adjacency of the list, neighbours sorted by id. An undirected edge enters both rows, a loop once.
Graph build(const EdgeList& list);

/// Removes duplicate edges (the first weight stays) and, if asked, self-loops; sorts by (source, target).
/// An undirected edge is turned so that its smaller id comes first.
void simplify(EdgeList& list, bool remove_duplicates, bool remove_loops);

/// Throws InvalidInput naming the first edge with a negative or NaN weight.
void require_nonnegative_weights(const EdgeList& list, const std::string& file);

/// What `ballast graph info` prints.
struct GraphFacts {
  std::uint64_t vertices = 0, edges = 0, loops = 0, duplicates = 0, isolated = 0, sinks = 0;
  std::uint64_t max_out_degree = 0, max_in_degree = 0, components = 0, largest_component = 0;
  double mean_degree = 0;
  /// Share of all edge ends that the 1 % of the vertices with the highest degree hold.
  double top_percent_share = 0;
};
GraphFacts facts_of(const EdgeList& list);

}  // namespace ballast::graph
