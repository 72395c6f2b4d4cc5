// Everything on the device: Adam after the whole backward pass, or inside it, block by block; there also with
// its moments in 8 bits.

#include "ballast/base/errors.h"
#include "ballast/tune/eight_bit.h"
#include "ballast/tune/method_parts.h"
#include "ballast/tune/paths.h"

namespace ballast::tune {
namespace {

class Native : public MethodBase {
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

 protected:
  bool updates_at_the_end() const override { return !in_backward_; }
  std::vector<at::Tensor> gradients(const Unit& unit) override { return {of(unit).gradient}; }
  void drop(const Unit& unit) override { of(unit).gradient.reset(); }
  NamedTensors method_state() override { return moments(context_, states_); }
  void update_unit(const Unit& unit) override {
    AdamState& state = of(unit);
    const auto adam = adam_step(context_, plan_.step, clip_scale(state.gradient));
    if (!kernels::adam_parameters(state.gradient.data_ptr<float>(), state.m.data_ptr<float>(),
                                  state.v.data_ptr<float>(), unit.layer->weight.data_ptr<float>(),
                                  unit.size(), adam, keep(), rate()))
      healthy_ = false;
    state.gradient.reset();
  }

 private:
  AdamState& of(const Unit& unit) { return states_[static_cast<std::size_t>(unit.id)]; }
  bool in_backward_;
  std::vector<AdamState> states_;
};

class EightBit : public MethodBase {
 public:
  std::string name() const override { return "native-inbwd-8bit"; }

  void attach(const MethodContext& context) override {
    context_ = context;
    gradients_.resize(context_.units.size());
    for (const Unit& unit : context_.units) {
      const DeviceScope scope(context_.device->memory(), "optimizer state");
      moments_.emplace_back(unit.size());
      unit.layer->path = std::make_shared<DensePath>([this, id = index(unit)](const at::Tensor& g) {
        if (gradients_[id].defined()) {
          gradients_[id].add_(g);
        } else {
          gradients_[id] = g;
        }
      });
    }
  }

 protected:
  std::vector<at::Tensor> gradients(const Unit& unit) override { return {gradients_[index(unit)]}; }
  void drop(const Unit& unit) override { gradients_[index(unit)].reset(); }
  NamedTensors method_state() override {
    NamedTensors list;
    for (const Unit& unit : context_.units) {
      const EightBitMoments& moments = moments_[index(unit)];
      list.insert(list.end(), {{unit.path() + ".m", moments.m},
                               {unit.path() + ".v", moments.v},
                               {unit.path() + ".m_scale", moments.m_scale},
                               {unit.path() + ".v_scale", moments.v_scale}});
    }
    return list;
  }
  void update_unit(const Unit& unit) override {
    at::Tensor& gradient = gradients_[index(unit)];
    const auto adam = adam_step(context_, plan_.step, clip_scale(gradient));
    if (!moments_[index(unit)].step(gradient.data_ptr<float>(), unit.layer->weight.data_ptr<float>(), adam,
                                    keep(), rate()))
      healthy_ = false;
    gradient.reset();
  }

 private:
  static std::size_t index(const Unit& unit) { return static_cast<std::size_t>(unit.id); }
  std::vector<EightBitMoments> moments_;
  std::vector<at::Tensor> gradients_;
};

}  // namespace

std::unique_ptr<Method> make_native(bool in_backward, int state_bits) {
  if (state_bits == 32) return std::make_unique<Native>(in_backward);
  if (state_bits != 8) throw InvalidInput("--state-bits", std::to_string(state_bits), "32 or 8");
  if (!in_backward) throw InvalidInput("--state-bits 8 is for --strategy native-inbwd");
  return std::make_unique<EightBit>();
}

}  // namespace ballast::tune
