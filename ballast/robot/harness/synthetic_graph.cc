#include "ballast/robot/harness/synthetic_graph.h"

#include <stdlib.h>

#include "ballast/base/errors.h"

namespace ballast::robot {
namespace {

TopicSpec image_topic(const std::string& name) {
  return {.topic = name, .type = "sensor_msgs/msg/Image", .qos = ros::QosProfile{}.with_depth(1000)};
}

}  // namespace

GraphSpec synthetic_graph(const Json& params) {
  GraphSpec graph;
  graph.id = "synthetic";
  graph.inputs = {image_topic("/in")};
  graph.outputs = {image_topic("/out")};
  graph.nodes = {{.name = "/synthetic",
                  .component = "ballast::components::Synthetic",
                  .remap = {{"in", "/in"}, {"out", "/out"}},
                  .params = params}};
  return graph;
}

std::vector<Stream> synthetic_streams(std::size_t bytes) {
  sensor_msgs::Image image;
  image.header.frame_id = "synthetic";
  image.encoding = "mono8";
  image.width = static_cast<std::uint32_t>(bytes);
  image.height = 1;
  image.step = image.width;
  image.data.assign(bytes, 7);
  return {{.topic = image_topic("/in"), .messages = {ros::serialize(image)}}};
}

}  // namespace ballast::robot
