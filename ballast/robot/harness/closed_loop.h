// The same stalling system asked in two ways: one message in flight, each sent when the last was answered
// (what a timing loop does), and by a schedule that does not wait. The difference is coordinated omission.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ballast/robot/harness/accounting.h"
#include "ballast/robot/wire/dds.h"

namespace ballast::robot {

struct ClosedLoopOptions {
  ros::ContextOptions context = {};
  double rate_hz = 100;
  double seconds = 6;
  double service_ms = 1;
  int stall_every = 500;  ///< messages
  double stall_ms = 200;
};

struct ClosedLoopResult {
  LatencySummary naive, service, corrected;
  std::vector<std::int64_t> naive_ns, corrected_ns;
  std::size_t lost = 0;
};

/// Starts a synthetic component of these properties in a child process and asks it in both ways.
ClosedLoopResult compare_closed_loop(const ClosedLoopOptions& options);

}  // namespace ballast::robot
