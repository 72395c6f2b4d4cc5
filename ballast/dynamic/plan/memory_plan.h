// Memory planning of a static block (ED-Batch, section 4): an order of its variables in which what one batch
// reads or writes lies side by side, in the same order of lanes, so that no copy is needed.
//
//   BlockBatches b{.variables = 8, .batches = {{{4, 3}, {{0, 2}}}, {{7, 6, 5}, {{4, 3, 1}}}}};
//   MemoryPlan plan = plan_memory(b);      // plan.order, plan.copies; declaration_plan(b) is what it is
//   compared with
//
// If an order without any copy exists, it is found; otherwise lists are given up one by one, the cheapest
// first. The result is checked by count_copies, which knows nothing of trees.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ballast/base/json.h"
#include "ballast/dynamic/compiler/core.h"

namespace ballast::dynamic {

struct BlockBatches {
  struct Batch {
    std::vector<int> results;                ///< variables, one a lane
    std::vector<std::vector<int>> operands;  ///< each as long as results
  };
  int variables = 0;
  std::vector<Batch> batches;
  std::vector<std::int64_t> bytes = {};  ///< of each variable; empty: 1 each

  static BlockBatches from_json(const Json& json, const std::string& where);
};

struct MemoryPlan {
  std::vector<int> order;
  int lists = 0;   ///< operand and result lists of at least two lanes
  int copies = 0;  ///< lists that must be gathered or scattered
  std::int64_t copied_bytes = 0;
};

/// Lists that are not side by side, or not in the lane order that the batch's results have, in this order of
/// variables. The lane order of a batch is free: the one that spares most bytes is taken.
MemoryPlan count_copies(const BlockBatches& block, const std::vector<int>& order);
MemoryPlan declaration_plan(const BlockBatches& block);
MemoryPlan plan_memory(const BlockBatches& block);

/// The batches of a cell: its operators grouped by kind and shape under the sufficient-condition policy;
/// views and operands from outside take no part.
/// `policy`: which order of batches, as schedule_by_name.
BlockBatches batches_of(const Cell& cell, const std::string& policy = "suff");

}  // namespace ballast::dynamic
