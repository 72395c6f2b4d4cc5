// x1: the Autoware reference system (ros-realtime/reference-system), 24 nodes whose callbacks search primes
// for a while; one process, one executor. What differs between executors is who waits for whom.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ballast/robot/harness/accounting.h"
#include "ballast/robot/node/executor.h"
#include "ballast/robot/wire/dds.h"

namespace ballast::robot {

struct ReferenceOptions {
  std::string executor = "single";
  double work_ms = 1;  ///< of every processing callback; see calibrated_primes
  double seconds = 5;
  ros::ContextOptions context = {};
};

struct ReferenceResult {
  std::vector<std::int64_t> hot_path_ns;  ///< lidar stamp to the end of ObjectCollisionEstimator
  LatencySummary hot_path;
  std::map<std::string, std::uint64_t> executions;     ///< processing callbacks a node
  std::map<std::string, std::uint64_t> sent, dropped;  ///< by topic; dropped: pushed out of a queue
  std::vector<double> planner_period_ms;               ///< between starts of BehaviorPlanner, nominally 100
  double cpu_s = 0;
};

/// The largest number up to which primes are searched for so that it takes about `milliseconds` here.
std::uint64_t calibrated_primes(double milliseconds);
/// How many primes there are up to `limit`, by trial division: the work of a node.
std::uint64_t count_primes(std::uint64_t limit);

/// Runs the whole system for so long. Messages are 4 kB.
ReferenceResult run_reference_system(const ReferenceOptions& options);

}  // namespace ballast::robot
