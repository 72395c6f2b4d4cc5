// The PQ tree of Booth and Lueker (1976): all orders of its leaves in which given sets are consecutive.
//
//   PqTree tree(5);
//   tree.reduce({1, 3});            // true: 1 and 3 are neighbours from now on
//   tree.frontier()                 // one such order
//
// A P-node's children may come in any order, a Q-node's in the given one or its reverse. Here a reduction is
// written as a recursion that labels every node empty, full or partial and applies the templates on the way
// up; its cost is linear in the tree, not in the set, which is enough for cells (a few hundred leaves).
#pragma once

#include <cstdint>
#include <vector>

namespace ballast::dynamic {

class PqTree {
 public:
  struct Node {
    enum class Kind : std::uint8_t { leaf, p, q };
    Kind kind = Kind::leaf;
    int leaf = -1;
    std::vector<Node> children = {};
  };

  /// Leaves 0 .. count - 1 in any order.
  explicit PqTree(int count);
  /// Keeps only orders with the set consecutive; false, and nothing changes, when there is none.
  bool reduce(const std::vector<int>& set);
  /// One order, from left to right.
  std::vector<int> frontier() const;
  /// The smallest node that has the whole set below it.
  const Node& spanning(const std::vector<int>& set) const;
  const Node& root() const { return root_; }
  Node& root() { return root_; }
  int size() const { return count_; }

 private:
  int count_;
  Node root_;
};

/// Leaves below a node from left to right.
std::vector<int> leaves_of(const PqTree::Node& node);
/// All orders that a tree allows; for tests, at most 9 leaves.
std::vector<std::vector<int>> all_orders(const PqTree& tree);

}  // namespace ballast::dynamic
