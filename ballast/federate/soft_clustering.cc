#include <algorithm>
#include <cmath>

#include "ballast/federate/baselines.h"

namespace ballast::federate {
namespace {

class SoftClustering : public Strategy {
 public:
  SoftClustering(std::string name, int clients, int models)
      : name_(std::move(name)),
        models_(models),
        prior_(static_cast<std::size_t>(models), 1.0 / models),
        shares_(static_cast<std::size_t>(clients)) {
    for (SlotId slot = 0; slot < models; ++slot) ops_.push_back({.kind = ModelOp::Kind::fresh, .slot = slot});
  }
  std::string name() const override { return name_; }
  std::vector<SlotId> begin_step(const StepInfo& info) override {
    step_ = info.step;
    samples_.push_back(info.samples);
    return training_slots();
  }
  void on_scores(const ScoreTable& scores) override {
    std::vector<double> total(prior_.size(), 0);
    for (std::size_t c = 0; c < scores.size(); ++c) {
      std::vector<double> share(prior_.size());
      double sum = 0;
      for (std::size_t k = 0; k < share.size(); ++k) {
        const ScoreStat& stat = scores[c][k];
        const double fit = stat.n == 0      ? 0
                           : name_ == "gmm" ? -stat.mean_loss() * kSharpness
                                            : kSharpness * (1 - stat.error());
        share[k] = std::exp(fit) * (name_ == "gmm" ? prior_[k] : 1.0);
        sum += share[k];
      }
      for (std::size_t k = 0; k < share.size(); ++k) total[k] += share[k] /= sum;
      shares_[c].resize(static_cast<std::size_t>(step_) + 1);
      shares_[c].back() = std::move(share);
    }
    for (std::size_t k = 0; k < prior_.size(); ++k)
      prior_[k] = std::max(1e-3, total[k] / static_cast<double>(scores.size()));
  }
  std::vector<SlotId> training_slots() const override {
    std::vector<SlotId> slots;
    for (SlotId slot = 0; slot < models_; ++slot) slots.push_back(slot);
    return slots;
  }
  std::vector<TrainBatch> train_batches(SlotId slot, ClientId client) const override {
    std::vector<TrainBatch> batches;
    const auto& shares = shares_[static_cast<std::size_t>(client)];
    for (std::size_t step = 0; step < shares.size(); ++step)
      batches.push_back({static_cast<int>(step), shares[step][static_cast<std::size_t>(slot)]});
    return batches;
  }
  double mean_weight(SlotId slot, ClientId client, std::uint64_t) const override {
    double weight = 0;
    const auto& shares = shares_[static_cast<std::size_t>(client)];
    for (std::size_t step = 0; step < shares.size(); ++step)
      weight += shares[step][static_cast<std::size_t>(slot)] *
                static_cast<double>(samples_[step][static_cast<std::size_t>(client)]);
    return weight;
  }
  SlotId serving_slot(ClientId client) const override {
    const auto& share = shares_[static_cast<std::size_t>(client)].back();
    return static_cast<SlotId>(std::max_element(share.begin(), share.end()) - share.begin());
  }
  void archive(Archive& a) override {
    Strategy::archive(a);
    a& step_& prior_& shares_& samples_;
  }

 private:
  static constexpr double kSharpness = 8;
  std::string name_;
  int models_;
  int step_ = 0;
  std::vector<double> prior_;
  std::vector<std::vector<std::vector<double>>> shares_;  // [client][step][model]
  std::vector<std::vector<std::uint64_t>> samples_;       // [step][client]
};

}  // namespace

std::unique_ptr<Strategy> make_soft_clustering(const std::string& name, int clients, int models) {
  return std::make_unique<SoftClustering>(name, clients, models);
}

}  // namespace ballast::federate
