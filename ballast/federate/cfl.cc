#include <algorithm>
#include <cmath>

#include "ballast/federate/baselines.h"

namespace ballast::federate {
namespace {

constexpr double kGamma = 0.1;

double dot(const Params& a, const Params& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

class Cfl : public Strategy {
 public:
  explicit Cfl(int clients) : cluster_(static_cast<std::size_t>(clients), 0) {
    ops_.push_back({.kind = ModelOp::Kind::fresh, .slot = 0});
  }
  std::string name() const override { return "cfl"; }
  std::vector<SlotId> begin_step(const StepInfo& info) override {
    step_ = info.step;
    return {};
  }
  void on_scores(const ScoreTable&) override {}
  Wishes wishes() const override {
    Wishes wishes;
    wishes.updates = true;
    return wishes;
  }
  std::vector<SlotId> training_slots() const override {
    std::vector<SlotId> slots = cluster_;
    std::sort(slots.begin(), slots.end());
    slots.erase(std::unique(slots.begin(), slots.end()), slots.end());
    return slots;
  }
  std::vector<TrainBatch> train_batches(SlotId slot, ClientId client) const override {
    std::vector<TrainBatch> batches;
    if (cluster_[static_cast<std::size_t>(client)] != slot) return batches;
    for (int step = 0; step <= step_; ++step) batches.push_back({step, 1.0});
    return batches;
  }
  SlotId serving_slot(ClientId client) const override { return cluster_[static_cast<std::size_t>(client)]; }

  // The mean update has died down while single ones have not: clients pull apart. The halves of a
  // complete-linkage bipartition on -cosine become two clusters if the largest cosine across them is small
  // enough.
  bool on_updates(SlotId slot, const std::vector<ClientUpdate>& updates) override {
    const std::size_t n = updates.size();
    if (n < 2) return false;
    Params mean(updates[0].difference.size(), 0);
    double longest = 0, weight = 0;
    std::vector<double> norms;
    for (const auto& update : updates) {
      weight += update.weight;
      norms.push_back(std::sqrt(dot(update.difference, update.difference)));
      longest = std::max(longest, norms.back());
    }
    for (const auto& update : updates) {
      for (std::size_t i = 0; i < mean.size(); ++i)
        mean[i] += static_cast<float>(update.weight / weight) * update.difference[i];
    }
    const double common = std::sqrt(dot(mean, mean));
    largest_mean_ = std::max(largest_mean_, common);
    if (!(common < largest_mean_ / 10 && longest > 6 * largest_mean_ / 10)) return false;
    DistanceMatrix distances(n, std::vector<double>(n, 0));
    for (std::size_t a = 0; a < n; ++a) {
      for (std::size_t b = 0; b < n; ++b) {
        if (a != b)
          distances[a][b] =
              -dot(updates[a].difference, updates[b].difference) / (norms[a] * norms[b] + 1e-30);
      }
    }
    // Merge until two groups are left: the threshold is that of the last but one merge of the whole tree.
    const Clustering tree = agglomerate(distances, Linkage::complete, 2);
    if (tree.merges.size() + 1 < n) return false;
    std::vector<std::size_t> group(n);
    for (std::size_t i = 0; i < n; ++i) group[i] = i;
    for (std::size_t m = 0; m + 1 < tree.merges.size(); ++m)
      std::replace(group.begin(), group.end(), tree.merges[m].second, tree.merges[m].first);
    double across = -1;
    for (std::size_t a = 0; a < n; ++a) {
      for (std::size_t b = 0; b < n; ++b) {
        if (group[a] != group[b]) across = std::max(across, -distances[a][b]);
      }
    }
    if (!(std::sqrt(std::max(0.0, (1 - across) / 2)) > kGamma)) return false;
    const SlotId fresh = ++last_slot_;
    for (std::size_t i = 0; i < n; ++i) {
      if (group[i] != group[0]) cluster_[static_cast<std::size_t>(updates[i].client)] = fresh;
    }
    for (SlotId half : {slot, fresh})  // both start again from the initial parameters
      ops_.push_back({.kind = ModelOp::Kind::fresh, .slot = half, .stream = 0x5EED});
    events_.push_back({step_, "split", -1, fresh});
    return true;
  }
  void archive(Archive& a) override {
    Strategy::archive(a);
    a& step_& cluster_& largest_mean_& last_slot_;
  }

 private:
  int step_ = 0;
  std::vector<SlotId> cluster_;
  double largest_mean_ = 0;
  SlotId last_slot_ = 0;
};

}  // namespace

std::unique_ptr<Strategy> make_cfl(int clients) {
  return std::make_unique<Cfl>(clients);
}

}  // namespace ballast::federate
