// What the suites of `ballast graph bench` share: one file a group of suites.
#pragma once

#include <string>

#include "ballast/base/bench.h"
#include "ballast/graph/run.h"

namespace ballast::graph {

struct Settings {
  bool quick = false;
  std::uint64_t seed = 1;
  std::uint64_t scale() const { return quick ? 14 : 18; }
  std::uint64_t side() const { return quick ? 128 : 512; }
  int rounds() const { return quick ? 2 : 5; }
};

/// The graph of a word such as "kron:14".
EdgeList made(const std::string& word, std::uint64_t seed, bool weighted = true);
VertexId busiest_vertex(const EdgeList& list);
/// The job that every engine gets: from the busiest vertex, 10 iterations.
Job job_of(const std::string& algorithm, const std::string& engine, int machines, const EdgeList& list);

/// One technique off at a time.
void bench_ablation(Bench& bench, const Settings& settings);
/// Competitors that are programs of their own: over MPI, and NetworKit.
void bench_peers(Bench& bench, const Settings& settings);

}  // namespace ballast::graph
