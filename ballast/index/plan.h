// What a size takes that no desk has: a cost model fitted to small runs of the simulated machine and of the
// cluster engine, made now. The largest runs are held out of the fit, and the error on them is printed with
// every answer. All of it is modelled.
//
//   const PimPlan plan = plan_pim({.keys = 5e8, .modules = 2048, .batch = 1 << 20}, profile, seed);
//   plan.operations_per_s, plan.module_bytes, plan.held_out_error
#pragma once

#include <cstdint>
#include <string>

#include "ballast/index/pim/timing.h"

namespace ballast::index {

struct PimWish {
  double keys = 5e8;
  std::uint32_t modules = 2048;
  double batch = 1 << 20;
  double alpha = 0.99;  ///< skew of predecessor questions over pieces of the key space
};

struct PimPlan {
  std::uint32_t levels = 0;
  double rounds = 0, padded_words = 0;  ///< of an operation
  double batch_seconds = 0, operations_per_s = 0, low = 0, high = 0;
  double module_bytes = 0;          ///< in use, of each module
  std::uint32_t least_modules = 0;  ///< for 64 MiB of memory each
  double held_out_error = 0;        ///< of padded words, work and memory on the largest run: the largest
};
/// Throws InvalidInput for sizes out of range.
PimPlan plan_pim(const PimWish& wish, const pim::Profile& profile, std::uint64_t seed);

struct ClusterWish {
  double keys = 1e9, value_bytes = 100, rate = 1e7;  ///< rate: operations a second wanted
  double batch = 4096;                               ///< of each machine
  std::string net = "10gbe";
  double memory_gib = 64;
};

struct ClusterPlan {
  int machines = 0;  ///< the fewest (a power of two) that have the memory and the rate; 0: none up to 4096
  double bytes_per_op = 0;
  double operations_per_s = 0, memory_bytes = 0;  ///< with that many machines; memory of one
  double held_out_error = 0;                      ///< of bytes an operation, on the largest run
};
ClusterPlan plan_cluster(const ClusterWish& wish, std::uint64_t seed);

}  // namespace ballast::index
