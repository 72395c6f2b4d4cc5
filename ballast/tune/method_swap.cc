// Memory-only offload: all compute on the device, Adam's moments on the host. Each block's moments come over
// the link while its backward pass runs, are used, and go back while the next block's runs.

#include <algorithm>
#include <future>

#include "ballast/tune/method_parts.h"
#include "ballast/tune/paths.h"
#include "ballast/tune/simulate.h"

namespace ballast::tune {
namespace {

class Swap : public MethodBase {
 public:
  ~Swap() override { wait_for_link(); }
  std::string name() const override { return "swap"; }

  void attach(const MethodContext& context) override {
    context_ = context;
    std::int64_t largest = 0;
    std::vector<std::int64_t> sizes(static_cast<std::size_t>(context_.model->block_count()));
    for (const Unit& unit : context_.units) {
      auto sink = [this, id = static_cast<std::size_t>(unit.id)](const at::Tensor& g) {
        gradients_[id].add(g);
      };
      unit.layer->path = std::make_shared<DensePath>(sink);
      auto& size = sizes[static_cast<std::size_t>(unit.block)];
      offsets_.push_back(size);
      size += unit.size();
      largest = std::max(largest, size);
    }
    gradients_.resize(context_.units.size());
    {
      const HostScope host;
      for (const std::int64_t size : sizes) states_.push_back(torch::zeros({2, size}));
    }
    const DeviceScope scope(context_.device->memory(), "optimizer state of two blocks");
    for (Slot& slot : slots_) slot.values = torch::empty({2 * largest});
  }

  void before_backward(std::int64_t block) override {
    if (!arriving_.contains(block)) fetch(block);
  }
  void begin_step(const StepPlan& plan) override {
    MethodBase::begin_step(plan);
    arriving_.clear();
  }
  void settle() override { wait_for_link(); }
  std::int64_t payload_bytes(const Unit& unit) const override { return 8 * unit.size(); }

  // Uploads begin with the block's backward pass, at most two blocks are on the device.
  std::optional<SimulatedStep> modelled_step(const StepCosts& costs,
                                             const SimulatedMachine& machine) const override {
    double time = costs.ends, up = 0, down = 0, slot_free[2] = {}, waited = 0;
    const std::size_t blocks = costs.forward.size();
    for (std::size_t i = 0; i < blocks; ++i) time += costs.forward[i] + costs.apply[i];
    for (std::size_t i = 0; i < blocks; ++i) {
      const std::size_t block = blocks - 1 - i;
      double bytes = 0;
      for (const std::int64_t unit : costs.payload[block]) bytes += static_cast<double>(unit);
      const auto link = [&](double rate) { return machine.link.latency_s + (rate > 0 ? bytes / rate : 0); };
      up = std::max({up, slot_free[i % 2], time}) + link(machine.link.h2d);
      const double computed = time + costs.backward[block];
      time = std::max(computed, up);
      waited += time - computed;
      down = std::max(down, time) + link(machine.link.d2h);
      slot_free[i % 2] = down;
    }
    SimulatedStep step{.seconds = std::max(time, down), .breakdown = {}};
    step.breakdown = {.total = step.seconds,
                      .compute = time - waited,
                      .link = waited + step.seconds - time,
                      .update = 0,
                      .other = 0};
    return step;
  }

 protected:
  std::vector<at::Tensor> gradients(const Unit& unit) override {
    return {gradients_[static_cast<std::size_t>(unit.id)].gradient};
  }
  void drop(const Unit& unit) override { gradients_[static_cast<std::size_t>(unit.id)].gradient.reset(); }
  NamedTensors method_state() override {
    NamedTensors list;
    for (std::size_t block = 0; block < states_.size(); ++block)
      list.emplace_back("blk." + std::to_string(block) + ".moments", states_[block]);
    return list;
  }
  void update_unit(const Unit& unit) override {
    if (!arriving_.contains(unit.block)) fetch(unit.block);
    Slot& slot = slots_[arriving_.at(unit.block)];
    if (slot.arrives.valid()) slot.arrives.get();
    const std::int64_t offset = offsets_[static_cast<std::size_t>(unit.id)];
    const std::int64_t size = states_[static_cast<std::size_t>(unit.block)].size(1);
    float* values = slot.values.data_ptr<float>();
    AdamState& state = gradients_[static_cast<std::size_t>(unit.id)];
    if (!kernels::adam_parameters(state.gradient.data_ptr<float>(), values + offset, values + size + offset,
                                  unit.layer->weight.data_ptr<float>(), unit.size(),
                                  adam_step(context_, plan_.step, clip_scale(state.gradient)), keep(),
                                  rate()))
      healthy_ = false;
    state.gradient.reset();
    if (offset + unit.size() == size) send_back(unit.block);
  }
  void submitted() override { wait_for_link(); }

 private:
  struct Slot {
    at::Tensor values;  // first moments, then second, of one block
    std::future<void> arrives;
    std::shared_future<void> leaves;
  };

  void fetch(std::int64_t block) {
    const std::size_t index = next_slot_++ % 2;
    Slot& slot = slots_[index];
    arriving_[block] = index;
    at::Tensor from = states_[static_cast<std::size_t>(block)];
    slot.arrives = std::async(std::launch::async, [this, &slot, from, leaves = slot.leaves] {
      if (leaves.valid()) leaves.get();
      context_.device->h2d().copy(slot.values.data_ptr<float>(), from.data_ptr<float>(),
                                  static_cast<std::int64_t>(from.nbytes()));
    });
    // The link serves one transfer at a time: the compute thread has waited for the one before.
  }

  void send_back(std::int64_t block) {
    Slot& slot = slots_[arriving_.at(block)];
    at::Tensor to = states_[static_cast<std::size_t>(block)];
    slot.leaves = std::async(std::launch::async, [this, &slot, to, before = last_down_] {
                    if (before.valid()) before.get();
                    context_.device->d2h().copy(to.data_ptr<float>(), slot.values.data_ptr<float>(),
                                                static_cast<std::int64_t>(to.nbytes()));
                  }).share();
    last_down_ = slot.leaves;
  }

  void wait_for_link() {
    for (Slot& slot : slots_) {
      if (slot.arrives.valid()) slot.arrives.wait();
      if (slot.leaves.valid()) slot.leaves.get();
    }
  }

  std::vector<AdamState> gradients_;   // only their gradients are used
  std::vector<at::Tensor> states_;     // by block, on the host: [2, values]
  std::vector<std::int64_t> offsets_;  // by unit, within its block
  Slot slots_[2];
  std::map<std::int64_t, std::size_t> arriving_;  // block to slot, in this step
  std::size_t next_slot_ = 0;
  std::shared_future<void> last_down_;
};

}  // namespace

std::unique_ptr<Method> make_swap() {
  return std::make_unique<Swap>();
}

}  // namespace ballast::tune
