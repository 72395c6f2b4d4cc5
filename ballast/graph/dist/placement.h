// Where each edge lives. Ingestion step 2 and 3 (TDO-GP: contention-aware placement, then balance).
//
// A directed edge u -> v costs a value each round unless it lives where both ends live: either u's value
// travels to the edge (u is mirrored there) or the edge's contribution travels to v (v is mirrored). Between
// the owners a of u and b of v, the edges form a bipartite graph, and choosing the side of every edge is
// choosing a vertex cover of it: covered sources travel from a to b, contributions to covered targets from a
// to b. `tdo` takes a smallest cover (from a largest matching, Koenig), so with these owners no layout moves
// fewer values over direct links; a hub is mirrored, its low-degree partners are not.
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

/// Where an edge between two owners may live without a value more: at its target's (its source travels), at
/// its source's (its target travels), or at either (both travel anyway).
enum class Side : std::uint8_t { target, source, either };

/// The sides of the edges of one block (sources of machine a, sorted; targets of machine b, by their number
/// there, below `target_count`) by a smallest vertex cover. Exposed for tests.
std::vector<Side> cover_block(const std::vector<VertexId>& sources, const std::vector<VertexId>& targets,
                              std::uint64_t target_count);

/// How many of the edges of each block that may live at either side go to its source's owner, so that
/// machines come out even: `fixed` edges of each machine, `free_edges[b * P + a]` of block (a, b). A pure
/// function, the same everywhere.
std::vector<std::uint64_t> share_free_edges(std::vector<double> fixed,
                                            const std::vector<std::uint64_t>& free_edges);

}  // namespace ballast::graph
