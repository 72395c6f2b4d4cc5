// LSP-Offload: gradients are compressed on the device into a learned sparse subspace, cross the link as d×d,
// are turned into Δ by Adam in the subspace on the host, and come back to change the weight by −η·PΔQᵀ.

#include <fmt/format.h>

#include <algorithm>
#include <atomic>

#include "ballast/tune/method_parts.h"
#include "ballast/tune/paths.h"

namespace ballast::tune {
namespace {

class Lsp : public Method {
 public:
  Lsp(const LspOptions& lsp, const Schedule& schedule, const EngineOptions& options)
      : lsp_(lsp), schedule_(schedule), options_(options) {
    if (!lsp_.learned) lsp_.init = ProjectorInit::scaled;
  }
  std::string name() const override { return lsp_.learned ? "lsp" : "lsp-random"; }

  void attach(const MethodContext& context) override {
    context_ = context;
    states_.resize(context_.units.size());
    for (const Unit& unit : context_.units) {
      State& state = states_[static_cast<std::size_t>(unit.id)];
      const std::int64_t shorter = std::min(unit.rows(), unit.cols());
      const std::int64_t d =
          lsp_.d > 0 ? std::min(lsp_.d, shorter)
                     : std::max<std::int64_t>(
                           1, static_cast<std::int64_t>(lsp_.fraction * static_cast<double>(shorter)));
      {
        const DeviceScope scope(context_.device->memory(), "projectors");
        Random random(context_.seed, 0x15b0000u + static_cast<std::uint64_t>(unit.id));
        state.pair =
            ProjectorPair::random(unit.rows(), unit.cols(), {.d = d, .r = lsp_.r, .init = lsp_.init}, random);
      }
      const HostScope host;
      state.m = torch::zeros({d, d});
      state.v = torch::zeros({d, d});
      auto sink = [&state](const at::Tensor& s) {
        if (state.s.defined()) {
          state.s.add_(s);
        } else {
          state.s = s;
        }
      };
      unit.layer->path = std::make_shared<FactoredPath>(&state.pair, sink);
    }
    engine_ = std::make_unique<Engine>(*context_.device, schedule_, options_);
  }

  bool wants_calibration() const override { return lsp_.learned; }
  void calibrate(const std::function<at::Tensor(const Unit&)>& gradient) override {
    for (const Unit& unit : context_.units) {
      State& state = states_[static_cast<std::size_t>(unit.id)];
      state.fitted = fit(state.pair, {gradient(unit)}, lsp_.fit);
    }
  }

  void begin_step(const StepPlan& plan) override {
    plan_ = plan;
    if (schedule_.forward_waits_for_all) engine_->drain();
    engine_->begin_step(plan.step);
  }
  void before_forward(std::int64_t block) override { apply(block); }
  void after_backward(std::int64_t block, bool last) override {
    if (!last) return;
    for (const Unit& unit : context_.units) {
      if (unit.block != block) continue;
      State& state = states_[static_cast<std::size_t>(unit.id)];
      const auto adam = adam_step(context_, plan_.step, clip_scale(context_, state.s));
      state.rate = plan_.rate;
      state.pending = true;
      engine_->submit({.block = unit.block,
                       .unit = unit.id,
                       .source = state.s,
                       .target = state.s,
                       .update = [this, adam, &state](std::int64_t first, std::int64_t count, float* values) {
                         if (!kernels::adam_delta(values, state.m.data_ptr<float>() + first,
                                                  state.v.data_ptr<float>() + first, count, adam)) {
                           healthy_ = false;
                         }
                       }});
    }
  }
  void finish_step() override { engine_->backward_done(); }
  void settle() override {
    for (std::int64_t block = 0; block < context_.model->block_count(); ++block) apply(block);
  }
  Engine* engine() override { return engine_.get(); }
  bool healthy() const override { return healthy_; }

 private:
  struct State {
    ProjectorPair pair;
    at::Tensor m, v;  // host, d×d
    at::Tensor s;     // device: S on the way out, Δ on the way back
    double rate = 0;
    bool pending = false;
    FitReport fitted;
  };

  // Waits for the block's Δ and decompresses them into the weights.
  void apply(std::int64_t block) {
    const auto of_block = [&](const Unit& unit) {
      return unit.block == block && states_[static_cast<std::size_t>(unit.id)].pending;
    };
    if (std::none_of(context_.units.begin(), context_.units.end(), of_block)) return;
    engine_->wait_block(block);
    const at::NoGradGuard no_grad;
    for (const Unit& unit : context_.units) {
      if (!of_block(unit)) continue;
      State& state = states_[static_cast<std::size_t>(unit.id)];
      at::Tensor weight = unit.layer->weight;
      state.pair.decompress(state.s, weight, {.rate = state.rate, .decay = context_.adam.decay});
      state.s.reset();
      state.pending = false;
    }
  }

  LspOptions lsp_;
  Schedule schedule_;
  EngineOptions options_;
  MethodContext context_;
  StepPlan plan_;
  std::vector<State> states_;
  std::atomic<bool> healthy_{true};
  std::unique_ptr<Engine> engine_;  // last: its workers use the states
};

}  // namespace

std::unique_ptr<Method> make_lsp(const LspOptions& lsp, const Schedule& schedule,
                                 const EngineOptions& options) {
  return std::make_unique<Lsp>(lsp, schedule, options);
}

}  // namespace ballast::tune
