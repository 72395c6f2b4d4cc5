// Differentially private averaging (DP-FedAvg, McMahan et al. 2018) and the clipping it needs.
#pragma once

#include <cstdint>

#include "ballast/federate/params.h"

namespace ballast::federate {

struct PrivacyConfig {
  double clip = 0;         ///< largest L2 norm of an update; 0: no clipping, no noise
  double noise = 0;        ///< z: the sum gets noise of standard deviation z * clip
  double local_noise = 0;  ///< every client adds noise of standard deviation local_noise * clip to its update
  bool adaptive = false;   ///< clip follows the median norm (Andrew et al. 2021)
  double delta = 1e-5;     ///< of the promise
  double epsilon_budget = 0;  ///< training stops before it is passed; 0: none
  std::uint64_t secret = 0;   ///< seeds the noise; 0: the run's seed (simulations only)
};

double update_norm(const Params& trained, const Params& start);

/// Scales the update down to norm `clip`; true when it was longer.
bool clip_update(Params& trained, const Params& start, double clip);

/// Adds N(0, deviation^2) to every value.
void add_noise(Params& params, double deviation, std::uint64_t key);

/// Geometric update of an adaptive clip: quantile 0.5, rate 0.2; `below` is the (noisy) fraction of updates
/// that were not clipped.
double next_clip(double clip, double below);

}  // namespace ballast::federate
