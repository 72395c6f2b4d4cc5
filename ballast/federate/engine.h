// Runs a strategy over a simulated federation on the threads of this machine, or on the machines of a
// cluster.
//
// All randomness is keyed by (seed, purpose, step, round, client, slot), and sums over clients follow a fixed
// tree, so the result is the same for every number of threads and ranks, and over a network.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ballast/base/json.h"
#include "ballast/federate/compression.h"
#include "ballast/federate/privacy.h"
#include "ballast/federate/robust.h"
#include "ballast/federate/samples.h"
#include "ballast/federate/strategy.h"

namespace ballast::cluster {
class Machine;
}

namespace ballast::federate {

/// Faults that a simulation plays, keyed by the run's seed.
struct FaultConfig {
  double churn = 0;       ///< chance of a client to be away in a round
  double stragglers = 0;  ///< chance of an update to come too late (its bytes are spent)
  double sign_flip = 0;   ///< fraction of clients that send the opposite of their update
};

struct RunConfig {
  ModelKind model = ModelKind::mlp;
  int hidden = 0;  ///< 0: the kind's customary width (mlp: twice the number of features)
  int rounds = 20, local_steps = 20, batch = 50;
  OptimizerConfig optimizer;
  int cross_eval_batches = 20;
  int threads = 2;
  std::uint64_t seed = 1;
  double fraction = 1;     ///< chance of a client to be in a round's cohort
  double over_select = 1;  ///< a deployment asks so many times more clients and takes the first that answer
  bool reset_optimizer = false;  ///< every round in place of every step
  bool local_slots = true;       ///< a model with one contributor is trained there and uploaded once a step
  bool holdout = false;          ///< score on a fifth of each batch that is never trained on
  std::string server_optimizer = "none";
  Aggregator aggregator;
  Compression compression;
  PrivacyConfig privacy;
  FaultConfig faults;
  bool secure = false;  ///< secure aggregation: the server sees sums of three or more updates only

  ModelShape shape(int features, int classes) const {
    return ModelShape::of(model, features, hidden, classes);
  }
  /// Throws InvalidInput for values that cannot be, naming the flag.
  void check() const;
};

/// The last fifth of a batch, which the hold-out baseline scores on, and the rest.
Samples holdout_part(const Samples& samples);
Samples training_part(const Samples& samples);

/// Bytes that cross the network by phase: parameters, statistics and task lists, without framing. A client
/// that holds a model already does not get it again. Counted.
struct Ledger {
  std::uint64_t models_down = 0, models_up = 0, stats_up = 0;
  std::uint64_t secure_up = 0;  ///< keys and shares of secure aggregation
  std::uint64_t score_down = 0, cross_down = 0, train_down = 0, evaluate_down = 0;  ///< parts of models_down
  std::uint64_t total() const { return models_down + models_up + stats_up + secure_up; }
  void archive(Archive& a) {
    a& models_down& models_up& stats_up& secure_up& score_down& cross_down& train_down& evaluate_down;
  }
};

/// What happened, by step and client.
struct RunLog {
  std::string strategy, data;
  /// [step][client]: correct answers on the batch of step + 1, its size, and the serving slot.
  std::vector<std::vector<ScoreStat>> prequential;
  std::vector<std::vector<SlotId>> serving;
  std::vector<int> models;  ///< distinct serving slots a step
  std::vector<Event> events;
  Ledger ledger;
  std::vector<std::vector<Ledger>> traffic;  ///< [step][client], parts of `ledger`
  std::uint64_t optimizer_steps = 0;
  std::uint64_t rejected = 0;  ///< updates that were refused (not finite, far too long)
  std::uint64_t given_up = 0;  ///< secure sums that could not be opened, or had fewer than three clients
  double epsilon = 0;          ///< spent, with differential privacy
  ConceptPattern pattern;
  std::vector<Params> parameters;  ///< of every slot, at the end

  /// Mean prequential accuracy over (step, client); without those where the concept changes right after the
  /// step, which nobody can foresee, unless `inclusive`.
  double accuracy(bool inclusive = false) const;
  double accuracy_at(int step) const;
  /// Adjusted Rand index of serving slots against the true concepts, mean over steps.
  double rand_index() const;
  double mean_models() const;
  Json to_json() const;
};

/// Adjusted Rand index (Hubert and Arabie 1985) of two labellings; 1 when both put all in one group.
double adjusted_rand_index(const std::vector<int>& a, const std::vector<int>& b);

/// `progress(done, total)` is called after every step.
RunLog run(const Federation& federation, Strategy& strategy, const RunConfig& config,
           const std::function<void(int, int)>& progress = {});

/// The same on all machines of a cluster (threads or MPI ranks), each with an aligned block of the clients;
/// every machine has the result. Each machine gives its own strategy, made alike.
RunLog run_on(cluster::Machine& machine, const Federation& federation, Strategy& strategy,
              const RunConfig& config);

}  // namespace ballast::federate
