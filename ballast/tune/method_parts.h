// Private to the methods: what several of them share.
#pragma once

#include <torch/torch.h>

#include <cmath>

#include "ballast/tune/kernels.h"
#include "ballast/tune/method.h"

namespace ballast::tune {

struct AdamState {
  at::Tensor m, v, gradient;
  /// Sum over micro-batches.
  void add(const at::Tensor& g) {
    if (gradient.defined()) {
      gradient.add_(g);
    } else {
      gradient = g;
    }
  }
};

/// The moments of all units, by name.
inline NamedTensors moments(const MethodContext& context, std::vector<AdamState>& states) {
  NamedTensors list;
  for (const Unit& unit : context.units) {
    const AdamState& state = states[static_cast<std::size_t>(unit.id)];
    list.emplace_back(unit.path() + ".m", state.m);
    list.emplace_back(unit.path() + ".v", state.v);
  }
  return list;
}

/// The factor that brings a gradient's norm down to the limit.
inline double clip_scale(const MethodContext& context, const at::Tensor& gradient) {
  if (context.clip == Clip::none) return 1;
  const double norm = gradient.norm().item<double>();
  return norm > context.clip_norm ? context.clip_norm / norm : 1;
}

/// Adam's constants for optimizer step `step` (from 0).
inline kernels::AdamStep adam_step(const MethodContext& context, std::int64_t step, double scale) {
  const auto t = static_cast<double>(step + 1);
  return {.beta1 = static_cast<float>(context.adam.beta1),
          .beta2 = static_cast<float>(context.adam.beta2),
          .epsilon = static_cast<float>(context.adam.epsilon),
          .correction1 = 1 - std::pow(context.adam.beta1, t),
          .correction2 = 1 - std::pow(context.adam.beta2, t),
          .scale = static_cast<float>(scale)};
}

}  // namespace ballast::tune
