// The active vertices of a round (Ligra's vertexSubset): each machine holds those that it owns; how many
// there are in the whole graph, and how many out-edges they have, is known everywhere.
#pragma once

#include <cstdint>
#include <vector>

#include "ballast/graph/dist/dist_graph.h"

namespace ballast::graph {

class VertexSubset {
 public:
  VertexSubset() = default;
  /// `members`: owned vertices, rising.
  VertexSubset(std::vector<LocalId> members, std::uint64_t size, std::uint64_t out_edges)
      : members_(std::move(members)), size_(size), out_edges_(out_edges) {}

  /// Collective: this machine contributes `members` (owned, rising).
  static VertexSubset of(const DistGraph& g, std::vector<LocalId> members) {
    struct Size {
      std::uint64_t vertices, edges;
    };
    Size mine{members.size(), 0};
    for (LocalId v : members) mine.edges += g.degree(v);
    const Size all = g.machine().allreduce(mine, [](Size a, Size b) {
      return Size{a.vertices + b.vertices, a.edges + b.edges};
    });
    return VertexSubset(std::move(members), all.vertices, all.edges);
  }
  /// The same without communication: the next edgeMap adds up sizes with its first exchange (technique C3).
  /// Until then the subset does not know whether it is empty, and says no.
  static VertexSubset pending(const DistGraph& g, std::vector<LocalId> members) {
    VertexSubset subset;
    for (LocalId v : members) subset.out_edges_ += g.degree(v);
    subset.size_ = members.size();
    subset.members_ = std::move(members);
    subset.pending_ = true;
    return subset;
  }
  /// One vertex, by its global id.
  static VertexSubset single(const DistGraph& g, VertexId v) {
    std::vector<LocalId> members;
    if (g.owns(v)) members.push_back(g.local(v));
    return of(g, std::move(members));
  }
  static VertexSubset all(const DistGraph& g) {
    VertexSubset subset;
    subset.members_.resize(g.owned());
    for (LocalId v = 0; v < g.owned(); ++v) subset.members_[v] = v;
    subset.size_ = g.vertices();
    subset.out_edges_ = g.edges();
    return subset;
  }

  const std::vector<LocalId>& members() const { return members_; }
  bool empty() const { return !pending_ && size_ == 0; }
  /// Whether size() and out_edges() are only this machine's share so far.
  bool is_pending() const { return pending_; }
  std::uint64_t size() const { return size_; }            ///< in the whole graph
  std::uint64_t out_edges() const { return out_edges_; }  ///< in the whole graph

 private:
  std::vector<LocalId> members_;
  std::uint64_t size_ = 0, out_edges_ = 0;
  bool pending_ = false;
};

}  // namespace ballast::graph
