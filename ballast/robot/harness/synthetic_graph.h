// The graph around the synthetic component, for tests of the harness and for figures on known systems.
#pragma once

#include <string>
#include <vector>

#include "ballast/robot/harness/black_box.h"

namespace ballast::robot {

/// /in -> Synthetic(params) -> /out, both sensor_msgs/msg/Image, keep-last 1000.
GraphSpec synthetic_graph(const Json& params);
/// One small image message of so many bytes of data.
std::vector<Stream> synthetic_streams(std::size_t bytes);

/// A unique folder below the temporary one, removed with the object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace ballast::robot
