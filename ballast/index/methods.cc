#include "ballast/index/methods.h"

#include "ballast/base/cli.h"
#include "ballast/index/baseline/hash_broadcast.h"
#include "ballast/index/baseline/jump_push.h"
#include "ballast/index/baseline/range_partition.h"

namespace ballast::index {

const std::vector<std::string>& method_names() {
  static const std::vector<std::string> names = {"pim-tree",  "push",        "pull",
                                                 "push-pull", "range",       "range-rebalance",
                                                 "jump-push", "push-pull-1", "hash-broadcast"};
  return names;
}

Method make_method(const std::string& name, pim::MachineOptions machine, PimTreeOptions tree) {
  cli::require_one_of("--methods", name, method_names());
  Method method;
  method.machine = std::make_unique<pim::Machine>(machine);
  if (name == "range" || name == "range-rebalance") {
    method.index = std::make_unique<baseline::RangePartition>(
        *method.machine, baseline::RangeOptions{.rebalance = name == "range-rebalance"});
  } else if (name == "jump-push" || name == "push-pull-1") {
    method.index = std::make_unique<baseline::JumpPush>(*method.machine, tree.seed, name == "push-pull-1");
  } else if (name == "hash-broadcast") {
    method.index = std::make_unique<baseline::HashBroadcast>(*method.machine, tree.seed);
  } else {
    if (name != "pim-tree") {
      tree.shadow = false;
      tree.plan = Plan::paper;
      tree.search = name == "push" ? Search::push : name == "pull" ? Search::pull : Search::push_pull;
    }
    method.index = std::make_unique<PimTree>(*method.machine, tree);
  }
  return method;
}

}  // namespace ballast::index
