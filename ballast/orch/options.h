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
  hot_replicate,  ///< the 64 most wanted items to all machines, the other tasks pushed
  hot_aware,      ///< as hot_replicate, but an item is copied only where that costs its owner less
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

  // Techniques of td-orch, each with its switch (section "Switches" of the chapter).
  bool park = true;          ///< false: tasks climb to the owner, however many they are
  bool always_pull = false;  ///< true: every group of tasks is parked
  bool direct_pull = true;   ///< items go straight to the slots; false: back down the tree, hop by hop
  bool fuse = true;          ///< replies ride with the items; false: all of them in the last superstep
  bool sketch = true;        ///< auto may look at the hottest keys; false: by the number of machines alone
  bool remember = true;      ///< sizes and skew of the store's last stage serve for this one (outlook.h)
  /// An owner whose work is more than (1 + spill) times the mean sends items to where tasks came from;
  /// negative: never.
  double spill = -1;
  std::uint64_t segment_bytes = std::uint64_t{256} << 10;  ///< items above it go down the tree in pieces
  bool overlap = true;       ///< tasks of a flat stage travel in chunks and run while others are still sent
  bool check_merge = false;  ///< merge some updates again in other orders; the stage fails if that matters
  int threads = 1;           ///< on which a machine runs its tasks (all but the reference)
};

/// The forest that these options ask for (auto: flat, until it is chosen). Throws InvalidInput naming the
/// flag.
Forest make_forest(const Options& options, int machines);

/// C_leaf, C_in and M (section "limits"): how many tasks or meta-tasks of one key may move on.
struct Limits {
  std::uint64_t leaf = 1, inner = 1, metas = 2;
  bool direct = true, fuse = true;  ///< as in Options
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
