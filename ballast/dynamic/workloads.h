// Dataflow graphs of dynamic models over generated data whose shape follows public data sets: sentiment
// trees, tagged sentences and character-word lattices. Each draw is keyed by (seed, instance), so instance 7
// is the same in every batch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ballast/dynamic/graph.h"

namespace ballast::dynamic {

/// A binary tree: nodes in bottom-up order; a leaf has no children.
struct Tree {
  struct Node {
    int left = -1, right = -1;  ///< -1: a leaf
    int word = 0;
  };
  std::vector<Node> nodes;  ///< the root is the last
  int leaves() const { return (static_cast<int>(nodes.size()) + 1) / 2; }
  int height() const;
};

/// Leaves and splits as in the Stanford Sentiment Treebank (leaves 2 to 56, mean 19; height over leaves
/// 0.56).
Tree draw_tree(std::uint64_t seed, std::uint64_t instance);

/// tree, tree-2type, lattice, bilstm, bilstm-char; and for stress: grid2d and grid3d (an LSTM over a grid,
/// sides 4 to 12 and 3 to 6), perfect-tree (depth 5 to 8), random-dag (200 states of 3 types, arcs of 2 types
/// from at most 30 states back, up to 4 a state).
std::vector<std::string> workload_names();

/// The graph of one mini-batch: instances first, first + 1, ... `count` of them, and one reduction over all.
Graph make_workload(const std::string& name, int count, std::uint64_t seed, std::uint64_t first = 0);

}  // namespace ballast::dynamic
