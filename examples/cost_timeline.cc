// Does a second link help? Two timelines of the same work, and the reason why one is later.
#include <cstdio>

#include "ballast/cost/check.h"
#include "ballast/cost/timeline.h"

int main() {
  using namespace ballast::cost;
  for (const double bytes_per_second : {5e9, 10e9}) {
    Workload w;
    const auto device = w.add_resource({.name = "device"}), host = w.add_resource({.name = "host"});
    const auto link = w.add_resource({.name = "link", .capacity = bytes_per_second, .shared = true});
    std::optional<TaskId> before;
    for (int layer = 0; layer < 8; ++layer) {
      Task compute{.name = "compute " + std::to_string(layer), .duration_s = 1e-3, .needs = {{device, 1}}};
      if (before) compute.after = {*before};
      before = w.add_task(compute);
      const auto send = w.add_task({.name = "send", .work = Need{link, 8e6}, .after = {*before}});
      w.add_task({.name = "update", .duration_s = 8e-4, .needs = {{host, 1}}, .after = {send}});
    }
    const Schedule s = simulate(w);
    if (!violations(w, s).empty()) return 1;
    std::printf("%2.0f GB/s: %.1f ms, link busy %.0f %%, ends with", bytes_per_second / 1e9,
                s.makespan_s * 1e3, 100 * s.utilisation(w, link));
    for (const TaskId t : s.critical_chain()) std::printf(" %s,", w.tasks[t].name.c_str());
    std::printf("\n");
  }
  return 0;
}
