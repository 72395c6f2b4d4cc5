// The client's half of every engine: carries out tasks on data that stay here, and keeps what a client keeps
// between rounds: optimizer state, isolated models, compression residuals, its detector's past.
//
// A task of round r may come twice (a restarted server repeats the round it was in): what round r started
// from is kept until round r + 1 begins, so the repetition gives the same bits.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "ballast/federate/engine.h"
#include "ballast/federate/task.h"

namespace ballast::federate {

/// Where a client's batches come from.
class ClientStore {
 public:
  virtual ~ClientStore() = default;
  /// nullptr: none (yet) for this step.
  virtual const Samples* batch(int step) = 0;
};

/// Gives the parameters of a slot that a task needs.
using ModelSource = std::function<const Params&(SlotId)>;

std::uint64_t run_key(std::uint64_t seed, int purpose, int step, int round, int client, int slot);

class ClientRuntime {
 public:
  ClientRuntime(const ModelShape& shape, const RunConfig& config, ClientStore& store)
      : shape_(shape), config_(config), store_(&store) {}

  /// `trainer` is the worker's scratch memory. Throws InvalidInput for a task that cannot be (unknown step).
  ClientResult perform(const ClientTask& task, const ModelSource& models, LocalTrainer& trainer);

  /// Seeds this client's own noise (local differential privacy); 0: the run's seed, for simulations only.
  void set_noise_secret(std::uint64_t secret) { secret_ = secret; }
  /// What must survive a restart of the client.
  void archive(Archive& a);

 private:
  struct SlotState {
    OptimizerState optimizer;
    Params kept, residual;
    void archive(Archive& a) { a& optimizer& kept& residual; }
  };
  const Samples& batch(int step);
  Samples view_of(const Samples& samples, std::uint64_t view, int step, bool resample) const;
  void score(const ClientTask& task, const ModelSource& models, LocalTrainer& trainer, ClientResult& result);
  void detect(const ClientTask& task, const Params& best, LocalTrainer& trainer, ClientResult& result);
  Trained train(const ClientTask& task, const TrainJob& job, const ModelSource& models,
                LocalTrainer& trainer);
  void begin_round(int step, int round);
  void answer_secure(const ClientTask& task, ClientResult& result);

  ModelShape shape_;
  RunConfig config_;
  ClientStore* store_;
  std::uint64_t secret_ = 0;
  int step_ = -1, round_ = -1;
  std::map<SlotId, SlotState> before_, after_;       // of the present round
  std::map<SlotId, SecureClient> secure_;            // of the present round; in memory only
  std::map<int, std::vector<std::uint8_t>> errors_;  // step -> errors that the detector saw
};

}  // namespace ballast::federate
