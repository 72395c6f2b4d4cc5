// Learns a batching policy for trees and compares it with two heuristics on a mini-batch that it has not
// seen.
#include <cstdio>

#include "ballast/dynamic/fsm.h"
#include "ballast/dynamic/workloads.h"

namespace dyn = ballast::dynamic;

int main() {
  const dyn::Graph seen = dyn::make_workload("tree", 32, 1, 0), check = dyn::make_workload("tree", 32, 1, 32),
                   unseen = dyn::make_workload("tree", 32, 1, 64);
  const dyn::Structure training(seen), validation(check), test(unseen);
  const dyn::Learned learned = dyn::learn_best({&training}, {&validation});
  dyn::FsmPolicy policy(learned.table);
  std::printf("lower bound %u, depth %zu, agenda %zu, learned %zu\n", test.lower_bound,
              dyn::schedule_by_name(test, "depth").size(), dyn::schedule_by_name(test, "agenda").size(),
              dyn::schedule(test, policy).size());
}
