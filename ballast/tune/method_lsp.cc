// LSP-Offload: gradients are compressed on the device into a learned sparse subspace, cross the link as d×d,
// are turned into Δ by Adam in the subspace on the host, and come back to change the weight by −η·PΔQᵀ.

#include <fmt/format.h>

#include <algorithm>

#include "ballast/tune/method_parts.h"
#include "ballast/tune/paths.h"

namespace ballast::tune {
namespace {

class Lsp : public MethodBase {
 public:
  Lsp(const LspOptions& lsp, const Schedule& schedule, const EngineOptions& options)
      : lsp_(lsp), schedule_(schedule), options_(options) {
    if (!lsp_.learned) lsp_.init = ProjectorInit::scaled;
  }
  std::string name() const override { return lsp_.svd ? "lsp-svd" : lsp_.learned ? "lsp" : "lsp-random"; }

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
            lsp_.svd ? ProjectorPair::dense(torch::zeros({unit.rows(), d}), torch::zeros({unit.cols(), d}))
                     : ProjectorPair::random(unit.rows(), unit.cols(),
                                             {.d = d, .r = lsp_.r, .init = lsp_.init}, random);
      }
      const HostScope host;
      state.m = torch::zeros({d, d});
      state.v = torch::zeros({d, d});
      state.fitted_bias = torch::zeros({1});
      auto sink = [&state](const at::Tensor& s) {
        if (state.s.defined()) {
          state.s.add_(s);
        } else {
          state.s = s;
        }
      };
      if (lsp_.factored) {
        unit.layer->path = std::make_shared<FactoredPath>(&state.pair, sink);
      } else {
        unit.layer->path = std::make_shared<DensePath>(
            [&state, sink](const at::Tensor& g) { sink(state.pair.compress(g)); });
      }
    }
    engine_ = std::make_unique<Engine>(*context_.device, schedule_, options_);
  }

  bool wants_calibration() const override { return lsp_.learned; }
  std::int64_t check_every() const override {
    return lsp_.learned && lsp_.relearn != Relearn::never ? lsp_.check_every : 0;
  }

  // MAYBEUPDATE of the paper's algorithm 1; its first call fits before the
  // first update.
  std::vector<UnitBias> calibrate(std::int64_t step,
                                  const std::function<at::Tensor(const Unit&)>& gradient) override {
    std::vector<UnitBias> biases;
    for (const Unit& unit : context_.units) {
      State& state = states_[static_cast<std::size_t>(unit.id)];
      biases.push_back(check(unit, state, gradient(unit), step));
    }
    return biases;
  }

  void begin_step(const StepPlan& plan) override {
    MethodBase::begin_step(plan);
    if (schedule_.forward_waits_for_all) engine_->drain();
    engine_->begin_step(plan.step);
  }
  void before_forward(std::int64_t block) override { apply(block); }
  void settle() override {
    for (std::int64_t block = 0; block < context_.model->block_count(); ++block) apply(block);
  }
  void restored() override {
    for (State& state : states_) {
      state.pair.p.indices_changed();
      state.pair.q.indices_changed();
    }
  }
  std::optional<Schedule> schedule() const override { return schedule_; }
  std::int64_t payload_bytes(const Unit& unit) const override {
    const std::int64_t d = states_[static_cast<std::size_t>(unit.id)].pair.d();
    return 4 * d * d;
  }
  Engine* engine() override { return engine_.get(); }

 protected:
  void update_unit(const Unit& unit) override {
    State& state = states_[static_cast<std::size_t>(unit.id)];
    const auto adam = adam_step(context_, plan_.step, clip_scale(state.s));
    state.rate = plan_.rate;
    state.pending = true;
    engine_->submit({.block = unit.block,
                     .unit = unit.id,
                     .source = state.s,
                     .target = state.s,
                     .update = [this, adam, &state](std::int64_t start, std::int64_t count, float* values) {
                       if (!kernels::adam_delta(values, state.m.data_ptr<float>() + start,
                                                state.v.data_ptr<float>() + start, count, adam)) {
                         healthy_ = false;
                       }
                     }});
  }
  std::vector<at::Tensor> gradients(const Unit& unit) override {
    return {states_[static_cast<std::size_t>(unit.id)].s};
  }
  void drop(const Unit& unit) override {
    State& state = states_[static_cast<std::size_t>(unit.id)];
    if (!state.pending) state.s.reset();
  }
  void submitted() override { engine_->backward_done(); }
  NamedTensors method_state() override {
    NamedTensors list;
    for (const Unit& unit : context_.units) {
      State& state = states_[static_cast<std::size_t>(unit.id)];
      const std::string name = unit.path();
      list.emplace_back(name + ".m", state.m);
      list.emplace_back(name + ".v", state.v);
      list.emplace_back(name + ".fitted_bias", state.fitted_bias);
      list.emplace_back("projector." + name + ".p.index", state.pair.p.stored_indices());
      list.emplace_back("projector." + name + ".p.value", state.pair.p.values());
      list.emplace_back("projector." + name + ".q.index", state.pair.q.stored_indices());
      list.emplace_back("projector." + name + ".q.value", state.pair.q.values());
    }
    return list;
  }

 private:
  struct State {
    ProjectorPair pair;
    at::Tensor m, v;  // host, d×d
    at::Tensor s;     // device: S on the way out, Δ on the way back
    double rate = 0;
    bool pending = false;
    at::Tensor fitted_bias;  // relative bias right after the last fit; 0 before
                             // the first
  };

  UnitBias check(const Unit& unit, State& state, const at::Tensor& g, std::int64_t step) {
    UnitBias bias{.unit = unit.path(), .rows = unit.rows(), .cols = unit.cols(), .d = state.pair.d()};
    bias.before = bias.after = relative_bias(state.pair, g);
    const bool first = state.fitted_bias.item<float>() <= 0;
    if (!first) {
      const double limit = lsp_.relearn == Relearn::threshold ? lsp_.alpha
                           : lsp_.relearn == Relearn::drift   ? 1.1 * state.fitted_bias.item<float>()
                                                              : 0.0;
      if (bias.before <= limit) return bias;
    }
    ProjectorPair fresh = state.pair;
    if (!first) {
      const DeviceScope scope(context_.device->memory(), "projectors");
      Random random(context_.seed, 0x15b0000u + static_cast<std::uint64_t>(unit.id) +
                                       (static_cast<std::uint64_t>(step) << 32));
      fresh = ProjectorPair::random(unit.rows(), unit.cols(),
                                    {.d = state.pair.d(), .r = lsp_.r, .init = lsp_.init}, random);
    }
    if (lsp_.svd) {
      if (g.norm().item<double>() == 0) return bias;
      const DeviceScope scope(context_.device->memory(), "projectors");
      const auto [u, values, vh] = torch::linalg_svd(g, /*full_matrices=*/false);
      fresh = ProjectorPair::dense(u.narrow(1, 0, state.pair.d()), vh.narrow(0, 0, state.pair.d()).t());
      bias.fit.bias_after = relative_bias(fresh, g);
    } else {
      bias.fit = fit(fresh, {g}, lsp_.fit);
      if (bias.fit.why == FitStop::zero_gradient) return bias;
    }
    if (first) {
      bias.after = bias.fit.bias_after;
      if (lsp_.svd) state.pair = std::move(fresh);
    } else if (bias.fit.bias_after < bias.before) {  // never trade down
      bias.after = bias.fit.bias_after;
      bias.changed = true;
      const HostScope host;
      if (lsp_.reproject) {
        reproject_moments(state.pair, fresh, state.m, state.v);
      } else {
        state.m.zero_();
        state.v.zero_();
      }
      state.pair = std::move(fresh);
    }
    state.fitted_bias.fill_(bias.after);
    return bias;
  }

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
  std::vector<State> states_;
  std::unique_ptr<Engine> engine_;  // last: its workers use the states
};

}  // namespace

std::unique_ptr<Method> make_lsp(const LspOptions& lsp, const Schedule& schedule,
                                 const EngineOptions& options) {
  return std::make_unique<Lsp>(lsp, schedule, options);
}

}  // namespace ballast::tune
