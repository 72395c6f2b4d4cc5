// The graph around the synthetic component, for tests of the harness and for figures on known systems.
#pragma once

#include <string>
#include <vector>

#include "ballast/base/temporary_folder.h"
#include "ballast/robot/harness/black_box.h"

namespace ballast::robot {

/// /in -> Synthetic(params) -> /out, both sensor_msgs/msg/Image, keep-last 1000.
GraphSpec synthetic_graph(const Json& params);
/// One small image message of so many bytes of data.
std::vector<Stream> synthetic_streams(std::size_t bytes);

}  // namespace ballast::robot
