// Mappers beside the exact cut of mapping.h: dynamic programming for chains, list scheduling with hill
// climbing for schedules with overlap, integer programming for limits and splits, and a random baseline.
#pragma once

#include <optional>

#include "ballast/codesign/mapping.h"

namespace ballast::codesign {

/// Exact for a chain in schema `seq`: f[i][d] = cost(i, d) + min over d' of (f[i-1][d'] + transfer). Throws
/// InvalidInput naming the operator at which the network is no chain. Without residency.
Mapping dp_mapping(const Graph& graph, const System& system, Objective objective);

/// Points of the latency-energy trade by dp on latency + lambda * energy for a geometric range of lambda: the
/// lower convex hull only, which is all that a weighted sum can find.
std::vector<Run> dp_hull(const Graph& graph, const System& system, int points = 16);

/// HEFT (Topcuoglu et al. 2002): operators by upward rank, each where it ends first, gaps used; then single
/// moves and splits are tried for the schedule with overlap, at most `trials` of them.
Mapping heft_mapping(const Graph& graph, const System& system, int trials = 400);

Mapping random_mapping(const Graph& graph, const System& system, std::uint64_t seed);

struct IlpOptions {
  Objective objective = Objective::latency;
  bool split = false;  ///< shares of a quarter, a half and three quarters
  std::optional<double> most_energy_uj = {}, most_ms = {};
  double time_limit_s = 10;
};
struct IlpResult {
  Mapping mapping;
  bool feasible = true;
  bool optimal = true;  ///< false: the time was up; `gap` is what is left
  double gap = 0;       ///< (value - bound) / value
  double value = 0;     ///< the objective as the program saw it: cycles or uJ
};

/// Schema `seq` by COIN-OR's CBC. With limits it finds points that no weighted sum does. Residency is taken
/// from the cut.
IlpResult ilp_mapping(const Graph& graph, const System& system, const IlpOptions& options = {});

}  // namespace ballast::codesign
