// An independent check of a schedule: knows the rules of timeline.h, not how the simulation meets them.
#pragma once

#include <string>
#include <vector>

#include "ballast/cost/timeline.h"

namespace ballast::cost {

/// One sentence for everything that is wrong; empty for a sound schedule. Checked: every task starts after
/// its release and its dependencies; it lasts as long as it must; no resource carries more than its capacity
/// at any time; shared work is done in equal parts and to the last unit; nothing idles (no task waits while
/// it could start by the rules of `queue`); the makespan is the last end. Cost: O(tasks^2) in the worst case.
std::vector<std::string> violations(const Workload& workload, const Schedule& schedule,
                                    Queue queue = Queue::greedy);

}  // namespace ballast::cost
