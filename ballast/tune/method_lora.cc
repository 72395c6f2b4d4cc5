// LoRA: the weights stay, a product of two thin matrices is learnt beside each (Hu et al., 2021). All on the
// device.

#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/tune/method_parts.h"
#include "ballast/tune/paths.h"

namespace ballast::tune {
namespace {

class Lora : public MethodBase {
 public:
  explicit Lora(int rank) : rank_(rank) {
    if (rank < 1) throw InvalidInput("--rank", std::to_string(rank), "at least 1");
  }
  std::string name() const override { return "lora"; }

  void attach(const MethodContext& context) override {
    context_ = context;
    const DeviceScope scope(context_.device->memory(), "adapters and their state");
    for (const Unit& unit : context_.units) {
      // A Kaiming-uniform, B zero: the product starts at zero. Scale a/R with a = 2R.
      Random random(context_.seed, 0x10a0000u + static_cast<std::uint64_t>(unit.id));
      const double bound = 1.0 / std::sqrt(static_cast<double>(unit.cols()));
      at::Tensor a = torch::empty({rank_, unit.cols()});
      for (std::int64_t i = 0; i < a.numel(); ++i) {
        a.data_ptr<float>()[i] = static_cast<float>(random.uniform(-bound, bound));
      }
      const auto path = std::make_shared<LoraPath>(a.requires_grad_(),
                                                   torch::zeros({unit.rows(), rank_}).requires_grad_(), 2.0);
      states_.push_back({path,
                         {at::zeros_like(path->a), at::zeros_like(path->a), {}},
                         {at::zeros_like(path->b), at::zeros_like(path->b), {}}});
      unit.layer->path = path;
    }
  }
  void merge() override {
    const at::NoGradGuard no_grad;
    for (const Unit& unit : context_.units) {
      const LoraPath& path = *states_[static_cast<std::size_t>(unit.id)].path;
      unit.layer->weight.add_(path.b.matmul(path.a), path.scale);
      unit.layer->path = nullptr;
    }
  }

 protected:
  void update_unit(const Unit& unit) override {
    State& state = states_[static_cast<std::size_t>(unit.id)];
    update(state.path->a, state.a);
    update(state.path->b, state.b);
  }
  std::vector<at::Tensor> gradients(const Unit& unit) override {
    const LoraPath& path = *states_[static_cast<std::size_t>(unit.id)].path;
    return {path.a.grad(), path.b.grad()};
  }
  void drop(const Unit& unit) override {
    const LoraPath& path = *states_[static_cast<std::size_t>(unit.id)].path;
    path.a.mutable_grad().reset();
    path.b.mutable_grad().reset();
  }
  NamedTensors method_state() override {
    NamedTensors list;
    for (const Unit& unit : context_.units) {
      State& state = states_[static_cast<std::size_t>(unit.id)];
      const std::string name = unit.path();
      list.insert(list.end(), {{name + ".lora_a", state.path->a.detach()},
                               {name + ".lora_b", state.path->b.detach()},
                               {name + ".a.m", state.a.m},
                               {name + ".a.v", state.a.v},
                               {name + ".b.m", state.b.m},
                               {name + ".b.v", state.b.v}});
    }
    return list;
  }

 private:
  struct State {
    std::shared_ptr<LoraPath> path;
    AdamState a, b;
  };
  void update(at::Tensor& values, AdamState& state) {
    const at::NoGradGuard no_grad;
    at::Tensor gradient = values.grad().contiguous();
    if (!kernels::adam_parameters(gradient.data_ptr<float>(), state.m.data_ptr<float>(),
                                  state.v.data_ptr<float>(), values.data_ptr<float>(), values.numel(),
                                  adam_step(context_, plan_.step, clip_scale(gradient)), keep(), rate()))
      healthy_ = false;
    values.mutable_grad().reset();
  }

  int rank_;
  std::vector<State> states_;
};

}  // namespace

std::unique_ptr<Method> make_lora(int rank) {
  return std::make_unique<Lora>(rank);
}

}  // namespace ballast::tune
