// The frontier of a graph while it is executed batch by batch: which nodes could run now, by type.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ballast/dynamic/graph.h"

namespace ballast::dynamic {

/// What does not change from run to run of one graph: consumers, depths, and for every node the nearest
/// earlier nodes of its own type (those that are reached backwards without passing another node of the type).
class Structure {
 public:
  /// `own_frontiers`: also what Frontier::own_count and the lower bound need, which costs more than the rest.
  explicit Structure(const Graph& graph, bool own_frontiers = true);

  const Graph& graph;
  std::vector<std::vector<NodeId>> consumers;
  std::vector<std::uint32_t> depth;
  std::vector<std::vector<NodeId>> next_same_type;  ///< nodes whose nearest earlier nodes include this one
  std::vector<std::uint32_t> nearest_same_type;     ///< how many nearest earlier nodes of the own type
  std::uint32_t lower_bound;
};

class Frontier {
 public:
  explicit Frontier(const Structure& structure);

  bool done() const { return left_ == 0; }
  /// Nodes of this type that could run now.
  const std::vector<NodeId>& ready(TypeId type) const { return ready_[type]; }
  std::size_t count(TypeId type) const { return ready_[type].size(); }
  /// Size of the frontier of the type's own graph: nodes with no unrun node of the type before them.
  std::size_t own_count(TypeId type) const { return own_ready_[type]; }
  /// Mean depth of the type's nodes that have not run.
  double mean_depth(TypeId type) const {
    return static_cast<double>(depth_sum_[type]) / static_cast<double>(remaining_[type]);
  }
  std::size_t types() const { return ready_.size(); }

  /// Runs all ready nodes of the type as one batch and returns them.
  std::vector<NodeId> run(TypeId type);
  /// Runs exactly these ready nodes of one type.
  void run(const std::vector<NodeId>& nodes);

 private:
  void finish(NodeId node);

  const Structure& structure_;
  std::vector<std::uint32_t> missing_, own_missing_;
  std::vector<std::vector<NodeId>> ready_;
  std::vector<std::size_t> own_ready_, remaining_;
  std::vector<std::uint64_t> depth_sum_;
  std::size_t left_;
};

}  // namespace ballast::dynamic
