// What candidate networks cost, fast. Additive mode sums the costs of blocks, each mapped exactly on its own
// and kept by its genes: tens of thousands of networks a second. It knows no overlap between blocks, no
// resident weights and assumes that the on-chip store holds all weights; final figures come from full_cost().
#pragma once

#include <unordered_map>

#include "ballast/codesign/mapping.h"
#include "ballast/codesign/space.h"

namespace ballast::codesign {

struct NetworkCost {
  double ms = 0, energy_uj = 0, npu_ms = 0, npu_uj = 0;  ///< mapped; and all on the NPU of the same device
  double macs = 0, weights = 0;

  NetworkCost& operator+=(const NetworkCost& other);
};

/// Costs of blocks on one device, filled as they are asked for. One thread at a time.
class BlockCosts {
 public:
  BlockCosts(const Space& space, const System& system, Objective objective = Objective::latency);

  /// The additive cost of a member of the space.
  NetworkCost operator()(const Genotype& genotype);
  std::size_t blocks() const { return cache_.size(); }
  const System& system() const { return system_; }

 private:
  template <typename MakePlan>
  const NetworkCost& cached(std::uint64_t key, const MakePlan& make);

  Space space_;
  System system_;
  Objective objective_;
  std::unordered_map<std::uint64_t, NetworkCost> cache_;
};

/// The whole network mapped with splits and residency; the NPU figures are of the device without macros.
NetworkCost full_cost(const Space& space, const Genotype& genotype, const System& system,
                      Objective objective = Objective::latency);

}  // namespace ballast::codesign
