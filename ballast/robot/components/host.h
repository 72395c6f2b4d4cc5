// The component host: runs the nodes of a graph file in one process until it is told to stop.
#pragma once

#include <string>
#include <vector>

#include "ballast/robot/harness/graph_file.h"
#include "ballast/robot/wire/dds.h"

namespace ballast::robot {

struct HostOptions {
  ros::ContextOptions context;
  std::vector<std::string> only_nodes;  ///< empty: all nodes of the graph
  bool intra_process = true;
};

/// Returns at SIGTERM or SIGINT. Throws InvalidInput for graphs that cannot be made.
void host_components(const GraphSpec& graph, const HostOptions& options);

}  // namespace ballast::robot
