// n1 and n2: round trips of one message in flight, by the sender's clock; payload touched on both sides.
#pragma once

#include <string>
#include <vector>

#include "ballast/robot/harness/accounting.h"
#include "ballast/robot/node/executor.h"
#include "ballast/robot/wire/dds.h"

namespace ballast::robot {

struct PingPongOptions {
  ros::ContextOptions context = {};
  std::size_t bytes = 1024;
  std::size_t rounds = 1000;
  double rate_hz = 0;  ///< 0: back to back
  std::string executor = "single";
};

struct PingPongResult {
  LatencySummary round_trip;
  std::size_t lost = 0;  ///< no answer within a second
};

/// n1: two nodes of one process, messages handed over by pointer.
PingPongResult ping_intra(const PingPongOptions& options);
/// n2: this process and a child that echoes from its receive thread, over Cyclone DDS.
PingPongResult ping_inter(const PingPongOptions& options);

/// A receiver in a child process and `count` messages of this size to it at this rate, one way.
struct FloodResult {
  Analysis analysis;
  std::vector<std::string> invalid;
};
FloodResult flood(const ros::ContextOptions& context, std::size_t bytes, double rate_hz, std::size_t count);

}  // namespace ballast::robot
