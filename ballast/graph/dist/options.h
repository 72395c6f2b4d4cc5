// How a distributed graph is laid out and how its rounds are run. The engines of the field that we compare
// with are values of these settings, so that all run the same algorithms, transport and accounting:
//
//   tdo               edges by contention, source and destination trees, both directions (TDO-GP)
//   oec               edges at the owner of their source (Gemini's chunked outgoing edge-cut)
//   iec               edges at the owner of their target
//   cvc               Cartesian vertex-cut: a grid of machines (D-Galois)
//   hash-vertex-cut   edges by hash (PowerGraph)
//   spmv              the grid of cvc, every round dense with whole vectors (CombBLAS, Graphite, LA3)
//
// Every technique has its switch; the comment names it as the specification does.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ballast/graph/dist/workers.h"

namespace ballast::graph {

enum class Partition { tdo, oec, iec, cvc, hash_vertex_cut, spmv };
std::string to_string(Partition partition);
/// Throws InvalidInput naming the nearest.
Partition partition_from_string(const std::string& word);
const std::vector<std::string>& partition_names();

struct DistOptions {
  Partition partition = Partition::tdo;
  bool hashed_owners = false;       ///< owners by hash instead of contiguous, edge-balanced ranges
  int fanout = 0;                   ///< of source and destination trees (G2, G3); 0: direct links
  bool place_by_contention = true;  ///< G1; off: tdo places edges as oec does
  double balance = 1.05;            ///< tdo: most edges of a machine over the mean; 0: no balance pass
  bool code_positions = true;       ///< G5: the shortest of four position codes; off: always 32-bit positions
  bool code_values = true;          ///< G6: integers in the width they need, equal values once
  double dense_threshold =
      20;  ///< L1: a round is dense if frontier + its out-edges > edges / this; 0: never dense
  bool always_dense = false;
  bool fuse_reduce = true;    ///< C3: sizes of frontiers ride on exchanges; off: an allreduce a round
  bool early_exit = true;     ///< L1: a dense scan stops at the first parent where one is enough
  bool skip_done = true;      ///< mirrors that contributed once are not looked at again where one is enough
  bool finished_bits = true;  ///< G4: after a dense round, owners tell mirrors which targets are settled, and
                              ///< nothing is computed or sent for those
  int threads = 1;            ///< L2: of one machine
  bool balanced_blocks = true;  ///< L2: blocks of equal edges, long rows cut; off: of equal vertices
  bool bitmaps = true;          ///< L3: a long list of changed vertices is kept as bits; off: always sorted
  bool unique_touches = true;   ///< L4: contributions to one vertex meet at a bit; off: by sorting all
  bool by_degree = false;       ///< L5: local numbers by falling degree
  bool compress = false;        ///< L6: byte-coded adjacency
  bool first_touch = numa_nodes() > 1;  ///< L7: memory lies with the thread that computes on it
  bool own_part_first = true;  ///< C2: what needs no message is computed while messages are on their way
  int ring_chunks = 1;  ///< C1: a round of all vertices is sent in so many parts, in ring order, and each is
                        ///< computed on while the next is on its way
  bool trim_trees = true;     ///< C4: levels of trees that no vertex needs are left out
  bool direct_rounds = true;  ///< C5: where every edge lies with one of its ends, values and contributions
                              ///< travel in one exchange; off: one for each, with a cover on road networks
  int local_rounds = 4;       ///< C6: local relaxations before an exchange (cc, sssp); 0: off
  std::uint64_t seed = 1;
};

/// The settings that make the engine of this name.
DistOptions engine_options(const std::string& name);

}  // namespace ballast::graph
