// The bytes of a stage without running it: from how often each machine asks for each key, the exact loads of
// every machine in every superstep, for push, pull-dedup and td-orch on any forest. Tests hold the engine's
// counters to it, to the byte; `auto` chooses the fan-out by it; `orch explain` tells one key's route by it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "ballast/orch/forest.h"
#include "ballast/orch/options.h"

namespace ballast::orch {

/// Who asks how often for one key.
struct KeyDemand {
  int owner = 0;
  std::vector<std::pair<int, std::uint64_t>> by_machine;  ///< (machine, tasks > 0)
};

/// Bytes between machines, superstep by superstep.
class Flows {
 public:
  explicit Flows(int machines) : machines_(machines) {}
  /// `bytes` from one machine to another in this superstep, in a message whose bundle header has `header`
  /// bytes.
  void send(std::size_t superstep, int from, int to, double bytes, double header);
  /// Every machine sends and receives `bytes` more in this superstep, evenly over the others.
  void spread(std::size_t superstep, double bytes);
  /// For each superstep, h of its busiest machine.
  std::vector<double> busiest_by_superstep() const;
  double total_bytes() const;
  /// For each machine, the sum over supersteps of the larger of what it sent and received.
  std::vector<double> busy() const;
  double busiest() const;

 private:
  struct Step {
    std::vector<double> out, in;
    std::vector<bool> message;  ///< [from * machines + to]
  };
  int machines_;
  std::vector<Step> steps_;
};

Flows model_push(int machines, const std::vector<KeyDemand>& demands, const RecordSizes& sizes);
Flows model_pull_dedup(int machines, const std::vector<KeyDemand>& demands, const RecordSizes& sizes);
Flows model_td_orch(int machines, const std::vector<KeyDemand>& demands, const RecordSizes& sizes,
                    const Forest& forest, const Limits& limits);

/// The route of one key through the forest, as sentences: who parked, who pushed, who pulled.
std::vector<std::string> explain_route(const KeyDemand& demand, const Forest& forest, const Limits& limits);

/// The fan-out (as Options::fanout has it) with the least modelled bytes of the busiest machine, of flat,
/// sqrt(P), 4 and 2, given the hottest keys (their demand taken as even over machines) and the number of all
/// other tasks.
std::string choose_fanout(int machines, const std::vector<std::pair<int, std::uint64_t>>& hot_owner_and_tasks,
                          std::uint64_t other_tasks, const RecordSizes& sizes, const Options& options);

}  // namespace ballast::orch
