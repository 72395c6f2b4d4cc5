// Which machine owns which vertex. An owner numbers its vertices 0, 1, ...; both directions are closed forms,
// so no table of all vertices exists anywhere.
//
//   Owners owners = Owners::chunks({0, 100, 250});       // machine 0: 0..99, machine 1: 100..249
//   Owners owners = Owners::hashed(n, machines, seed);   // dealt out at random
//   owners.global(owners.owner(v), owners.index(v)) == v
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "ballast/data/permutation.h"
#include "ballast/graph/graph.h"

namespace ballast::graph {

class Owners {
 public:
  /// Contiguous ranges: machine m owns [bounds[m], bounds[m + 1]).
  static Owners chunks(std::vector<std::uint64_t> bounds) { return Owners(std::move(bounds)); }
  static Owners hashed(std::uint64_t vertices, int machines, std::uint64_t seed) {
    return Owners(vertices, machines, seed);
  }

  int machines() const { return machines_; }
  std::uint64_t vertices() const { return bounds_.back(); }

  int owner(VertexId v) const {
    if (hashed_) return static_cast<int>(scatter_(v) % static_cast<std::uint64_t>(machines_));
    return static_cast<int>(std::upper_bound(bounds_.begin() + 1, bounds_.end() - 1, v) -
                            (bounds_.begin() + 1));
  }
  /// v's number at its owner.
  VertexId index(VertexId v) const {
    if (hashed_) return static_cast<VertexId>(scatter_(v) / static_cast<std::uint64_t>(machines_));
    return static_cast<VertexId>(v - bounds_[static_cast<std::size_t>(owner(v))]);
  }
  VertexId global(int machine, VertexId index) const {
    const auto m = static_cast<std::uint64_t>(machine);
    if (hashed_)
      return static_cast<VertexId>(scatter_.inverse(index * static_cast<std::uint64_t>(machines_) + m));
    return static_cast<VertexId>(bounds_[m] + index);
  }
  std::uint64_t count(int machine) const {
    const auto m = static_cast<std::uint64_t>(machine), p = static_cast<std::uint64_t>(machines_);
    if (hashed_) return vertices() / p + (m < vertices() % p ? 1 : 0);
    return bounds_[m + 1] - bounds_[m];
  }

 private:
  explicit Owners(std::vector<std::uint64_t> bounds)
      : machines_(static_cast<int>(bounds.size()) - 1), bounds_(std::move(bounds)), scatter_(1, 0) {}
  Owners(std::uint64_t vertices, int machines, std::uint64_t seed)
      : machines_(machines),
        hashed_(true),
        bounds_{0, vertices},
        scatter_(std::max<std::uint64_t>(1, vertices), seed) {}

  int machines_;
  bool hashed_ = false;
  std::vector<std::uint64_t> bounds_;
  data::Permutation scatter_;
};

}  // namespace ballast::graph
