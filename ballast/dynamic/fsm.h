// Learned batching policies (ED-Batch): a finite-state machine whose state is an encoding of the frontier,
// learned for one model by tabular Q-learning, kept as a file that is tied to the model's types.
//
// Reward of a batch: -1 + c * |Frontier_t(G)| / |Frontier(G^t)|, zero for batches that meet the sufficient
// condition.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ballast/dynamic/policy.h"

namespace ballast::dynamic {

/// base: the set of types in the frontier; max: that and the type of most nodes; sort: the types by falling
/// count.
enum class Encoding { base, max, sort };
std::string to_string(Encoding encoding);
Encoding encoding_from_string(const std::string& word);

using State = std::vector<TypeId>;
State encode(const Frontier& frontier, Encoding encoding);

struct FsmTable {
  Encoding encoding = Encoding::base;
  std::vector<std::string> types;
  std::map<State, TypeId> actions;

  Json to_json() const;
  /// Throws InvalidInput when the document is malformed or was learned for other types.
  static FsmTable from_json(const Json& json, const std::vector<std::string>& types,
                            const std::string& where);
};

/// Follows the table; in a state that it does not hold it asks `agenda` and counts a miss.
class FsmPolicy : public Policy {
 public:
  explicit FsmPolicy(const FsmTable& table) : table_(table), fallback_(make_agenda()) {}
  TypeId next(const Frontier& frontier) override;
  std::uint64_t decisions() const { return decisions_; }
  std::uint64_t misses() const { return misses_; }

 private:
  const FsmTable& table_;
  std::unique_ptr<Policy> fallback_;
  std::uint64_t decisions_ = 0, misses_ = 0;
};

struct LearnOptions {
  int iterations = 1000;
  double alpha = 0.4, gamma = 1.0;
  double epsilon = 0.5, epsilon_decay = 0.9, epsilon_least = 0.05;
  int bootstrap_steps = 10;
  double reward_coefficient = 1.0;
  int check_every = 50;
  double stop_ratio = 1.01;  ///< of the lower bound
  std::uint64_t seed = 1;
  int restarts = 3;  ///< of learn_best: seeds tried for every encoding
};

struct Learned {
  FsmTable table;
  double ratio = 0;  ///< batches over the lower bound, mean over the validation graphs
  int iterations = 0;
  double miss_rate = 0;                       ///< unseen states on the validation graphs
  std::vector<std::pair<int, double>> curve;  ///< iteration, ratio on the training graphs
};

/// Learns on `training` in rotation, and reports on `validation`.
Learned learn(const std::vector<const Structure*>& training, const std::vector<const Structure*>& validation,
              Encoding encoding, const LearnOptions& options = {});

/// All encodings, several seeds; the one with the fewest batches on the validation graphs, fewer states where
/// equal.
Learned learn_best(const std::vector<const Structure*>& training,
                   const std::vector<const Structure*>& validation, const LearnOptions& options = {});

}  // namespace ballast::dynamic
