// How a stage is to be carried out: the method (TD-Orch or one of the baselines), the shape of the forest,
// the limits, and the switches by which each technique is turned off.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ballast/orch/forest.h"

namespace ballast::orch {

enum class Method {
  td_orch,        ///< the paper's: per key and hop, tasks or data move
  push,           ///< every task goes to the owner of its item
  pull,           ///< every task asks for its item
  pull_dedup,     ///< every machine asks once for each of its items
  sort,           ///< weighted sample-sort by key; every range fetches its items
  hot_replicate,  ///< the most wanted items to all machines, the other tasks pushed
  tree_combine,   ///< tasks climb the forest without parking; updates are combined on the way
  reference       ///< everything to machine 0, one task after another
};
std::string to_string(Method method);
/// Throws InvalidInput naming the nearest method.
Method method_from_string(const std::string& word);
const std::vector<std::string>& method_names();

struct Options {
  Method method = Method::td_orch;
  /// auto (by the bytes model, auto_fanout.h), flat, theory, or a fan-out of at least 2.
  std::string fanout = "auto";
  Placement placement = Placement::butterfly;
  /// Most tasks of one key that move from a leaf or a transit node; empty: the break-even of bytes.
  std::string push_limit = {};
  std::string meta_limit = {};  ///< empty: the fan-out
  bool collect_errors = false;  ///< a task that throws gets its error as result; otherwise the stage fails
  bool merge_updates = true;    ///< combine updates of one key in transit
  std::uint64_t hash_mask = ~std::uint64_t{0};  ///< tests: a weak hash inside machines
  int hot_keys = 8;                             ///< how many of the most wanted keys the report names
};

/// The forest that these options ask for (auto: flat, until it is chosen). Throws InvalidInput naming the
/// flag.
Forest make_forest(const Options& options, int machines);

/// C_leaf, C_in and M (section "limits"): how many tasks or meta-tasks of one key may move on.
struct Limits {
  std::uint64_t leaf = 1, inner = 1, metas = 2;
};
/// Sizes on the wire, in bytes, headers of records included.
struct RecordSizes {
  double task = 0;   ///< sigma
  double item = 0;   ///< B
  double reply = 0;  ///< rho
  double meta = 16;  ///< mu
};
Limits make_limits(const Options& options, const RecordSizes& sizes, const Forest& forest);

}  // namespace ballast::orch
