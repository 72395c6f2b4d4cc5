#include "ballast/dynamic/graph.h"

#include <fmt/format.h>

#include <algorithm>

#include "ballast/base/errors.h"

namespace ballast::dynamic {

NodeId Graph::add(TypeId type, std::span<const NodeId> arguments) {
  const auto id = static_cast<NodeId>(size());
  if (type >= types_.size()) {
    throw InvalidInput(
        fmt::format("node {}: type {}; accepted: 0 to {}", id, type, types_.empty() ? 0 : types_.size() - 1));
  }
  const std::size_t first = arguments_.size();
  for (NodeId argument : arguments) {
    if (argument >= id)
      throw InvalidInput(fmt::format("node {}: argument {} is no earlier node", id, argument));
    if (std::find(arguments_.begin() + static_cast<std::ptrdiff_t>(first), arguments_.end(), argument) ==
        arguments_.end()) {
      arguments_.push_back(argument);
    }
  }
  type_.push_back(type);
  begin_.push_back(arguments_.size());
  return id;
}

NodeId Graph::append(const Graph& other) {
  BALLAST_CHECK(types_ == other.types_);
  const auto offset = static_cast<NodeId>(size());
  std::vector<NodeId> moved;
  for (NodeId node = 0; node < other.size(); ++node) {
    moved.clear();
    for (NodeId argument : other.arguments(node)) moved.push_back(argument + offset);
    add(other.type(node), moved);
  }
  return offset;
}

std::vector<std::vector<NodeId>> Graph::consumers() const {
  std::vector<std::vector<NodeId>> readers(size());
  for (NodeId node = 0; node < size(); ++node) {
    for (NodeId argument : arguments(node)) readers[argument].push_back(node);
  }
  return readers;
}

std::vector<std::uint32_t> Graph::depths() const {
  std::vector<std::uint32_t> depth(size(), 0);
  for (NodeId node = 0; node < size(); ++node) {
    for (NodeId argument : arguments(node)) depth[node] = std::max(depth[node], depth[argument] + 1);
  }
  return depth;
}

Json Graph::to_json() const {
  Json nodes = Json::array();
  for (NodeId node = 0; node < size(); ++node) {
    nodes.push_back(
        {{"t", type_[node]}, {"a", std::vector<NodeId>(arguments(node).begin(), arguments(node).end())}});
  }
  return {{"types", types_}, {"nodes", nodes}};
}

Graph Graph::from_json(const Json& json, const std::string& where) {
  const std::string accepted = R"({"types": [names], "nodes": [{"t": type, "a": [earlier nodes]}]})";
  if (!json.is_object() || !json.contains("types") || !json.contains("nodes") || !json["types"].is_array() ||
      !json["nodes"].is_array()) {
    throw InvalidInput(fmt::format("{}: no graph trace; accepted: {}", where, accepted));
  }
  std::vector<std::string> types;
  for (const auto& type : json["types"]) {
    if (!type.is_string())
      throw InvalidInput(fmt::format("{}: a type that is no name; accepted: {}", where, accepted));
    types.push_back(type.get<std::string>());
  }
  Graph graph(types);
  std::vector<NodeId> arguments;
  for (const auto& entry : json["nodes"]) {
    const std::size_t id = graph.size();
    const auto fail = [&](const std::string& problem) {
      return InvalidInput(fmt::format("{}: node {}: {}; accepted: {}", where, id, problem, accepted));
    };
    if (!entry.is_object() || !entry.contains("t") || (entry.contains("a") && !entry["a"].is_array()))
      throw fail("malformed");
    TypeId type = 0;
    if (entry["t"].is_string()) {
      const auto found = std::find(types.begin(), types.end(), entry["t"].get<std::string>());
      if (found == types.end()) throw fail(fmt::format("unknown type '{}'", entry["t"].get<std::string>()));
      type = static_cast<TypeId>(found - types.begin());
    } else if (entry["t"].is_number_unsigned() && entry["t"].get<std::uint64_t>() < types.size()) {
      type = entry["t"].get<TypeId>();
    } else {
      throw fail(fmt::format("type {}", entry["t"].dump()));
    }
    arguments.clear();
    if (entry.contains("a")) {
      for (const auto& argument : entry["a"]) {
        if (!argument.is_number_unsigned() || argument.get<std::uint64_t>() >= id) {
          throw fail(fmt::format("argument {} is no earlier node", argument.dump()));
        }
        arguments.push_back(argument.get<NodeId>());
      }
    }
    graph.add(type, arguments);
  }
  return graph;
}

std::uint32_t lower_bound(const Graph& graph) {
  std::uint32_t bound = 0;
  std::vector<std::uint32_t> chain(graph.size());
  for (TypeId type = 0; type < graph.types().size(); ++type) {
    std::uint32_t longest = 0;
    for (NodeId node = 0; node < graph.size(); ++node) {
      std::uint32_t before = 0;
      for (NodeId argument : graph.arguments(node)) before = std::max(before, chain[argument]);
      chain[node] = before + (graph.type(node) == type ? 1 : 0);
      longest = std::max(longest, chain[node]);
    }
    bound += longest;
  }
  return bound;
}

}  // namespace ballast::dynamic
