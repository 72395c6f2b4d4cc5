// Strategies: who trains which model on which of its data. A strategy is a pure state machine: it sees scores
// and counts, never data or parameters, and answers with plans that an engine carries out. The same object
// runs in a simulation, over MPI and behind a server.
//
// The life of one time step, in call order:
//   begin_step(info)      -> the slots that every client scores on its new batch (none: skip)
//   on_scores(scores)        chooses models, declares drift, opens slots
//   cross_eval()          -> the slots to be compared pairwise (none: skip)
//   on_cross_eval(matrix)    merges
//   take_model_ops()      -> what happens to parameters: copies, merges, fresh starts
//   training_slots()      -> models to train in this step; train_steps(slot, client) says on which batches
//   on_trained_scores(..)    only where wants_scores_after_training()
//   serving_slot(client)     the model that serves the client until the next step
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ballast/federate/assignment.h"
#include "ballast/federate/clustering.h"
#include "ballast/federate/pattern.h"
#include "ballast/federate/trainer.h"

namespace ballast::federate {

struct StepInfo {
  int step = 0;
  std::vector<std::uint64_t> samples;  ///< n_c of every client at this step
};

/// scores[client][k] belongs to the k-th slot asked for; n == 0 where a client has no data.
using ScoreTable = std::vector<std::vector<ScoreStat>>;

/// What an engine does to its models. `average`: slot becomes the weighted mean of `sources`.
struct ModelOp {
  enum class Kind { copy, average, fresh } kind;
  SlotId slot;
  std::vector<SlotId> sources = {};
  std::vector<double> weights = {};
};

/// A batch that a client trains on, and its draw weight.
struct TrainBatch {
  int step;
  double weight;
};

/// A notable event, for the run log.
struct Event {
  int step;
  std::string kind;  ///< drift, merge, release, evict, pool_exhausted
  ClientId client;   ///< -1: none
  SlotId slot;
};

class Strategy {
 public:
  virtual ~Strategy() = default;

  virtual std::string name() const = 0;
  virtual std::vector<SlotId> begin_step(const StepInfo& info) = 0;
  virtual void on_scores(const ScoreTable& scores) = 0;
  virtual std::vector<SlotId> cross_eval() { return {}; }
  /// matrix[i][j]: model i on the data of cluster j, in the order of cross_eval().
  virtual void on_cross_eval(const std::vector<std::vector<ScoreStat>>& matrix);
  std::vector<ModelOp> take_model_ops() { return std::exchange(ops_, {}); }
  virtual std::vector<SlotId> training_slots() const = 0;
  virtual std::vector<TrainBatch> train_batches(SlotId slot, ClientId client) const = 0;
  virtual bool wants_scores_after_training() const { return false; }
  virtual void on_trained_scores(const ScoreTable&) {}
  /// Whether clients choose anew before every round (IFCA).
  virtual bool rescores_each_round() const { return false; }
  virtual SlotId serving_slot(ClientId client) const = 0;
  /// The batches that belong to slot j for cross evaluation.
  virtual std::vector<int> cluster_steps(SlotId slot, ClientId client) const;

  const std::vector<Event>& events() const { return events_; }

 protected:
  std::vector<ModelOp> ops_;
  std::vector<Event> events_;
};

struct FedDriftOptions {
  double delta = 0.1;       ///< drift threshold on the error
  double merge_delta = -1;  ///< negative: delta
  int isolation_steps = 1;  ///< W
  Linkage linkage = Linkage::complete;
  bool distance_b = false;  ///< two models compared on the same data, in place of one model on two data
  int max_models = 0;       ///< 0: clients + 8
  bool use_loss = false;    ///< score by mean loss in place of the error
  bool auto_delta = false;  ///< delta from the standard errors of the two scores: max(0.02, 3 sigma)
  bool warm_start = true;   ///< a new model starts as a copy of the best one
  bool keep_one = false;    ///< FedDrift-C
  std::uint64_t seed = 1;
};

struct StrategySpec {
  std::string name = "feddrift";
  FedDriftOptions drift;
};

/// Names that make_strategy knows.
std::vector<std::string> strategy_names();

/// `pattern` is the ground truth: only `oracle` and the number of models of `ifca` use it.
std::unique_ptr<Strategy> make_strategy(const StrategySpec& spec, const ConceptPattern& pattern);

}  // namespace ballast::federate
