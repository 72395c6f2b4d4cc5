#include <algorithm>
#include <cmath>

#include "ballast/base/random.h"
#include "ballast/federate/baselines.h"

namespace ballast::federate {
namespace {

constexpr double kTiny = 1e-9;

// MSE of guessing by class frequencies: sum over classes of p (1 - p)^2.
double random_mse(const std::vector<std::uint64_t>& counts) {
  double total = 0, mse = 0;
  for (std::uint64_t n : counts) total += static_cast<double>(n);
  for (std::uint64_t n : counts) {
    const double p = total > 0 ? static_cast<double>(n) / total : 0;
    mse += p * (1 - p) * (1 - p);
  }
  return mse;
}

class Aue : public Strategy {
 public:
  Aue(int clients, bool per_client) : clients_(clients), per_client_(per_client) {}
  std::string name() const override { return per_client_ ? "aue_pc" : "aue"; }
  // Members move one place on; the newest starts afresh and sees this step only, member k the last k + 1.
  std::vector<SlotId> begin_step(const StepInfo& info) override {
    step_ = info.step;
    counts_ = info.counts;
    members_ = std::min(step_ + 1, 4);
    for (SlotId k = members_ - 1; k > 0; --k)
      ops_.push_back({.kind = ModelOp::Kind::copy, .slot = k, .sources = {k - 1}});
    ops_.push_back({.kind = ModelOp::Kind::fresh, .slot = 0});
    std::vector<SlotId> slots;
    for (SlotId k = 0; k < members_; ++k) slots.push_back(k);
    return slots;
  }
  Wishes wishes() const override {
    Wishes wishes;
    wishes.counts = true;
    return wishes;
  }
  void on_scores(const ScoreTable& scores) override {
    const auto members = static_cast<std::size_t>(members_);
    std::vector<std::uint64_t> pooled_counts;
    std::vector<ScoreStat> pooled(members);
    for (std::size_t c = 0; c < scores.size(); ++c) {
      pooled_counts.resize(std::max(pooled_counts.size(), counts_[c].size()));
      for (std::size_t y = 0; y < counts_[c].size(); ++y) pooled_counts[y] += counts_[c][y];
      for (std::size_t k = 0; k < members; ++k) pooled[k] += scores[c][k];
    }
    weights_.clear();
    for (std::size_t c = 0; c < scores.size(); ++c) {
      const bool own = per_client_ && scores[c][0].n > 0;
      const double random = random_mse(own ? counts_[c] : pooled_counts);
      std::vector<double> weights;
      for (std::size_t k = 0; k < members; ++k) {
        const ScoreStat& stat = own ? scores[c][k] : pooled[k];
        const double mse = k == 0 || stat.n == 0 ? 0 : stat.brier_sum / static_cast<double>(stat.n);
        weights.push_back(1 / (random + mse + kTiny));
      }
      weights_.push_back(std::move(weights));
    }
  }
  std::vector<SlotId> training_slots() const override {
    std::vector<SlotId> slots;
    for (SlotId k = 0; k < members_; ++k) slots.push_back(k);
    return slots;
  }
  std::vector<TrainBatch> train_batches(SlotId slot, ClientId) const override {
    std::vector<TrainBatch> batches;
    for (int step = std::max(0, step_ - slot); step <= step_; ++step) batches.push_back({step, 1.0});
    return batches;
  }
  SlotId serving_slot(ClientId) const override { return 0; }
  Serving serving(ClientId client) const override {
    return {training_slots(), weights_.at(static_cast<std::size_t>(client))};
  }
  void archive(Archive& a) override {
    Strategy::archive(a);
    a& step_& members_& counts_& weights_;
  }

 private:
  int clients_;
  bool per_client_;
  int step_ = 0, members_ = 0;
  std::vector<std::vector<std::uint64_t>> counts_;
  std::vector<std::vector<double>> weights_;  // [client][member]
};

// Cohen's kappa of a confusion matrix; 0 where chance explains all.
double kappa(const std::vector<std::uint64_t>& matrix) {
  const auto classes = static_cast<std::size_t>(std::lround(std::sqrt(static_cast<double>(matrix.size()))));
  double total = 0, agreed = 0, expected = 0;
  std::vector<double> rows(classes, 0), columns(classes, 0);
  for (std::size_t y = 0; y < classes; ++y) {
    for (std::size_t a = 0; a < classes; ++a) {
      const auto n = static_cast<double>(matrix[y * classes + a]);
      total += n;
      rows[y] += n;
      columns[a] += n;
      if (a == y) agreed += n;
    }
  }
  if (total == 0) return 0;
  for (std::size_t y = 0; y < classes; ++y) expected += rows[y] * columns[y] / total;
  return total == expected ? 0 : (agreed - expected) / (total - expected);
}

class Kue : public Strategy {
 public:
  Kue(int members, std::uint64_t seed) : members_(members), seed_(seed) {
    for (SlotId k = 0; k < members; ++k) {
      draw(k);
      ops_.push_back({.kind = ModelOp::Kind::fresh, .slot = k});
    }
  }
  std::string name() const override { return "kue"; }
  std::vector<SlotId> begin_step(const StepInfo& info) override {
    step_ = info.step;
    return training_slots();
  }
  Wishes wishes() const override {
    Wishes wishes;
    wishes.confusion = true;
    return wishes;
  }
  void on_confusion(const std::vector<std::vector<std::vector<std::uint64_t>>>& confusion) override {
    std::vector<std::vector<std::uint64_t>> pooled(static_cast<std::size_t>(members_));
    for (const auto& client : confusion) {
      for (std::size_t k = 0; k < client.size(); ++k) {
        pooled[k].resize(std::max(pooled[k].size(), client[k].size()));
        for (std::size_t i = 0; i < client[k].size(); ++i) pooled[k][i] += client[k][i];
      }
    }
    weights_.clear();
    for (const auto& matrix : pooled) weights_.push_back(std::max(0.0, kappa(matrix)));
  }
  // The worst member is drawn anew and does not vote in this step; in the first step all vote alike.
  void on_scores(const ScoreTable&) override {
    if (step_ == 0 || weights_.empty()) {
      weights_.assign(static_cast<std::size_t>(members_), 1.0);
      return;
    }
    const auto worst =
        static_cast<SlotId>(std::min_element(weights_.begin(), weights_.end()) - weights_.begin());
    draw(worst);
    ops_.push_back({.kind = ModelOp::Kind::fresh,
                    .slot = worst,
                    .stream = mix64(views_[static_cast<std::size_t>(worst)])});
    weights_[static_cast<std::size_t>(worst)] = 0;
    events_.push_back({step_, "redraw", -1, worst});
  }
  std::vector<SlotId> training_slots() const override {
    std::vector<SlotId> slots;
    for (SlotId k = 0; k < members_; ++k) slots.push_back(k);
    return slots;
  }
  std::vector<TrainBatch> train_batches(SlotId, ClientId) const override { return {{step_, 1.0}}; }
  std::uint64_t view(SlotId slot) const override { return views_[static_cast<std::size_t>(slot)]; }
  SlotId serving_slot(ClientId) const override {
    return static_cast<SlotId>(std::max_element(weights_.begin(), weights_.end()) - weights_.begin());
  }
  Serving serving(ClientId) const override { return {training_slots(), weights_}; }
  void archive(Archive& a) override {
    Strategy::archive(a);
    a& step_& weights_& views_& drawn_;
  }

 private:
  void draw(SlotId slot) {
    views_.resize(static_cast<std::size_t>(members_), 0);
    views_[static_cast<std::size_t>(slot)] = mix64(seed_ ^ mix64(++drawn_)) | 1;
  }
  int members_;
  std::uint64_t seed_, drawn_ = 0;
  int step_ = 0;
  std::vector<double> weights_;
  std::vector<std::uint64_t> views_;
};

}  // namespace

std::unique_ptr<Strategy> make_aue(int clients, bool per_client) {
  return std::make_unique<Aue>(clients, per_client);
}

std::unique_ptr<Strategy> make_kue(int, int members, std::uint64_t seed) {
  return std::make_unique<Kue>(members, seed);
}

}  // namespace ballast::federate
