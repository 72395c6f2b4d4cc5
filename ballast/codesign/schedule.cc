#include "ballast/codesign/schedule.h"

#include "ballast/base/errors.h"
#include "ballast/cost/check.h"

namespace ballast::codesign {

NetworkSchedule schedule_network(const Graph& graph, const System& system, const Mapping& mapping,
                                 bool branch) {
  const Run run = evaluate(graph, system, mapping);
  NetworkSchedule result;
  cost::Workload& w = result.workload;
  const auto npu = w.add_resource({.name = "npu"}), cim = w.add_resource({.name = "cim"}),
             link = w.add_resource({.name = "link"}), turn = w.add_resource({.name = "turn"});
  const auto before = graph.predecessors();
  std::vector<cost::TaskId> task_of;
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    std::vector<cost::TaskId> after;
    for (int p : before[n]) after.push_back(task_of[static_cast<std::size_t>(p)]);
    const auto needs = [&](std::initializer_list<cost::ResourceId> resources) {
      std::vector<cost::Need> list;
      for (auto r : resources) list.push_back({r, 1});
      if (!branch) list.push_back({turn, 1});
      return list;
    };
    // Earlier operators go first where two are ready: the order of the network.
    const double priority = -static_cast<double>(n);
    if (run.nodes[n].transfer_cycles > 0) {
      after = {w.add_task({.name = "move to " + graph.nodes[n].name,
                           .duration_s = system.milliseconds(run.nodes[n].transfer_cycles) * 1e-3,
                           .needs = needs({link}),
                           .after = after,
                           .priority = priority,
                           .group = "transfer"})};
    }
    const bool split = mapping[n].npu_share > 0 && mapping[n].npu_share < 1;
    const bool on_cim = mapping[n].device == Device::cim;
    task_of.push_back(w.add_task({.name = graph.nodes[n].name,
                                  .duration_s = system.milliseconds(run.nodes[n].cost.cycles) * 1e-3,
                                  .needs = split    ? needs({npu, cim})
                                           : on_cim ? needs({cim})
                                                    : needs({npu}),
                                  .after = after,
                                  .priority = priority,
                                  .group = to_string(graph.nodes[n].op)}));
  }
  result.schedule = cost::simulate(w);
  const auto broken = cost::violations(w, result.schedule);
  BALLAST_CHECK(broken.empty(), broken.empty() ? std::string() : broken.front());
  return result;
}

}  // namespace ballast::codesign
