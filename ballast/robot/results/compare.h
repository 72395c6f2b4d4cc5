// Two result sets of the same workload: the ratio of each metric with its bootstrap interval, and a verdict.
#pragma once

#include <string>
#include <vector>

#include "ballast/base/json.h"
#include "ballast/base/table.h"

namespace ballast::robot {

enum class Verdict3 { better, worse, same };
const char* to_string(Verdict3 verdict);

struct ComparedMetric {
  std::string id, implementation, metric;
  double rate_hz = 0, a = 0, b = 0;
  double ratio = 1, low = 1, high = 1;  ///< b / a, 95 % bootstrap interval over runs
  Verdict3 verdict = Verdict3::same;    ///< of b, by whether the interval leaves 1
};

/// The ratio of medians with its percentile bootstrap interval (2,000 resamples of both sides).
ComparedMetric compare_runs(const std::vector<double>& a, const std::vector<double>& b, bool lower_is_better,
                            std::uint64_t seed);

/// `a` and `b` are documents of schema ballast.robot.run/1. Throws InvalidInput when they hold no common
/// benchmark, or when the input of a common one differs. `warnings` gets what differs between the machines.
std::vector<ComparedMetric> compare_documents(const Json& a, const Json& b, std::uint64_t seed,
                                              std::vector<std::string>& warnings);
Table to_table(const std::vector<ComparedMetric>& metrics);

}  // namespace ballast::robot
