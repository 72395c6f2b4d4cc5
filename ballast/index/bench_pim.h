// The benchmark suites of `ballast index bench`.
#pragma once

#include <string>
#include <vector>

#include "ballast/base/bench.h"

namespace ballast::index {

struct PimBenchOptions {
  bool quick = false;
  std::uint64_t keys = 0, batch = 0;  ///< 0: the specification's grid
  std::uint32_t modules = 0;
  std::vector<double> alphas;        ///< empty: 0, 0.8, 0.99, 1.2, one piece
  std::vector<std::string> methods;  ///< empty: all
};
/// Counted words, rounds and work of all methods side by side (specification 9.1, 9.2).
void bench_pim(Bench& bench, const PimBenchOptions& options, std::uint64_t seed);

/// The ladder of techniques, the flat curve, sweeps and the simulator's speed (specification 9.2).
void bench_ladder(Bench& bench, bool quick, std::uint32_t modules, std::uint64_t seed);
/// The tree's switches, ranges that rebalance, growth (specification 3.8 and 9.2).
void bench_switches(Bench& bench, bool quick, std::uint32_t modules, std::uint64_t seed);
/// The distributed index against ranges on an emulated network (specification 9.4).
void bench_cluster(Bench& bench, bool quick, std::uint64_t seed);

struct HostBenchOptions {
  bool quick = false;
  std::uint64_t keys = 0, batch = 0;
  std::vector<std::string> peers;  ///< empty: all
};
/// The host engine against real libraries (specification 9.3).
void bench_host(Bench& bench, const HostBenchOptions& options, std::uint64_t seed);

}  // namespace ballast::index
