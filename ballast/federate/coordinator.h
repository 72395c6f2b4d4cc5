// The server's half of every engine: one phase after another, each a transaction on plain state, so that a
// run can be stopped between any two and go on elsewhere with the same bits.
//
//   OPEN -> EVALUATE (of the step before) -> SCORE -> CROSS_EVAL -> TRAIN x rounds -> OPEN of the next step
//
//   Coordinator run(strategy, config, problem, workforce);
//   while (run.advance()) checkpoint(run);
#pragma once

#include <functional>
#include <map>

#include "ballast/federate/client_runtime.h"
#include "ballast/federate/engine.h"
#include "ballast/federate/server_optimizer.h"
#include "ballast/federate/task.h"

namespace ballast::federate {

/// The models of a run. `version` names the content: a new number whenever parameters change, the source's
/// for a copy.
struct ModelStore {
  std::vector<Params> params;
  std::vector<std::uint64_t> version;
  std::uint64_t next = 1;
  Params& set(SlotId slot);
  void copy(SlotId from, SlotId to);
  void archive(Archive& a) { a& params& version& next; }
};

/// Who carries out tasks.
class Workforce {
 public:
  using Sink = std::function<void(ClientResult&)>;
  virtual ~Workforce() = default;
  /// Carries out tasks, which ascend by client, and hands every result to `sink` in that order; one that did
  /// not come is `absent`. With `share`, the sink sees only this machine's part, and `combine` joins what was
  /// summed.
  virtual void perform(const std::vector<ClientTask>& tasks, const ModelStore& models, bool share,
                       const Sink& sink) = 0;
  virtual void combine(std::map<SlotId, TreeSum>&, std::vector<std::uint64_t>& /*counters*/) {}
};

/// What is to be learned.
struct Problem {
  int features = 1, classes = 2, clients = 1;
  int steps = 1;  ///< that are trained; one more batch tests the last
};

class Coordinator {
 public:
  Coordinator(Strategy& strategy, const RunConfig& config, const Problem& problem, Workforce& workforce);

  /// One phase; false once the run has ended.
  bool advance();
  bool ended() const { return ended_; }
  int step() const { return step_; }
  int round() const { return round_; }
  Phase phase() const { return phase_; }
  const ModelStore& models() const { return models_; }
  const RunLog& log() const { return log_; }
  RunLog take_log();
  const ModelShape& shape() const { return shape_; }
  /// Three times in a row a round had too few reports; it is tried again until it has.
  bool degraded() const { return attempt_ >= 3; }
  /// Fewer reports than this in a round: it is repeated (deployments).
  int min_reports = 0;
  /// Everything above that changes, the strategy's state included.
  void archive(Archive& a);

 private:
  void open();
  void evaluate();
  void score();
  void compare_models();
  void close_assignment();
  bool train_round();
  void trained_scores();
  void apply_model_ops();
  std::vector<ClientTask> training_tasks();
  ScoreTable ask_scores(Phase phase, const std::vector<SlotId>& slots);
  void count(ClientId client, std::uint64_t Ledger::*part, std::uint64_t bytes);
  void download(ClientId client, SlotId slot, std::uint64_t Ledger::*part);
  ClientTask task_of(Phase phase, ClientId client) const;
  bool present(ClientId client) const;
  bool within_budget();

  Strategy& strategy_;
  const RunConfig config_;
  const Problem problem_;
  Workforce& workforce_;
  const ModelShape shape_;
  ModelStore models_;
  RunLog log_;
  Phase phase_ = Phase::open;
  int step_ = 0, round_ = 0;
  bool ended_ = false;
  StepInfo info_;
  std::vector<std::vector<std::uint64_t>> samples_;  // [step][client]
  std::vector<SlotId> scored_;
  std::vector<std::map<std::uint64_t, bool>> held_;  // [client]: versions that it has
  std::map<SlotId, ServerOptimizerState> optimizers_;
  std::vector<double> norms_;  // of accepted updates, for the running median
  double clip_ = 0;
  int private_rounds_ = 0;
  bool stopped_training_ = false;
  int attempt_ = 0;  // of the present round
};

}  // namespace ballast::federate
