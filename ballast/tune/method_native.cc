// Everything on the device: Adam after the whole backward pass, or inside it, block by block.

#include <cmath>

#include "ballast/tune/kernels.h"
#include "ballast/tune/method.h"
#include "ballast/tune/method_parts.h"
#include "ballast/tune/paths.h"

namespace ballast::tune {
namespace {

class Native : public Method {
 public:
  explicit Native(bool in_backward) : in_backward_(in_backward) {}
  std::string name() const override { return in_backward_ ? "native-inbwd" : "native"; }

  void attach(const MethodContext& context) override {
    context_ = context;
    for (const Unit& unit : context_.units) {
      const DeviceScope scope(context_.device->memory(), "optimizer state");
      states_.push_back({at::zeros_like(unit.layer->weight), at::zeros_like(unit.layer->weight), {}});
      auto sink = [this, id = static_cast<std::size_t>(unit.id)](const at::Tensor& g) { states_[id].add(g); };
      unit.layer->path = std::make_shared<DensePath>(sink);
    }
  }
  void begin_step(const StepPlan& plan) override {
    plan_ = plan;
    healthy_ = true;
  }
  void before_forward(std::int64_t) override {}
  void after_backward(std::int64_t block, bool last) override {
    if (in_backward_ && last) update(block);
  }
  void finish_step() override {
    if (in_backward_) return;
    for (std::int64_t block = 0; block < context_.model->block_count(); ++block) update(block);
  }
  void abandon_step() override {
    for (AdamState& state : states_) state.gradient.reset();
  }
  NamedTensors state() override { return moments(context_, states_); }
  bool healthy() const override { return healthy_; }

 private:
  void update(std::int64_t block) {
    for (const Unit& unit : context_.units) {
      if (unit.block != block) continue;
      AdamState& state = states_[static_cast<std::size_t>(unit.id)];
      const auto adam = adam_step(context_, plan_.step, clip_scale(context_, state.gradient));
      healthy_ &= kernels::adam_parameters(
          state.gradient.data_ptr<float>(), state.m.data_ptr<float>(), state.v.data_ptr<float>(),
          unit.layer->weight.data_ptr<float>(), unit.size(), adam,
          static_cast<float>(1 - plan_.rate * context_.adam.decay), static_cast<float>(plan_.rate));
      state.gradient.reset();
    }
  }

  bool in_backward_;
  MethodContext context_;
  StepPlan plan_;
  std::vector<AdamState> states_;
  bool healthy_ = true;
};

}  // namespace

std::unique_ptr<Method> make_native(bool in_backward) {
  return std::make_unique<Native>(in_backward);
}

}  // namespace ballast::tune
