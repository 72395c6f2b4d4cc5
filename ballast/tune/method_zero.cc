// Zero-Offload: whole gradients to the host, Adam on f32 master weights there, whole weights back. With a
// layerwise schedule it is the paper's ablation.

#include <atomic>

#include "ballast/tune/method_parts.h"
#include "ballast/tune/paths.h"

namespace ballast::tune {
namespace {

class Zero : public Method {
 public:
  Zero(const Schedule& schedule, const EngineOptions& options) : schedule_(schedule), options_(options) {}
  std::string name() const override { return schedule_.name == "zero" ? "zero" : "zero+" + schedule_.name; }

  void attach(const MethodContext& context) override {
    context_ = context;
    const HostScope host;
    for (const Unit& unit : context_.units) {
      const at::Tensor& weight = unit.layer->weight;
      states_.push_back({at::zeros_like(weight), at::zeros_like(weight), {}});
      masters_.push_back(weight.detach().clone());
      auto sink = [this, id = static_cast<std::size_t>(unit.id)](const at::Tensor& g) { states_[id].add(g); };
      unit.layer->path = std::make_shared<DensePath>(sink);
    }
    for (std::int64_t block = 0; block < context_.model->block_count(); ++block) {
      std::int64_t bytes = 0;
      for (const Unit& unit : context_.units) bytes += unit.block == block ? unit.size() * 4 : 0;
      bucket_ = std::max(bucket_, bytes);
    }
    engine_ = std::make_unique<Engine>(*context_.device, schedule_, options_);
  }

  void begin_step(const StepPlan& plan) override {
    plan_ = plan;
    healthy_ = true;
    const bool delayed = schedule_.delayed && plan.step > options_.delayed_warmup;
    if (schedule_.forward_waits_for_all && !delayed) engine_->drain();
    engine_->begin_step(plan.step);
    fresh_ = true;
  }
  void before_forward(std::int64_t block) override {
    if (fresh_) engine_->wait_block(block);
  }
  void before_backward(std::int64_t) override {
    // Gradients that the link has not taken yet occupy the device: at most one block's bucket of them waits.
    engine_->wait_pending_below(bucket_);
  }
  void after_backward(std::int64_t block, bool last) override {
    if (!last) return;
    fresh_ = false;
    for (const Unit& unit : context_.units) {
      if (unit.block != block) continue;
      AdamState& state = states_[static_cast<std::size_t>(unit.id)];
      const auto adam = adam_step(context_, plan_.step, clip_scale(context_, state.gradient));
      const auto keep = static_cast<float>(1 - plan_.rate * context_.adam.decay);
      const auto rate = static_cast<float>(plan_.rate);
      float* m = state.m.data_ptr<float>();
      float* v = state.v.data_ptr<float>();
      float* p = masters_[static_cast<std::size_t>(unit.id)].data_ptr<float>();
      at::Tensor source = std::move(state.gradient);
      state.gradient.reset();
      engine_->submit({.block = unit.block,
                       .unit = unit.id,
                       .source = std::move(source),
                       .target = unit.layer->weight.detach(),
                       .update = [this, adam, keep, rate, m, v, p](std::int64_t first, std::int64_t count,
                                                                   float* values) {
                         if (!kernels::adam_parameters(values, m + first, v + first, p + first, count, adam,
                                                       keep, rate)) {
                           healthy_ = false;
                         }
                       }});
    }
  }
  void finish_step() override { engine_->backward_done(); }
  void abandon_step() override {
    for (AdamState& state : states_) state.gradient.reset();
    engine_->backward_done();
  }
  void settle() override { engine_->drain(); }
  NamedTensors state() override {
    NamedTensors list = moments(context_, states_);
    for (const Unit& unit : context_.units) {
      list.emplace_back(unit.path() + ".master", masters_[static_cast<std::size_t>(unit.id)]);
    }
    return list;
  }
  std::optional<Schedule> schedule() const override { return schedule_; }
  std::int64_t payload_bytes(const Unit& unit) const override { return unit.size() * 4; }
  std::int64_t bucket_bytes() const override { return bucket_; }
  Engine* engine() override { return engine_.get(); }
  bool healthy() const override { return healthy_; }

 private:
  Schedule schedule_;
  EngineOptions options_;
  MethodContext context_;
  StepPlan plan_;
  std::vector<AdamState> states_;  // m and v on the host, the gradient on the device
  std::vector<at::Tensor> masters_;
  std::int64_t bucket_ = 0;
  bool fresh_ = true;  // no gradient of this step has been submitted yet
  std::atomic<bool> healthy_{true};
  std::unique_ptr<Engine> engine_;
};

}  // namespace

std::unique_ptr<Method> make_zero(const Schedule& schedule, const EngineOptions& options) {
  return std::make_unique<Zero>(schedule, options);
}

}  // namespace ballast::tune
