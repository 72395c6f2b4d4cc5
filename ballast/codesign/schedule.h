// A mapping as a schedule over the device's resources, by the house's timeline: which operator runs when, and
// what is gained when devices may work at the same time.
#pragma once

#include "ballast/codesign/mapping.h"
#include "ballast/cost/timeline.h"

namespace ballast::codesign {

struct NetworkSchedule {
  cost::Workload workload;
  cost::Schedule schedule;
  double ms() const { return schedule.makespan_s * 1e3; }
};

/// Schema `seq` (one resource at a time) or, with `branch`, operators whose inputs are ready run at once on
/// both devices. Throws when the schedule breaks a rule of timelines (it is checked each time).
NetworkSchedule schedule_network(const Graph& graph, const System& system, const Mapping& mapping,
                                 bool branch);

}  // namespace ballast::codesign
