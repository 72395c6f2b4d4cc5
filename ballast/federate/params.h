// The parameters of a model as one aligned float32 buffer with a shared layout, and how they are averaged.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ballast/base/random.h"

namespace ballast::federate {

/// A multilayer perceptron Linear(features, hidden) - ReLU - Linear(hidden, classes). Output: logits.
/// Buffer: W1 [hidden][features], b1 [hidden], W2 [classes][hidden], b2 [classes].
struct MlpShape {
  int features = 0, hidden = 0, classes = 0;

  std::size_t size() const {
    const auto d = static_cast<std::size_t>(features), h = static_cast<std::size_t>(hidden),
               c = static_cast<std::size_t>(classes);
    return h * d + h + c * h + c;
  }
  bool operator==(const MlpShape&) const = default;
};

using Params = std::vector<float>;

/// Uniform in +-1/sqrt(fan-in) for weights and biases, the customary start of a linear layer; keyed by (seed,
/// stream).
Params fresh_params(const MlpShape& shape, std::uint64_t seed, std::uint64_t stream);

/// One term of a weighted mean.
struct WeightedParams {
  const Params* params;
  double weight;
};

/// sum(weight * params) / sum(weight), accumulated in double along a binary tree over the terms in the order
/// given, so that any split of the tree over processes gives the same bits. `terms` must not be empty and
/// weights be positive.
Params weighted_mean(std::span<const WeightedParams> terms);

}  // namespace ballast::federate
