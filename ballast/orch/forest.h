// The communication forest: one tree a root machine, leaves are all machines (TD-Orch, section "communication
// forest"). Level 0 is the leaves, level H the root. Let w_l be the product of the first l fan-outs; the
// level-l group of machine m is floor(m / w_l), and a machine sends toward root r, at level l, to the node of
// its group.
//
//   Forest forest = Forest::with_fanout(16, 4);            // H = 2
//   int next = forest.next_hop(root, 1, me);               // where my set for that root goes first
//
// Placement of the nodes:
//   butterfly  node (r, l, g) on machine g*w_l + (r mod s), s the group's size: every machine carries the
//   same
//              number of trees at every level, 1/F of the traffic stays inside the sender, no table
//   hash       any machine, by hash of (r, l, g), as the paper has it
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ballast::orch {

enum class Placement { butterfly, hash };

class Forest {
 public:
  /// F = P, one level: every set goes straight to the owner.
  static Forest flat(int machines);
  /// Levels of fan-out F until they cover P. F is at least 2; one of P or more is flat.
  static Forest with_fanout(int machines, int fanout, Placement placement = Placement::butterfly);
  /// F = max(2, round(log2 P / log2 log2 P)), the paper's choice.
  static int theory_fanout(int machines);

  int machines() const { return machines_; }
  int height() const { return static_cast<int>(widths_.size()); }
  int fanout() const { return fanout_; }
  /// Machines under one node of this level.
  std::int64_t width(int level) const { return widths_[static_cast<std::size_t>(level - 1)]; }

  /// The machine that carries the node at `level` (1..H) under which machine `from` lies in the tree of
  /// `root`.
  int next_hop(int root, int level, int from) const {
    if (level == height()) return root;
    const std::int64_t w = width(level), group = from / w;
    if (placement_ == Placement::hash) return hashed(root, level, group);
    const std::int64_t size = w < machines_ - group * w ? w : machines_ - group * w;
    return static_cast<int>(group * w + root % size);
  }

  /// "flat" or "F=4, H=2".
  std::string describe() const;

 private:
  Forest(int machines, int fanout, Placement placement);
  int hashed(int root, int level, std::int64_t group) const;

  int machines_, fanout_;
  Placement placement_;
  std::vector<std::int64_t> widths_;
};

}  // namespace ballast::orch
