// The first light of the engine: each round of bfs, cc and pr as one orchestration stage. Edges stay on the
// machine that read them; an edge u -> v is a task whose item is u's value and whose update goes to v. Every
// method of orch (push, pull, td-orch, ...) carries the same tasks, so its bytes compare like with like. The
// replayed routes of dist/ do the same work without asking again where things are.
#pragma once

#include <string>

#include "ballast/graph/algorithms/algorithms.h"
#include "ballast/graph/dist/edge_source.h"
#include "ballast/orch/orch.h"

namespace ballast::graph {

/// What a machine has after a staged run: its range of vertices [first, first + size).
struct Staged {
  std::uint64_t first = 0;
  std::vector<std::uint32_t> levels;  ///< bfs
  std::vector<VertexId> parents;      ///< bfs
  std::vector<VertexId> labels;       ///< cc
  std::vector<double> ranks;          ///< pr
  std::uint64_t rounds = 0;
  std::uint64_t tasks = 0;  ///< of all machines and rounds
  double imbalance = 0;     ///< worst round: tasks run on the busiest machine over the mean
};

/// Collective. Throws InvalidInput for another algorithm.
Staged run_staged(cluster::Machine& me, const EdgeSource& source, const std::string& algorithm,
                  const orch::Options& options, VertexId bfs_source, const RankOptions& rank);

/// Joins what machines have, in the order of vertices, at machine 0. Collective.
template <typename T>
std::vector<T> gather_ranges(cluster::Machine& me, const std::vector<T>& mine) {
  cluster::Outbox out = me.outbox();
  out.to(0).append(mine.data(), mine.size() * sizeof(T));
  const cluster::Inbox in = me.exchange(std::move(out));
  std::vector<T> all;
  for (int m = 0; m < me.machines() && me.is_first(); ++m) {
    for (cluster::Reader reader = in.from(m); !reader.empty();) all.push_back(reader.get<T>());
  }
  return all;
}

}  // namespace ballast::graph
