#include "ballast/robot/harness/graph_file.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <set>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/markup.h"
#include "ballast/robot/wire/names.h"

namespace ballast::robot {
namespace {

[[noreturn]] void refuse(const std::string& file, const YAML::Node& node, const std::string& problem,
                         const std::string& accepted = {}) {
  throw InvalidInput::at(file, static_cast<std::uint64_t>(std::max(node.Mark().line, 0)) + 1, problem,
                         accepted);
}

void check_keys(const std::string& file, const YAML::Node& map, const std::set<std::string>& accepted) {
  if (!map.IsMap()) refuse(file, map, "a map belongs here");
  for (const auto& item : map) {
    const auto key = item.first.as<std::string>();
    if (!accepted.contains(key))
      refuse(file, item.first, fmt::format("unknown key '{}'", key),
             fmt::format("{}", fmt::join(accepted, ", ")));
  }
}

Json scalar(const YAML::Node& node) {
  if (node.Tag() == "!") return node.as<std::string>();  // quoted
  long long integer;
  double number;
  bool truth;
  if (YAML::convert<long long>::decode(node, integer)) return integer;
  if (YAML::convert<double>::decode(node, number)) return number;
  if (YAML::convert<bool>::decode(node, truth)) return truth;
  return node.as<std::string>();
}

Json to_json(const std::string& file, const YAML::Node& node, int depth = 0) {
  if (depth > 16) refuse(file, node, "parameters nested too deeply");
  switch (node.Type()) {
    case YAML::NodeType::Scalar:
      return scalar(node);
    case YAML::NodeType::Sequence: {
      Json array = Json::array();
      for (const auto& item : node) array.push_back(to_json(file, item, depth + 1));
      return array;
    }
    case YAML::NodeType::Map: {
      Json object = Json::object();
      for (const auto& item : node)
        object[item.first.as<std::string>()] = to_json(file, item.second, depth + 1);
      return object;
    }
    default:
      return nullptr;
  }
}

TopicSpec topic_spec(const std::string& file, const YAML::Node& node) {
  check_keys(file, node, {"topic", "type", "qos", "key"});
  TopicSpec spec;
  for (const char* key : {"topic", "type"})
    if (!node[key]) refuse(file, node, fmt::format("a topic without '{}'", key));
  spec.topic = node["topic"].as<std::string>();
  spec.type = node["type"].as<std::string>();
  ros::check_full_name(spec.topic);
  ros::check_type_name(spec.type);
  if (node["qos"]) spec.qos_name = node["qos"].as<std::string>();
  spec.qos = ros::QosProfile::named(spec.qos_name);
  if (node["key"]) spec.key = node["key"].as<std::string>();
  if (spec.key != "stamp" && spec.key != "order" && !spec.key.starts_with("user:"))
    refuse(file, node["key"], fmt::format("key '{}'", spec.key), "stamp, order or user:<field path>");
  return spec;
}

NodeSpec node_spec(const std::string& file, const YAML::Node& node) {
  check_keys(file, node, {"name", "component", "remap", "params", "priority"});
  for (const char* key : {"name", "component"})
    if (!node[key]) refuse(file, node, fmt::format("a node without '{}'", key));
  NodeSpec spec{node["name"].as<std::string>(), node["component"].as<std::string>()};
  if (!spec.name.starts_with('/')) spec.name = "/" + spec.name;
  ros::check_full_name(spec.name);
  if (node["remap"])
    for (const auto& item : node["remap"])
      spec.remap[item.first.as<std::string>()] = item.second.as<std::string>();
  if (node["params"]) spec.params = to_json(file, node["params"]);
  if (node["priority"]) spec.priority = node["priority"].as<int>();
  return spec;
}

}  // namespace

GraphSpec parse_graph(const std::string& text, const std::string& file) {
  try {
    const YAML::Node root = YAML::Load(text);
    check_keys(file, root, {"graph", "inputs", "outputs", "nodes", "command", "placement", "executor"});
    GraphSpec graph;
    if (root["graph"]) graph.id = root["graph"].as<std::string>();
    for (const auto& item : root["inputs"]) graph.inputs.push_back(topic_spec(file, item));
    for (const auto& item : root["outputs"]) graph.outputs.push_back(topic_spec(file, item));
    for (const auto& item : root["nodes"]) graph.nodes.push_back(node_spec(file, item));
    for (const auto& item : root["command"]) graph.command.push_back(item.as<std::string>());
    if (graph.outputs.empty()) refuse(file, root, "a graph without outputs: nothing could be measured");
    if (const auto placement = root["placement"]) {
      const auto word = placement.as<std::string>();
      if (word != "composed" && word != "process-per-node")
        refuse(file, placement, fmt::format("placement '{}'", word), "composed or process-per-node");
      graph.process_per_node = word == "process-per-node";
    }
    if (root["executor"]) graph.executor = root["executor"].as<std::string>();
    return graph;
  } catch (const YAML::Exception& error) {
    throw InvalidInput::at(file, static_cast<std::uint64_t>(std::max(error.mark.line, 0)) + 1, error.msg);
  }
}

GraphSpec read_graph(const std::string& file) {
  return parse_graph(read_file(file, 1 << 20), file);
}

std::string to_yaml(const GraphSpec& graph) {
  std::string text = fmt::format("graph: {}\n", graph.id);
  const auto topics = [&](const char* name, const std::vector<TopicSpec>& specs, bool keys) {
    text += fmt::format("{}:\n", name);
    for (const auto& spec : specs)
      text += fmt::format("  - {{topic: {}, type: {}, qos: {}{}}}\n", spec.topic, spec.type, spec.qos_name,
                          keys ? fmt::format(", key: \"{}\"", spec.key) : "");
  };
  topics("inputs", graph.inputs, false);
  topics("outputs", graph.outputs, true);
  if (!graph.command.empty()) text += fmt::format("command: {}\n", Json(graph.command).dump());
  if (!graph.nodes.empty()) text += "nodes:\n";
  for (const auto& node : graph.nodes)
    text +=
        fmt::format("  - {{name: {}, component: \"{}\", priority: {}, remap: {}, params: {}}}\n", node.name,
                    node.component, node.priority, Json(node.remap).dump(), node.params.dump());
  text += fmt::format("placement: {}\nexecutor: {}\n",
                      graph.process_per_node ? "process-per-node" : "composed", graph.executor);
  return text;
}

std::string to_svg(const GraphSpec& graph) {
  const int box = 170, gap = 40, height = 90;
  const int count = static_cast<int>(graph.nodes.size()) + 2;
  const int width = count * (box + gap);
  std::string svg = fmt::format(
      "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {} {}' role='img'><style>text{{font:12px "
      "sans-serif;fill:currentColor}}rect{{fill:none;stroke:currentColor}}</style>",
      width, height);
  const auto draw = [&](int place, const std::string& title, const std::string& below, bool plain) {
    const int x = place * (box + gap) + gap / 2;
    svg += fmt::format("<rect x='{}' y='20' width='{}' height='44' rx='6'{}/>", x, box,
                       plain ? " stroke-dasharray='4'" : "");
    svg += fmt::format("<text x='{}' y='40'>{}</text><text x='{}' y='56' opacity='.7'>{}</text>", x + 8,
                       markup_text(title), x + 8, markup_text(below));
    if (place > 0)
      svg += fmt::format("<path d='M{} 42 L{} 42' stroke='currentColor'/><path d='M{} 38 l8 4 l-8 4 z'/>",
                         x - gap, x, x - 8);
  };
  draw(0, "playback", graph.inputs.empty() ? "" : graph.inputs.back().topic, true);
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const auto& component = graph.nodes[i].component;
    const auto colon = component.rfind(':');
    draw(static_cast<int>(i) + 1, graph.nodes[i].name,
         colon == std::string::npos ? component : component.substr(colon + 1), false);
  }
  draw(count - 1, "monitor", graph.outputs.empty() ? "" : graph.outputs.front().topic, true);
  return svg + "</svg>";
}

}  // namespace ballast::robot
