// The run-time dataflow graph of one mini-batch, as batching policies see it: nodes with a type (what may run
// together), in topological order. A graph trace is the same as a file, so that policies can be compared
// without our language.
//
// Trace: {"types": ["leaf", "internal"], "nodes": [{"t": 0, "a": []}, {"t": 1, "a": [0, 0]}, ...]}; "t" is an
// index or a name, "a" the nodes whose results it reads, all of them earlier.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ballast/base/json.h"

namespace ballast::dynamic {

using NodeId = std::uint32_t;
using TypeId = std::uint32_t;

class Graph {
 public:
  explicit Graph(std::vector<std::string> types = {}) : types_(std::move(types)) {}

  /// Arguments must be earlier nodes; throws InvalidInput otherwise. Repeated arguments count once as an
  /// edge.
  NodeId add(TypeId type, std::span<const NodeId> arguments);
  NodeId add(TypeId type, std::initializer_list<NodeId> arguments) {
    return add(type, std::span<const NodeId>(arguments.begin(), arguments.size()));
  }
  /// Adds all nodes of `other` (same types); returns the id that its node 0 got.
  NodeId append(const Graph& other);

  std::size_t size() const { return type_.size(); }
  TypeId type(NodeId node) const { return type_[node]; }
  std::span<const NodeId> arguments(NodeId node) const {
    return {arguments_.data() + begin_[node], arguments_.data() + begin_[node + 1]};
  }
  const std::vector<std::string>& types() const { return types_; }
  /// The nodes that read each node's result.
  std::vector<std::vector<NodeId>> consumers() const;
  /// Longest path to each node, in edges.
  std::vector<std::uint32_t> depths() const;

  Json to_json() const;
  /// Throws InvalidInput naming the node: unknown type, an argument that is no earlier node.
  static Graph from_json(const Json& json, const std::string& where);

 private:
  std::vector<std::string> types_;
  std::vector<TypeId> type_;
  std::vector<NodeId> arguments_;
  std::vector<std::size_t> begin_{0};
};

/// No policy needs fewer batches: the sum over types of the longest chain of nodes of that type (ED-Batch).
std::uint32_t lower_bound(const Graph& graph);

}  // namespace ballast::dynamic
