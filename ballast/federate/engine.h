// Runs a strategy over a simulated federation on the threads of this machine.
//
// All randomness is keyed by (seed, purpose, step, round, client, slot), and sums over clients follow a fixed
// tree, so the result is the same for every number of threads.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ballast/base/json.h"
#include "ballast/federate/samples.h"
#include "ballast/federate/strategy.h"

namespace ballast::federate {

struct RunConfig {
  int hidden = 0;  ///< 0: twice the number of features
  int rounds = 20, local_steps = 20, batch = 50;
  OptimizerConfig optimizer;
  int cross_eval_batches = 20;
  int threads = 2;
  std::uint64_t seed = 1;
};

/// Bytes that would cross the network: parameters and statistics, without headers. Counted, both directions.
struct Ledger {
  std::uint64_t models_down = 0, models_up = 0, stats_up = 0;
  std::uint64_t total() const { return models_down + models_up + stats_up; }
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
  std::uint64_t optimizer_steps = 0;
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

}  // namespace ballast::federate
