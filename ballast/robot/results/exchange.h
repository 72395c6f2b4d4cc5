// Our results in the forms of others: ros2_benchmark's JSON and RobotPerf's benchmark.yaml.
#pragma once

#include <string>

#include "ballast/robot/benchmarks/session.h"
#include "ballast/robot/results/published.h"

namespace ballast::robot {

/// ros2_benchmark's keys: BasicPerformanceMetrics and ResourceMetrics of the peak (or the first rate) at the
/// top, "30.0fps" objects for fixed rates, metadata. Times in milliseconds.
Json to_r2b(const SessionResult& result);

/// RobotPerf's results of one benchmark: latency (value: the maximum over the runs, as their radar has it),
/// throughput, and power where it was measured.
PublishedSet to_robotperf(const SessionResult& result, const std::string& hardware,
                          const std::string& category, const std::string& date);

}  // namespace ballast::robot
