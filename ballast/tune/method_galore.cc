// GaLore (Zhao et al., 2024): the gradient is projected on the leading singular
// vectors of its shorter side, Adam runs on the projected gradient, the update
// is projected back. All on the device; the weight's gradient is dense for a
// moment.

#include <algorithm>

#include "ballast/base/errors.h"
#include "ballast/tune/method_parts.h"
#include "ballast/tune/paths.h"

namespace ballast::tune {
namespace {

class Galore : public MethodBase {
 public:
  explicit Galore(const GaloreOptions& options) : options_(options) {
    if (options_.rank < 1) throw InvalidInput("--rank", std::to_string(options_.rank), "at least 1");
    if (options_.gap < 1) throw InvalidInput("--gap", std::to_string(options_.gap), "at least 1");
  }
  std::string name() const override { return "galore"; }

  void attach(const MethodContext& context) override {
    context_ = context;
    const DeviceScope scope(context_.device->memory(), "projectors and state");
    for (const Unit& unit : context_.units) {
      const std::int64_t shorter = std::min(unit.rows(), unit.cols());
      const std::int64_t rank = std::min<std::int64_t>(options_.rank, shorter);
      const std::int64_t longer = std::max(unit.rows(), unit.cols());
      states_.push_back(
          {{torch::zeros({longer, rank}), torch::zeros({longer, rank}), {}}, torch::zeros({shorter, rank})});
      auto sink = [this, id = static_cast<std::size_t>(unit.id)](const at::Tensor& g) {
        states_[id].adam.add(g);
      };
      unit.layer->path = std::make_shared<DensePath>(sink);
    }
  }

 protected:
  void update_unit(const Unit& unit) override { update(unit, states_[static_cast<std::size_t>(unit.id)]); }
  std::vector<at::Tensor> gradients(const Unit& unit) override {
    return {states_[static_cast<std::size_t>(unit.id)].adam.gradient};
  }
  void drop(const Unit& unit) override { states_[static_cast<std::size_t>(unit.id)].adam.gradient.reset(); }
  NamedTensors method_state() override {
    NamedTensors list;
    for (const Unit& unit : context_.units) {
      const State& state = states_[static_cast<std::size_t>(unit.id)];
      list.emplace_back(unit.path() + ".m", state.adam.m);
      list.emplace_back(unit.path() + ".v", state.adam.v);
      list.emplace_back("projector." + unit.path(), state.basis);
    }
    return list;
  }

 private:
  struct State {
    AdamState adam;
    at::Tensor basis;  // [shorter side, rank]
  };

  void update(const Unit& unit, State& state) {
    const at::NoGradGuard no_grad;
    const bool tall = unit.rows() >= unit.cols();
    // The longer side is kept: G·Q for a tall matrix, Gᵀ·P for a wide one.
    const at::Tensor g = tall ? state.adam.gradient : state.adam.gradient.t();
    if (plan_.step % options_.gap == 0) {
      const at::Tensor right = std::get<2>(torch::linalg_svd(g, /*full_matrices=*/false));
      state.basis.copy_(right.narrow(0, 0, state.basis.size(1)).t());
    }
    at::Tensor projected = g.matmul(state.basis);
    const auto adam = adam_step(context_, plan_.step, clip_scale(projected));
    if (!kernels::adam_delta(projected.data_ptr<float>(), state.adam.m.data_ptr<float>(),
                             state.adam.v.data_ptr<float>(), projected.numel(), adam))
      healthy_ = false;
    const at::Tensor delta = projected.matmul(state.basis.t());
    at::Tensor weight = unit.layer->weight;
    if (context_.adam.decay > 0) weight.mul_(1 - plan_.rate * context_.adam.decay);
    weight.sub_(tall ? delta : delta.t(), plan_.rate * options_.scale);
    state.adam.gradient.reset();
  }

  GaloreOptions options_;
  std::vector<State> states_;
};

}  // namespace

std::unique_ptr<Method> make_galore(const GaloreOptions& options) {
  return std::make_unique<Galore>(options);
}

}  // namespace ballast::tune
