// rosbag2's metadata.yaml, versions 1 to 9.
#pragma once

#include <string>
#include <vector>

#include "ballast/robot/bag/bag.h"

namespace ballast::bag {

struct Metadata {
  int version = 5;
  std::string storage;
  std::int64_t duration_ns = 0, start_ns = 0;
  std::uint64_t message_count = 0;
  std::vector<Topic> topics;
  std::string compression_format, compression_mode;  ///< "zstd", "FILE" or "MESSAGE"; empty: none
  std::vector<std::string> files;
};

/// Throws InvalidInput naming file, line and field.
Metadata parse_metadata(const std::string& text, const std::string& file);
std::string to_yaml(const Metadata& metadata);

}  // namespace ballast::bag
