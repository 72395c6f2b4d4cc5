#include <algorithm>

#include "ballast/federate/baselines.h"

namespace ballast::federate {
namespace {

constexpr SlotId kPred = 0, kStab = 1, kReac = 2;
constexpr int kReactiveSteps = 3, kWindow = 10;

class DriftSurf : public Strategy {
 public:
  explicit DriftSurf(double delta) : delta_(delta) {
    for (SlotId slot : {kPred, kStab, kReac}) ops_.push_back({.kind = ModelOp::Kind::fresh, .slot = slot});
  }
  std::string name() const override { return "driftsurf"; }
  std::vector<SlotId> begin_step(const StepInfo& info) override {
    step_ = info.step;
    return {kPred, kStab, kReac};
  }

  // Accuracies on the pooled new batches, before they are trained on.
  void on_scores(const ScoreTable& scores) override {
    std::vector<ScoreStat> pooled(3);
    for (const auto& row : scores) {
      for (std::size_t k = 0; k < 3; ++k) pooled[k] += row[k];
    }
    if (pooled[0].n == 0) return;
    const double pred = 1 - pooled[0].error(), stab = 1 - pooled[1].error(), reac = 1 - pooled[2].error();
    if (step_ == 0) {
      window_ = {{0}, {0}, {}};
      return;
    }
    if (reactive_left_ == 0) {
      best_ = std::max(best_, pred);
      const bool stab_knows = !window_[kStab].empty();
      if (pred < best_ - delta_ || (stab_knows && pred < stab - delta_ / 2)) {
        reactive_left_ = kReactiveSteps;
        pred_sum_ = reac_sum_ = best_reac_ = 0;
        seen_ = 0;
        renew(kReac);
        events_.push_back({step_, "reactive", -1, kReac});
      }
    } else {
      pred_sum_ += pred;
      reac_sum_ += reac;
      best_reac_ = std::max(best_reac_, reac);
      ++seen_;
      serving_ = reac > pred ? kReac : kPred;
      if (--reactive_left_ == 0) leave_reactive();
    }
    for (SlotId slot : {kPred, reactive_left_ > 0 ? kReac : kStab}) {
      auto& window = window_[static_cast<std::size_t>(slot)];
      window.push_back(step_);
      if (window.size() > kWindow) window.erase(window.begin());
    }
  }
  std::vector<SlotId> training_slots() const override { return {kPred, reactive_left_ > 0 ? kReac : kStab}; }
  std::vector<TrainBatch> train_batches(SlotId slot, ClientId) const override {
    std::vector<TrainBatch> batches;
    for (int step : window_[static_cast<std::size_t>(slot)]) batches.push_back({step, 1.0});
    return batches;
  }
  SlotId serving_slot(ClientId) const override { return reactive_left_ > 0 ? serving_ : kPred; }
  void archive(Archive& a) override {
    Strategy::archive(a);
    a& step_& best_& pred_sum_& reac_sum_& best_reac_& seen_& reactive_left_& serving_& window_;
  }

 private:
  void renew(SlotId slot) {
    ops_.push_back({.kind = ModelOp::Kind::fresh, .slot = slot});
    window_[static_cast<std::size_t>(slot)].clear();
  }
  void leave_reactive() {
    if (seen_ > 0 && reac_sum_ > pred_sum_) {
      ops_.push_back({.kind = ModelOp::Kind::copy, .slot = kPred, .sources = {kReac}});
      window_[kPred] = window_[kReac];
      best_ = best_reac_;
      events_.push_back({step_, "switch", -1, kPred});
    }
    renew(kStab);
    serving_ = kPred;
  }
  double delta_;
  int step_ = 0;
  double best_ = 0, pred_sum_ = 0, reac_sum_ = 0, best_reac_ = 0;
  int seen_ = 0, reactive_left_ = 0;
  SlotId serving_ = kPred;
  std::vector<std::vector<int>> window_ = std::vector<std::vector<int>>(3);
};

}  // namespace

std::unique_ptr<Strategy> make_driftsurf(const std::string& data) {
  return std::make_unique<DriftSurf>(data == "sea" ? 0.02 : data == "circle" ? 0.05 : 0.10);
}

}  // namespace ballast::federate
