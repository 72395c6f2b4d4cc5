// The fields of every tracepoint, in the order in which points.h passes their values.
#pragma once

#include <string>
#include <vector>

#include "ballast/robot/trace/points.h"

namespace ballast::trace {

struct PointSchema {
  Point point;
  const char* name;                 ///< "ros2:callback_start"; operations: the suffix "_cb_init"
  std::vector<const char*> values;  ///< integer fields
  std::vector<const char*> texts;   ///< string fields
};

const PointSchema& schema_of(Point point);
/// "ros2_image_pipeline:image_proc_rectify_cb_init" for the operation `image_proc_rectify`.
std::string operation_event(const std::string& operation, Point point);

}  // namespace ballast::trace
