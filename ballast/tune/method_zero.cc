// Zero-Offload: whole gradients to the host, Adam on f32 master weights there, whole weights back. With a
// layerwise schedule it is the paper's ablation.

#include "ballast/tune/method_parts.h"
#include "ballast/tune/paths.h"

namespace ballast::tune {
namespace {

class Zero : public MethodBase {
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
    MethodBase::begin_step(plan);
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
  void settle() override { engine_->drain(); }
  std::optional<Schedule> schedule() const override { return schedule_; }
  std::int64_t payload_bytes(const Unit& unit) const override { return unit.size() * 4; }
  std::int64_t bucket_bytes() const override { return bucket_; }
  Engine* engine() override { return engine_.get(); }

 protected:
  void update_unit(const Unit& unit) override {
    fresh_ = false;
    AdamState& state = of(unit);
    const auto adam = adam_step(context_, plan_.step, clip_scale(state.gradient));
    float* m = state.m.data_ptr<float>();
    float* v = state.v.data_ptr<float>();
    float* p = masters_[static_cast<std::size_t>(unit.id)].data_ptr<float>();
    at::Tensor source = std::move(state.gradient);
    state.gradient.reset();
    engine_->submit(
        {.block = unit.block,
         .unit = unit.id,
         .source = std::move(source),
         .target = unit.layer->weight.detach(),
         .update = [this, adam, kept = keep(), rate = rate(), m, v, p](std::int64_t first, std::int64_t count,
                                                                       float* values) {
           if (!kernels::adam_parameters(values, m + first, v + first, p + first, count, adam, kept, rate)) {
             healthy_ = false;
           }
         }});
  }
  std::vector<at::Tensor> gradients(const Unit& unit) override { return {of(unit).gradient}; }
  void drop(const Unit& unit) override { of(unit).gradient.reset(); }
  void submitted() override { engine_->backward_done(); }
  NamedTensors method_state() override {
    NamedTensors list = moments(context_, states_);
    for (const Unit& unit : context_.units) {
      list.emplace_back(unit.path() + ".master", masters_[static_cast<std::size_t>(unit.id)]);
    }
    return list;
  }

 private:
  AdamState& of(const Unit& unit) { return states_[static_cast<std::size_t>(unit.id)]; }
  Schedule schedule_;
  EngineOptions options_;
  std::vector<AdamState> states_;  // m and v on the host, the gradient on the device
  std::vector<at::Tensor> masters_;
  std::int64_t bucket_ = 0;
  bool fresh_ = true;  // no gradient of this step has been submitted yet
  std::unique_ptr<Engine> engine_;
};

}  // namespace

std::unique_ptr<Method> make_zero(const Schedule& schedule, const EngineOptions& options) {
  return std::make_unique<Zero>(schedule, options);
}

}  // namespace ballast::tune
