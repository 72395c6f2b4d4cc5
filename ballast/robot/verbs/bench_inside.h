// The suites of `bench` that run benchmarks of the set: F5 (grey against black), F6 (implementations by the
// time of their computation), F8 (the whole set). One function a suite.
#pragma once

#include "ballast/base/bench.h"
#include "ballast/robot/benchmarks/session.h"

namespace ballast::robot {

struct InsideOptions {
  bool quick = false;
  std::uint64_t seed = 1;
  ros::ContextOptions context;
};

/// F5: both methods on the same messages, below and above saturation, and what tracing costs.
void bench_grey(Bench& bench, const InsideOptions& options);
/// F6 without a1: a3 and a4 on two threads, Bullet against FCL, both inverse solvers.
void bench_kernels(Bench& bench, const InsideOptions& options);
/// F8: every benchmark of the set once, and how long all of it took. Two halves, each within six minutes.
void bench_set(Bench& bench, const InsideOptions& options, bool perception);

}  // namespace ballast::robot
