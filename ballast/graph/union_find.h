// Disjoint sets whose representative is always their smallest member; path halving, so a chain of m
// operations on n members costs O((n + m) log n) at worst and is linear in practice.
#pragma once

#include <cstdint>
#include <numeric>
#include <vector>

#include "ballast/graph/graph.h"

namespace ballast::graph {

class UnionFind {
 public:
  explicit UnionFind(std::uint64_t members) : parent_(members), sets_(members) {
    std::iota(parent_.begin(), parent_.end(), VertexId{0});
  }

  VertexId find(VertexId v) {
    while (parent_[v] != v) {
      parent_[v] = parent_[parent_[v]];
      v = parent_[v];
    }
    return v;
  }

  /// Returns whether two sets became one.
  bool join(VertexId a, VertexId b) {
    a = find(a);
    b = find(b);
    if (a == b) return false;
    parent_[a < b ? b : a] = a < b ? a : b;
    --sets_;
    return true;
  }

  std::uint64_t count() const { return sets_; }

 private:
  std::vector<VertexId> parent_;
  std::uint64_t sets_;
};

}  // namespace ballast::graph
