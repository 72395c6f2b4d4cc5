// A computational graph as a file: what goes in, what comes out, and either our components or the command
// line of any ROS 2 system (README.md shows one). The same file starts the system under test and draws its
// picture.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ballast/base/json.h"
#include "ballast/robot/wire/qos.h"

namespace ballast::robot {

struct TopicSpec {
  std::string topic, type;
  ros::QosProfile qos = {};
  std::string qos_name = "default";  ///< as written in the file
  std::string key = "stamp";         ///< of outputs: stamp, order, or user:<field path>
};

struct NodeSpec {
  std::string name;       ///< "/rectify"
  std::string component;  ///< "ballast::components::Rectify"
  std::map<std::string, std::string> remap = {};
  Json params = Json::object();
  int priority = 0;
};

struct GraphSpec {
  std::string id;
  std::vector<TopicSpec> inputs, outputs;
  std::vector<NodeSpec> nodes = {};
  std::vector<std::string> command = {};  ///< of an external system; empty: our nodes
  bool process_per_node = false;
  std::string executor = "single";
};

/// Throws InvalidInput naming file and line for anything that is no graph.
GraphSpec parse_graph(const std::string& text, const std::string& file);
GraphSpec read_graph(const std::string& file);
std::string to_yaml(const GraphSpec& graph);
/// The graph as an <svg>: topics as arrows, nodes as boxes, left to right.
std::string to_svg(const GraphSpec& graph);

}  // namespace ballast::robot
