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
//   on_trained_scores(..)    only where wished for, as all that is in Wishes
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
  std::vector<std::uint64_t> samples;                   ///< n_c of every client at this step
  std::vector<std::vector<std::uint64_t>> counts = {};  ///< labels of every client's batch, where wished for
};

/// scores[client][k] belongs to the k-th slot asked for; n == 0 where a client has no data.
using ScoreTable = std::vector<std::vector<ScoreStat>>;

/// What an engine does to its models. `average`: slot becomes the weighted mean of `sources`.
struct ModelOp {
  enum class Kind { copy, average, fresh } kind;
  SlotId slot;
  std::vector<SlotId> sources = {};
  std::vector<double> weights = {};
  std::uint64_t stream = 0;  ///< fresh: which random start; 0: the slot's own
  void archive(Archive& a) { a& kind& slot& sources& weights& stream; }
};

/// A batch that a client trains on, and its draw weight.
struct TrainBatch {
  int step = 0;
  double weight = 1;
  void archive(Archive& a) { a& step& weight; }
};

/// A notable event, for the run log.
struct Event {
  int step = 0;
  std::string kind;      ///< drift, merge, release, evict, pool_exhausted, ...
  ClientId client = -1;  ///< -1: none
  SlotId slot = -1;
  void archive(Archive& a) { a& step& kind& client& slot; }
};

/// How a client answers: models and their weights in a vote; most often one model.
struct Serving {
  std::vector<SlotId> slots;
  std::vector<double> weights;
};

/// What one client's training changed, for strategies that look at directions (CFL).
struct ClientUpdate {
  ClientId client;
  double weight;
  Params difference;
};

/// What a strategy wants to know beside the scores of its models.
struct Wishes {
  bool counts = false;           ///< labels of the newest batch (StepInfo::counts)
  bool confusion = false;        ///< on_confusion()
  bool previous = false;         ///< on_previous_scores()
  bool updates = false;          ///< on_updates()
  bool trained_scores = false;   ///< on_trained_scores(), of the models of trained_score_slots()
  bool rescore = false;          ///< clients choose anew before every round (IFCA)
  bool early_stop = false;       ///< clients stop early (Flash)
  bool compare_first = false;    ///< cross_eval() comes before the clients choose
  std::string detector;          ///< on_detections()
  std::string server_optimizer;  ///< empty: the run's
};

class Strategy {
 public:
  virtual ~Strategy() = default;

  virtual std::string name() const = 0;
  virtual std::vector<SlotId> begin_step(const StepInfo& info) = 0;
  virtual void on_scores(const ScoreTable& scores) = 0;
  /// Only where models were compared first: the slots that are left to be scored.
  virtual std::vector<SlotId> left_to_score() const { return {}; }
  virtual std::vector<SlotId> cross_eval() { return {}; }
  /// matrix[i][j]: model i on the data of cluster j, in the order of cross_eval().
  virtual void on_cross_eval(const std::vector<std::vector<ScoreStat>>& matrix);
  std::vector<ModelOp> take_model_ops() { return std::exchange(ops_, {}); }
  virtual std::vector<SlotId> training_slots() const = 0;
  virtual std::vector<TrainBatch> train_batches(SlotId slot, ClientId client) const = 0;
  /// What to know in the present step; asked for after begin_step().
  virtual Wishes wishes() const { return {}; }
  virtual void on_confusion(const std::vector<std::vector<std::vector<std::uint64_t>>>&) {}
  virtual void on_previous_scores(const ScoreTable&) {}
  virtual void on_detections(const std::vector<bool>&) {}
  virtual std::vector<SlotId> trained_score_slots() const { return {0}; }
  virtual void on_trained_scores(const ScoreTable&) {}
  /// Weight in the mean; `samples`: what the client drew from.
  virtual double mean_weight(SlotId, ClientId, std::uint64_t samples) const {
    return static_cast<double>(samples);
  }
  /// The clients' learning rate in the next round; 0: the run's.
  virtual float learning_rate(SlotId) const { return 0; }
  /// Key of the feature mask and resampling of a slot's data; 0: none.
  virtual std::uint64_t view(SlotId) const { return 0; }
  /// Before aggregation, where wished for; true: this round's updates of the slot are not aggregated.
  virtual bool on_updates(SlotId, const std::vector<ClientUpdate>&) { return false; }
  virtual void on_aggregated(SlotId, const Params&) {}
  /// Everything that later steps depend on.
  virtual void archive(Archive& a) { a& ops_& events_; }
  virtual SlotId serving_slot(ClientId client) const = 0;
  virtual Serving serving(ClientId client) const { return {{serving_slot(client)}, {1.0}}; }
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
  std::string init_new =
      "warm";                ///< a new model: warm (copy of the best), random, reinit_seed (the first start)
  std::string init = "one";  ///< step 0: one model for all, or per_client
  bool keep_one = false;     ///< FedDrift-C
  bool keep_data = false;    ///< FedDrift-C: the isolated step's data go to the model chosen at release
  bool merge_batches = false;    ///< merge weights: number of batches in place of samples
  bool merge_first = false;      ///< compare and merge before clients choose
  int history = 0;               ///< train on so many newest steps of a cluster; 0: all
  bool random_eviction = false;  ///< a full pool gives up a random unused slot in place of the least recent
  std::string baseline = "pre";  ///< pre, reference, now, holdout (see the chapter)
  std::string detector = "score_delta";  ///< or a stream detector's name, or none
  std::uint64_t seed = 1;
};

struct StrategySpec {
  std::string name = "feddrift";
  FedDriftOptions drift = {};
  int models = 0;         ///< of ifca, softcluster, gmm, kue; 0: number of true concepts (kue: 10)
  std::string data = {};  ///< driftsurf's threshold depends on it
  std::uint64_t seed = 1;
};

/// Names that make_strategy knows.
std::vector<std::string> strategy_names();

/// `pattern` is the ground truth: only `oracle` and default numbers of models use it.
std::unique_ptr<Strategy> make_strategy(const StrategySpec& spec, const ConceptPattern& pattern);

}  // namespace ballast::federate
