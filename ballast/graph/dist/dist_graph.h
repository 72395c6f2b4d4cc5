// One machine's share of a distributed graph: the vertices that it owns, mirrors of others' vertices that its
// edges touch, its edges in both orders, and the memoised routes between mirrors and owners (TDO-GP).
//
//   cluster.run([&](cluster::Machine& me) {
//     DistGraph g(me, *source, engine_options("tdo"));
//     Distances distances = bfs(g, 17);                       // algorithms/
//   });
//
// Ingestion (collective): degrees and owners; placement of edges (placement.h); mirrors; routes (routes.h);
// rows. Memory of a machine, bytes: an edge 8 (24 with weights), an owned vertex 24, a mirror 28 and 16 a
// route it is on.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ballast/cluster/machine.h"
#include "ballast/graph/dist/edge_source.h"
#include "ballast/graph/dist/options.h"
#include "ballast/graph/dist/owners.h"
#include "ballast/graph/dist/routes.h"
#include "ballast/graph/dist/rows.h"
#include "ballast/graph/dist/workers.h"

namespace ballast::graph {

/// Which edges of the source a DistGraph holds; those of an undirected source count in both directions
/// anyway.
enum class Orientation {
  as_is,
  both,     ///< every edge in both directions (components, communities)
  reversed  ///< every edge turned round (the way back of betweenness)
};

class DistGraph {
 public:
  /// Collective. With `like`, vertices belong to the same owners as there.
  DistGraph(cluster::Machine& me, const EdgeSource& source, const DistOptions& options,
            Orientation orientation = Orientation::as_is, const DistGraph* like = nullptr);

  cluster::Machine& machine() const { return me_; }
  const DistOptions& options() const { return options_; }
  const Owners& owners() const { return owners_; }
  std::uint64_t vertices() const { return owners_.vertices(); }
  /// Directed edges: an undirected one counts twice, a loop once.
  std::uint64_t edges() const { return edges_; }
  bool weighted() const { return weighted_; }

  LocalId owned() const { return owned_; }
  LocalId locals() const { return static_cast<LocalId>(globals_.size()); }
  VertexId global(LocalId v) const { return globals_[v]; }
  /// Number of v here if this machine owns it.
  bool owns(VertexId v) const { return owners_.owner(v) == me_.id(); }
  LocalId local(VertexId v) const { return at(owners_.index(v)); }
  /// Number here of the owned vertex with this number at its owner, by which messages name it.
  LocalId at(VertexId index) const { return order_.empty() ? index : order_[index]; }
  /// Out-degree in the whole graph, of an owned vertex.
  std::uint32_t degree(LocalId v) const { return degrees_[v]; }

  /// This machine's edges by source and by target, in local ids.
  const Rows& out() const { return out_; }
  const Rows& in() const { return in_; }
  Workers& workers() const { return *workers_; }

  const Routes& source_routes() const { return source_routes_; }
  const Routes& target_routes() const { return target_routes_; }
  /// Whether, on every machine, each edge has an end that is owned there, and no trees are used: one exchange
  /// then makes a round.
  bool one_hop() const { return one_hop_; }
  /// Mirrors are numbered by the distance back to their owner in the ring of machines: those of the machines
  /// me - 1 .. me - d have numbers below this.
  LocalId ring_end(int d) const { return ring_end_[static_cast<std::size_t>(d)]; }
  /// Of the links down the target trees (in the order of `target_routes().hops[0].stops`): whether the mirror
  /// at their end is no source there, so that it never hears of its owner otherwise.
  const std::vector<bool>& silent_targets() const { return silent_targets_; }

  /// For all machines: how even the layout is.
  struct Layout {
    double edge_balance = 0;                           ///< most edges of a machine over the mean
    double replication = 0;                            ///< (owned + mirrors) over vertices
    std::uint64_t source_links = 0, target_links = 0;  ///< values a full round moves down and up
    std::uint64_t bytes = 0;                           ///< memory of the busiest machine
  };
  /// Collective.
  Layout layout() const;

 private:
  void choose_owners(const EdgeSource& source, const struct EdgeArrays& edges);
  void build(const struct EdgeArrays& edges, const DistGraph* like);
  void number_owned(const DistGraph* like);

  cluster::Machine& me_;
  DistOptions options_;
  Owners owners_;
  std::uint64_t edges_ = 0;
  bool weighted_ = false;
  LocalId owned_ = 0;
  std::vector<VertexId> globals_;
  std::vector<std::uint32_t> degrees_;
  std::vector<LocalId> order_;  // by number at the owner; empty: the same numbers
  std::vector<LocalId> ring_end_;
  std::vector<bool> silent_targets_;
  bool one_hop_ = false;
  std::unique_ptr<Workers> workers_;
  Rows out_, in_;
  Routes source_routes_, target_routes_;
};

}  // namespace ballast::graph
