// Measures one benchmark from outside and prints its latency percentiles: the program that a user writes
// first.
#include <fmt/format.h>

#include "ballast/robot/benchmarks/session.h"

int main() {
  using namespace ballast;
  const ros::PrivateDomain domain;
  robot::SessionOptions options;
  options.context.domain_id = domain.id();
  options.rates_hz = {20};
  options.iterations = 1;
  options.seconds = 1;
  options.size = robot::Size::test;
  const auto result = robot::run_session(robot::find_benchmark("a2"), options);
  if (!result.valid()) {
    fmt::print("invalid: {}\n", result.invalid.front());
    return 3;
  }
  const auto& run = result.rates.at(0).runs.at(0).analysis();
  fmt::print("{}: p50 {:.3f} ms, p99 {:.3f} ms, lost {} of {}; output differs by {:.2f} grey levels\n",
             result.id, run.corrected.median_ms, run.corrected.p99_ms, run.counts.lost, run.counts.sent,
             result.check.value);
  return 0;
}
