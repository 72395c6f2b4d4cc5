#include "ballast/federate/strategy.h"

#include <fmt/format.h>

#include <cmath>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/federate/baselines.h"
#include "ballast/federate/feddrift.h"

namespace ballast::federate {
namespace {

/// One model for all; `weight_of(age_from_start, age_from_now)` says how much of each past step is trained
/// on.
class OneModel : public Strategy {
 public:
  using Weight = double (*)(int step, int now);
  OneModel(std::string name, Weight weight) : name_(std::move(name)), weight_(weight) {
    ops_.push_back({.kind = ModelOp::Kind::fresh, .slot = 0});
  }
  std::string name() const override { return name_; }
  std::vector<SlotId> begin_step(const StepInfo& info) override {
    step_ = info.step;
    return {};
  }
  void on_scores(const ScoreTable&) override {}
  std::vector<SlotId> training_slots() const override { return {0}; }
  std::vector<TrainBatch> train_batches(SlotId, ClientId) const override {
    std::vector<TrainBatch> batches;
    for (int step = 0; step <= step_; ++step) {
      if (const double weight = weight_(step, step_); weight > 0) batches.push_back({step, weight});
    }
    return batches;
  }
  SlotId serving_slot(ClientId) const override { return 0; }
  void archive(Archive& a) override {
    Strategy::archive(a);
    a& step_;
  }

 private:
  std::string name_;
  Weight weight_;
  int step_ = 0;
};

/// Models given beforehand: one a true concept (`oracle`), or one a client (`local`).
class Fixed : public Strategy {
 public:
  Fixed(std::string name, ConceptPattern pattern, bool one_a_client, int window)
      : name_(std::move(name)), pattern_(std::move(pattern)), one_a_client_(one_a_client), window_(window) {
    const int slots = one_a_client_ ? pattern_.clients() : pattern_.concepts();
    for (SlotId slot = 0; slot < slots; ++slot) ops_.push_back({.kind = ModelOp::Kind::fresh, .slot = slot});
  }
  std::string name() const override { return name_; }
  std::vector<SlotId> begin_step(const StepInfo& info) override {
    step_ = info.step;
    return {};
  }
  void on_scores(const ScoreTable&) override {}
  std::vector<SlotId> training_slots() const override {
    std::vector<SlotId> slots;
    const int count = one_a_client_ ? pattern_.clients() : pattern_.concepts();
    for (SlotId slot = 0; slot < count; ++slot) {
      for (ClientId c = 0; c < pattern_.clients(); ++c) {
        if (owner(c, step_) == slot) {
          slots.push_back(slot);
          break;
        }
      }
    }
    return slots;
  }
  std::vector<TrainBatch> train_batches(SlotId slot, ClientId client) const override {
    std::vector<TrainBatch> batches;
    for (int step = std::max(0, step_ + 1 - window_); step <= step_; ++step) {
      if (owner(client, step) == slot) batches.push_back({step, 1.0});
    }
    return batches;
  }
  SlotId serving_slot(ClientId client) const override { return owner(client, step_); }
  void archive(Archive& a) override {
    Strategy::archive(a);
    a& step_;
  }

 private:
  SlotId owner(ClientId client, int step) const { return one_a_client_ ? client : pattern_.at(step, client); }
  std::string name_;
  ConceptPattern pattern_;
  bool one_a_client_;
  int window_;
  int step_ = 0;
};

/// IFCA (Ghosh et al. 2020): a fixed number of models with different starts; before every round each client
/// chooses the one that does best on its newest batch. `keep_history` also trains on its older batches of
/// that model.
class Ifca : public Strategy {
 public:
  Ifca(std::string name, int clients, int models, bool keep_history)
      : name_(std::move(name)), models_(models), keep_history_(keep_history), assignment_(clients) {
    for (SlotId slot = 0; slot < models; ++slot) ops_.push_back({.kind = ModelOp::Kind::fresh, .slot = slot});
  }
  std::string name() const override { return name_; }
  std::vector<SlotId> begin_step(const StepInfo& info) override {
    step_ = info.step;
    std::vector<SlotId> slots;
    for (SlotId slot = 0; slot < models_; ++slot) slots.push_back(slot);
    return slots;
  }
  void on_scores(const ScoreTable& scores) override {
    for (ClientId c = 0; c < assignment_.clients(); ++c) {
      const auto& row = scores[static_cast<std::size_t>(c)];
      std::size_t best = 0;
      for (std::size_t k = 1; k < row.size(); ++k) {
        if (row[k].n > 0 && row[k].mean_loss() < row[best].mean_loss()) best = k;
      }
      assignment_.assign(c, step_, static_cast<SlotId>(best));
    }
  }
  std::vector<SlotId> training_slots() const override {
    std::vector<SlotId> slots;
    for (SlotId slot = 0; slot < models_; ++slot) {
      if (assignment_.used_at(slot, step_)) slots.push_back(slot);
    }
    return slots;
  }
  std::vector<TrainBatch> train_batches(SlotId slot, ClientId client) const override {
    std::vector<TrainBatch> batches;
    for (int step = keep_history_ ? 0 : step_; step <= step_; ++step) {
      if (assignment_.owner(client, step) == slot) batches.push_back({step, 1.0});
    }
    return batches;
  }
  Wishes wishes() const override {
    Wishes wishes;
    wishes.rescore = true;
    return wishes;
  }
  void archive(Archive& a) override {
    Strategy::archive(a);
    a& step_& assignment_;
  }
  SlotId serving_slot(ClientId client) const override { return assignment_.owner(client, step_); }

 private:
  std::string name_;
  int models_;
  bool keep_history_;
  int step_ = 0;
  Assignment assignment_;
};

}  // namespace

void Strategy::on_cross_eval(const std::vector<std::vector<ScoreStat>>&) {}

std::vector<int> Strategy::cluster_steps(SlotId slot, ClientId client) const {
  std::vector<int> steps;
  for (const auto& batch : train_batches(slot, client)) steps.push_back(batch.step);
  return steps;
}

std::vector<std::string> strategy_names() {
  return {"oracle",
          "feddrift",
          "feddrift_eager",
          "feddrift_c",
          "ifca",
          "ifca_t",
          "softcluster",
          "gmm",
          "cfl",
          "aue",
          "aue_pc",
          "kue",
          "driftsurf",
          "flash",
          "oblivious",
          "win:1",
          "win:2",
          "lin",
          "exp",
          "adaptive_fedavg",
          "local",
          "local_win1"};
}

std::unique_ptr<Strategy> make_strategy(const StrategySpec& spec, const ConceptPattern& pattern) {
  const std::string& name = spec.name;
  cli::require_one_of("--strategy", name, strategy_names());
  const int clients = pattern.clients(), all = pattern.steps() + 1;
  if (name == "oblivious") return std::make_unique<OneModel>(name, [](int, int) { return 1.0; });
  if (name == "win:1")
    return std::make_unique<OneModel>(name, [](int step, int now) { return step == now ? 1.0 : 0.0; });
  if (name == "win:2")
    return std::make_unique<OneModel>(name, [](int step, int now) { return step + 1 >= now ? 1.0 : 0.0; });
  if (name == "lin") return std::make_unique<OneModel>(name, [](int step, int) { return step + 1.0; });
  if (name == "exp")
    return std::make_unique<OneModel>(name, [](int step, int now) { return std::exp2(step - now); });
  if (name == "oracle") return std::make_unique<Fixed>(name, pattern, false, all);
  if (name == "local") return std::make_unique<Fixed>(name, pattern, true, all);
  if (name == "local_win1") return std::make_unique<Fixed>(name, pattern, true, 1);
  const int models = spec.models > 0 ? spec.models : pattern.concepts();
  if (name == "ifca" || name == "ifca_t")
    return std::make_unique<Ifca>(name, clients, models, name == "ifca_t");
  if (name == "softcluster" || name == "gmm") return make_soft_clustering(name, clients, models);
  if (name == "cfl") return make_cfl(clients);
  if (name == "driftsurf") return make_driftsurf(spec.data);
  if (name == "aue" || name == "aue_pc") return make_aue(clients, name == "aue_pc");
  if (name == "kue") return make_kue(clients, spec.models > 0 ? spec.models : 10, spec.seed);
  if (name == "adaptive_fedavg" || name == "flash") return make_adaptive(name);
  FedDriftOptions options = spec.drift;
  options.keep_one = name == "feddrift_c";
  return std::make_unique<FedDrift>(clients, options, name == "feddrift_eager");
}

}  // namespace ballast::federate
