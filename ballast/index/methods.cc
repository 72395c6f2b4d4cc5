#include "ballast/index/methods.h"

#include "ballast/base/cli.h"
#include "ballast/index/baseline/jump_push.h"
#include "ballast/index/baseline/range_partition.h"

namespace ballast::index {

const std::vector<std::string>& method_names() {
  static const std::vector<std::string> names = {"pim-tree",        "push",     "pull", "push-pull", "range",
                                                 "range-rebalance", "jump-push"};
  return names;
}

Method make_method(const std::string& name, pim::MachineOptions machine, PimTreeOptions tree) {
  cli::require_one_of("--methods", name, method_names());
  Method method;
  method.machine = std::make_unique<pim::Machine>(machine);
  if (name == "range" || name == "range-rebalance") {
    method.index = std::make_unique<baseline::RangePartition>(
        *method.machine, baseline::RangeOptions{.rebalance = name == "range-rebalance"});
  } else if (name == "jump-push") {
    method.index = std::make_unique<baseline::JumpPush>(*method.machine, tree.seed);
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
