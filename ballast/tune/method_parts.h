// Private to the methods: what several of them share.
#pragma once

#include <torch/torch.h>

#include <atomic>
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

/// The course of a step, the same for all methods: a block is updated when its backward pass in the last
/// micro-batch ends, or, where the clipping needs all gradients or the method asks for it, after the whole
/// backward pass, deepest block first.
class MethodBase : public Method {
 public:
  void begin_step(const StepPlan& plan) override {
    plan_ = plan;
    healthy_ = true;
  }
  void before_forward(std::int64_t) override {}
  void after_backward(std::int64_t block, bool last_micro_batch) override {
    if (last_micro_batch && !at_the_end()) update_block(block);
  }
  void finish_step() override {
    if (at_the_end()) {
      scale_ = limited(std::sqrt(squares_of_all()));
      for (std::int64_t block = context_.model->block_count(); block-- > 0;) update_block(block);
    }
    if (context_.clip == Clip::global_prev) previous_norm_.fill_(static_cast<float>(std::sqrt(squares_)));
    squares_ = 0;
    submitted();
  }
  void abandon_step() override {
    for (const Unit& unit : context_.units) drop(unit);
    squares_ = 0;
    submitted();
  }
  NamedTensors state() final {
    NamedTensors list = method_state();
    if (context_.clip == Clip::global_prev) list.emplace_back("clip.previous_norm", previous_norm_);
    return list;
  }
  bool healthy() const override { return healthy_; }

 protected:
  virtual void update_unit(const Unit& unit) = 0;
  /// What of this step's gradient of a unit lies on the device, as it is to be clipped; undefined tensors are
  /// left out.
  virtual std::vector<at::Tensor> gradients(const Unit& unit) = 0;
  /// Forgets it.
  virtual void drop(const Unit& unit) = 0;
  virtual NamedTensors method_state() = 0;
  virtual bool updates_at_the_end() const { return false; }
  /// All updates of the step have been given away.
  virtual void submitted() {}

  /// The factor that brings this unit's gradient (or the whole step's) down to the limit.
  double clip_scale(const at::Tensor& gradient) {
    switch (context_.clip) {
      case Clip::none:
        return 1;
      case Clip::unit:
        return limited(gradient.norm().item<double>());
      case Clip::global_prev: {
        const double norm = gradient.norm().item<double>();
        squares_ += norm * norm;
        return limited(previous_norm_.item<float>());  // nothing is known in the first step: no clipping
      }
      case Clip::global_sync:
        return scale_;
    }
    return 1;
  }
  float keep() const { return static_cast<float>(1 - plan_.rate * context_.adam.decay); }
  float rate() const { return static_cast<float>(plan_.rate); }

  MethodContext context_;
  StepPlan plan_;
  std::atomic<bool> healthy_{true};

 private:
  bool at_the_end() const { return updates_at_the_end() || context_.clip == Clip::global_sync; }
  double limited(double norm) const { return norm > context_.clip_norm ? context_.clip_norm / norm : 1; }
  double squares_of_all() {
    if (context_.clip != Clip::global_sync) return 0;
    double sum = 0;
    for (const Unit& unit : context_.units) {
      for (const at::Tensor& gradient : gradients(unit)) {
        if (!gradient.defined()) continue;
        const double norm = gradient.norm().item<double>();
        sum += norm * norm;
      }
    }
    return sum;
  }
  void update_block(std::int64_t block) {
    for (const Unit& unit : context_.units) {
      if (unit.block == block) update_unit(unit);
    }
  }

  double squares_ = 0, scale_ = 1;
  at::Tensor previous_norm_ = torch::zeros({1});
};

}  // namespace ballast::tune
