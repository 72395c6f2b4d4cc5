// Indexes on a PIM machine by the name that flags give them, each on a machine of its own.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ballast/index/metered.h"
#include "ballast/index/pim_tree.h"

namespace ballast::index {

struct Method {
  std::unique_ptr<pim::Machine> machine;
  std::unique_ptr<MeteredIndex> index;
};

/// pim-tree, push, pull, push-pull (level by level, paper plan), range, range-rebalance, jump-push,
/// push-pull-1 (push-pull on nodes of one key), hash-broadcast.
const std::vector<std::string>& method_names();
/// Throws InvalidInput naming the nearest method.
Method make_method(const std::string& name, pim::MachineOptions machine, PimTreeOptions tree = {});

}  // namespace ballast::index
