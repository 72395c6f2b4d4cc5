// What a stage would take at a size that no desk has: bytes, time and memory of each machine, from the law of
// the keys alone. Nothing is run at that size; whatever comes from here is modelled.
//
// The hottest keys are taken one by one (their demand on every machine drawn from Poisson's law) through the
// bytes model, the tail in closed form: of the keys of one expected demand, so many groups are pushed and so
// many pulled, evenly over machines.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "ballast/cluster/cost_model.h"
#include "ballast/orch/options.h"

namespace ballast::orch {

struct PlanInput {
  int machines = 16;
  double tasks = 50'000;  ///< of each machine
  std::uint64_t keys = 1'000'000;
  double theta = 0.99;
  RecordSizes sizes = {.task = 32, .item = 1025, .reply = 16, .meta = 16};
  std::uint64_t seed = 1;
};

/// Seconds of CPU of a machine: per task that it runs, and per byte that it sends or receives.
struct ComputeCost {
  double per_task_s = 1e-7, per_byte_s = 5e-10;
};

struct Planned {
  std::string method;  ///< push, pull-dedup, td-orch
  std::string forest;  ///< of td-orch: flat or the fan-out, the better of the candidates of `auto`
  double busiest_bytes = 0, total_bytes = 0;
  int supersteps = 0;
  double imbalance = 1;
  double compute_s = 0;      ///< of the busiest machine
  double all_compute_s = 0;  ///< of all machines
  double network_s = 0;
  double memory_bytes = 0;  ///< of a machine: its items, its batch, what it holds of a superstep
  /// On machines with cores of their own.
  double seconds() const { return compute_s + network_s; }
  /// Where `cores` are shared by all machines, as threads of one host share them: computing takes turns.
  double seconds_sharing(double cores) const {
    return std::max(compute_s, all_compute_s / cores) + network_s;
  }
};

/// The three methods on one input. Throws InvalidInput for sizes that cannot be.
std::vector<Planned> plan_stage(const PlanInput& input, const ComputeCost& cost, const cluster::Profile& net);

/// One measured run: what the fit is made of, and what it is held against.
struct CostPoint {
  double tasks = 0, bytes = 0, cpu_s = 0;  ///< summed over machines
};
/// Least squares on relative errors, no negative coefficient.
ComputeCost fit_cost(const std::vector<CostPoint>& points);

}  // namespace ballast::orch
