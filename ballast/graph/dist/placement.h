// Where each edge lives. Ingestion step 2 and 3 (TDO-GP: contention-aware placement, then balance).
//
// A directed edge u -> v costs a value each round unless it lives where both ends live: either u's value
// travels to the edge (u is mirrored there) or the edge's contribution travels to v (v is mirrored). Between
// the owners a of u and b of v, the edges form a bipartite graph, and choosing the side of every edge is
// choosing a vertex cover of it: covered sources travel from a to b, contributions to covered targets from a
// to b. `tdo` takes the end with the higher contention in the block, then drops covered vertices that no edge
// needs; a hub so is mirrored, its low-degree partners are not.
#pragma once

#include <cstdint>
#include <vector>

#include "ballast/cluster/machine.h"
#include "ballast/graph/dist/options.h"
#include "ballast/graph/dist/owners.h"

namespace ballast::graph {

/// Directed edges of one machine, by global ids.
struct EdgeArrays {
  std::vector<VertexId> sources, targets;
  std::vector<double> weights;  ///< parallel, or empty

  std::size_t size() const { return sources.size(); }
  bool weighted = false;
};

/// Spreads edges over machines as the options say. Collective.
EdgeArrays place_edges(cluster::Machine& me, const Owners& owners, const DistOptions& options,
                       EdgeArrays edges);

/// The machine of edge u -> v under the partitions that a formula gives (oec, iec, cvc, hash-vertex-cut,
/// spmv).
int formula_place(const Owners& owners, Partition partition, VertexId u, VertexId v);

/// For the edges of one block (sources of machine a, sorted; targets of machine b, by their number there,
/// below `target_count`): true where the edge is to live at b (its source travels), false where at a (its
/// target travels). Exposed for tests.
std::vector<bool> cover_block(const std::vector<VertexId>& sources, const std::vector<VertexId>& targets,
                              std::uint64_t target_count);

}  // namespace ballast::graph
