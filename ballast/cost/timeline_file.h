// Workloads as files, YAML or JSON, schema `ballast.timeline/1`:
//
//   schema: ballast.timeline/1
//   resources:
//     - {name: npu}
//     - {name: link, shared: 10e9}        # work a second, shared in equal parts
//     - {name: cores, capacity: 4}
//   tasks:
//     - {name: load, work: {link: 1e6}}
//     - {name: run, duration: 1e-4, needs: {npu: 1}, after: [load], priority: 1, release: 0, group: forward}
//
// Times are seconds. A file that is wrong is refused by InvalidInput with its line.
#pragma once

#include <string>
#include <string_view>

#include "ballast/base/json.h"
#include "ballast/cost/timeline.h"

namespace ballast::cost {

Workload parse_workload(std::string_view text, const std::string& name);
Workload read_workload(const std::string& path);

/// The schedule as a document: makespan, bounds, utilisation, every task's times, the critical chain. Schema
/// `ballast.schedule/1`.
Json to_json(const Workload& workload, const Schedule& schedule);

}  // namespace ballast::cost
