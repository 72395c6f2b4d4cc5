// FedDrift and FedDrift-Eager (arXiv:2206.00799, sections 4 and 5): clients detect drift by the rise of their
// best model's error; a drifted client trains alone for W steps; the server merges models that do each
// other's work.
//
// One step of FedDrift:
//   1. release the clients whose isolation ends
//   2. active = slots with data from before this step that no isolated client holds
//   3. every other client takes its best active model, unless the error rose by more than delta since its
//   last step
//   4. a drifted client opens a slot (a copy of its best model) and is isolated until step + W
//   5. active models are compared on each other's data; clusters within merge_delta become one model
// FedDrift-Eager: all clients that drift in a step share one new model; no isolation, no merging.
#pragma once

#include <map>
#include <optional>

#include "ballast/base/random.h"
#include "ballast/federate/strategy.h"

namespace ballast::federate {

/// D[i][j] = max(L[i][j]-L[i][i], L[j][i]-L[j][j], 0) from mean scores L (distance A; B compares on the same
/// data).
DistanceMatrix model_distances(const std::vector<std::vector<double>>& scores, bool distance_b);

class FedDrift : public Strategy {
 public:
  FedDrift(int clients, const FedDriftOptions& options, bool eager);

  std::string name() const override {
    return eager_ ? "feddrift_eager" : options_.keep_one ? "feddrift_c" : "feddrift";
  }
  std::vector<SlotId> begin_step(const StepInfo& info) override;
  void on_scores(const ScoreTable& scores) override;
  std::vector<SlotId> left_to_score() const override { return active_; }
  std::vector<SlotId> cross_eval() override;
  void on_cross_eval(const std::vector<std::vector<ScoreStat>>& matrix) override;
  std::vector<SlotId> training_slots() const override;
  std::vector<TrainBatch> train_batches(SlotId slot, ClientId client) const override;
  Wishes wishes() const override;
  void on_previous_scores(const ScoreTable& scores) override;
  void on_detections(const std::vector<bool>& detected) override { detected_ = detected; }
  std::vector<SlotId> trained_score_slots() const override;
  void on_trained_scores(const ScoreTable& scores) override;
  SlotId serving_slot(ClientId client) const override { return assignment_.owner(client, step_); }

  void archive(Archive& a) override;

  const Assignment& assignment() const { return assignment_; }

 private:
  struct Baseline {
    double score = 0, variance_of_mean = 0;
    void archive(Archive& a) { a& score& variance_of_mean; }
  };
  bool drifted(ClientId client, const ScoreStat& best) const;
  void settle_orphans(ClientId client, SlotId chosen);
  double score_of(const ScoreStat& stat) const;
  double variance_of_mean(const ScoreStat& stat) const;
  double threshold(const Baseline& before, const ScoreStat& now) const;
  std::optional<SlotId> allocate();
  /// A new model for a drifted client; nullopt (and the client stays on `best`) when the pool is full.
  std::optional<SlotId> open_slot(ClientId client, SlotId best);
  bool held_in_isolation(SlotId slot) const;
  void thin_isolated();
  std::vector<SlotId> find_active() const;

  FedDriftOptions options_;
  bool eager_;
  int step_ = 0;
  Assignment assignment_;
  std::vector<SlotId> active_;
  std::map<ClientId, std::pair<SlotId, int>> marked_;  // client -> (slot, release step)
  std::vector<std::optional<Baseline>> baseline_;
  std::vector<std::vector<std::uint64_t>> samples_;  // [step][client]
  std::vector<bool> detected_;                       // by the clients' stream detectors
  std::map<ClientId, std::vector<int>> orphans_;     // FedDrift-C: steps that lost their model
  SlotId next_slot_ = 1;
  int new_starts_ = 0;
};

}  // namespace ballast::federate
