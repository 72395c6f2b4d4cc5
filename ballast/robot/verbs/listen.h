// Listening to a topic whose type and QoS are taken from the graph.
#pragma once

#include <chrono>
#include <string>

#include "ballast/robot/wire/graph_cache.h"

namespace ballast::robot {

struct Found {
  std::string type;
  ros::QosProfile qos;  ///< what matches all of the topic's publishers
  std::string vendor;
};

/// Waits for a publisher. Throws Unavailable saying which topics there are when none appears in time.
Found find_topic(ros::Context& context, const std::string& topic, std::chrono::milliseconds limit);

}  // namespace ballast::robot
