// A schedule as a picture for a report page, and as a trace for Perfetto.
#pragma once

#include <string>

#include "ballast/base/report.h"
#include "ballast/base/trace.h"
#include "ballast/cost/timeline.h"

namespace ballast::cost {

struct GanttOptions {
  std::string title = "Timeline";
  Basis basis = Basis::modelled;
  double width = 960;           ///< of the picture; it shrinks with the page
  std::size_t most_lanes = 12;  ///< of one resource; more are left out, and the picture says so
};

/// One row a resource, with as many lanes as tasks overlap in it; colours by group, names on bars that have
/// room, the critical chain outlined. Bars too narrow to see are drawn as one with their neighbours of the
/// same group.
Figure gantt(const Workload& workload, const Schedule& schedule, const GanttOptions& options = {});

/// One process a resource and one thread a lane; dependencies between tasks of different rows become arrows.
/// `offset_ns` is added to all times.
void write_trace(const Workload& workload, const Schedule& schedule, Trace& trace,
                 std::int64_t offset_ns = 0);

/// A row a resource: capacity, busy time, utilisation, tasks.
Table resource_table(const Workload& workload, const Schedule& schedule, Basis basis = Basis::modelled);

}  // namespace ballast::cost
