#include <algorithm>
#include <cmath>

#include "ballast/federate/baselines.h"

namespace ballast::federate {
namespace {

/// One model on all data whose training adapts: by the clients' learning rate, or on the server.
class Adaptive : public Strategy {
 public:
  explicit Adaptive(std::string name) : name_(std::move(name)) {
    ops_.push_back({.kind = ModelOp::Kind::fresh, .slot = 0});
  }
  std::string name() const override { return name_; }
  std::vector<SlotId> begin_step(const StepInfo& info) override {
    step_ = info.step;
    return {};
  }
  void on_scores(const ScoreTable&) override {}
  Wishes wishes() const override {
    Wishes wishes;
    if (name_ == "flash") {
      wishes.early_stop = true;
      wishes.server_optimizer = "flash";
    }
    return wishes;
  }
  std::vector<SlotId> training_slots() const override { return {0}; }
  std::vector<TrainBatch> train_batches(SlotId, ClientId) const override {
    std::vector<TrainBatch> batches;
    for (int step = 0; step <= step_; ++step) batches.push_back({step, 1.0});
    return batches;
  }
  SlotId serving_slot(ClientId) const override { return 0; }

  // After the t-th update: exponential means (0.5) of the parameters, of their variance around the mean of
  // the last update, and of the variance's ratio; the rate is lr0 * min(1, ratio / t).
  float learning_rate(SlotId) const override { return rate_; }
  void on_aggregated(SlotId, const Params& params) override {
    if (name_ != "adaptive_fedavg") return;
    ++updates_;
    const double correct_before = 1 - std::exp2(-(updates_ - 1.0)), correct = 1 - std::exp2(-updates_ * 1.0);
    mean_.resize(params.size(), 0);
    double spread = 0;
    for (std::size_t i = 0; i < params.size(); ++i) {
      const double before = updates_ == 1 ? 0 : mean_[i] / correct_before;
      spread += (params[i] - before) * (params[i] - before);
      mean_[i] = 0.5 * mean_[i] + 0.5 * params[i];
    }
    const double last = updates_ == 1 ? 0 : variance_ / correct_before;
    variance_ = 0.5 * variance_ + 0.5 * spread / static_cast<double>(params.size());
    const double ratio = last == 0 ? 1 : variance_ / correct / last;
    ratio_ = 0.5 * ratio_ + 0.5 * ratio;
    rate_ = kBaseRate * static_cast<float>(std::min(1.0, ratio_ / correct / updates_));
  }
  void archive(Archive& a) override {
    Strategy::archive(a);
    a& step_& updates_& variance_& ratio_& rate_& mean_;
  }

 private:
  static constexpr float kBaseRate = 1e-2f;
  std::string name_;
  int step_ = 0;
  int updates_ = 0;
  double variance_ = 0, ratio_ = 0;
  float rate_ = 0;
  std::vector<double> mean_;
};

}  // namespace

std::unique_ptr<Strategy> make_adaptive(const std::string& name) {
  return std::make_unique<Adaptive>(name);
}

}  // namespace ballast::federate
