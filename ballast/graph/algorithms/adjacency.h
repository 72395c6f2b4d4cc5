// Whole neighbour lists, at owners and wherever they are asked for: what triangle counting, clustering, cores
// and independent sets stand on.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <span>
#include <vector>

#include "ballast/graph/dist/dist_graph.h"

namespace ballast::graph {

/// For each owned vertex its out-neighbours by global id, sorted, each once, without itself. Collective.
Csr gather_adjacency(const DistGraph& g);

/// Rows of a Csr like the above, of vertices that other machines own: every row is sent once to each machine
/// that asks.
class RemoteRows {
 public:
  /// Collective: this machine will look at the rows of `ids` (sorted or not, repeated or not).
  RemoteRows(const DistGraph& g, const Csr& rows, const std::vector<VertexId>& ids);
  /// The row of any vertex that was asked for, or that this machine owns.
  std::span<const VertexId> row(VertexId v) const;

 private:
  const DistGraph& g_;
  const Csr& own_;
  std::vector<VertexId> targets_;
  absl::flat_hash_map<VertexId, std::pair<std::uint64_t, std::uint64_t>> place_;
};

}  // namespace ballast::graph
