// `ballast cost timeline`: the schedule of a workload's file, checked, drawn and traced.
#include <fmt/format.h>

#include "ballast/base/errors.h"
#include "ballast/base/units.h"
#include "ballast/cost/check.h"
#include "ballast/cost/gantt.h"
#include "ballast/cost/timeline_file.h"
#include "ballast/cost/verbs.h"

namespace ballast::cost {
namespace {

struct TimelineWords {
  std::string file, queue = "greedy";
};

Table chain_table(const Workload& w, const Schedule& s) {
  Table table("What makes the end as late as it is", {"task", "group", "start", "lasts"});
  table.basis(Basis::modelled);
  const auto chain = s.critical_chain();
  constexpr std::size_t kMost = 30;
  for (std::size_t i = 0; i < chain.size(); ++i) {
    if (chain.size() > kMost && i == kMost / 2) {
      table.row({fmt::format("... {} more", chain.size() - kMost), "", "-", "-"});
      i = chain.size() - kMost / 2;
    }
    const TaskId t = chain[i];
    table.row({w.tasks[t].name, w.tasks[t].group, format_seconds(s.start_s[t]),
               format_seconds(s.end_s[t] - s.start_s[t])});
  }
  return table;
}

}  // namespace

void add_timeline(cli::Program& program) {
  auto words = std::make_shared<TimelineWords>();
  auto verb =
      program.verb("timeline", "lay tasks over resources by discrete events: makespan, use, critical chain",
                   {"ballast cost timeline step.yaml --report step.html",
                    "ballast cost timeline step.yaml --queue in-order --trace step.json"});
  verb->add_option("WORKLOAD", words->file, "resources and tasks, YAML or JSON")->required();
  verb->add_option("--queue", words->queue, "whether a task that fits may pass one that waits")
      ->check(CLI::IsMember({"greedy", "in-order"}))
      ->capture_default_str();
  verb.run([words](const cli::Common& common) {
    const Workload workload = read_workload(words->file);
    const Queue queue = words->queue == "greedy" ? Queue::greedy : Queue::in_order;
    const Schedule schedule = simulate(workload, queue);
    // The independent check is quadratic: for large workloads the tests of the simulation must do.
    constexpr std::size_t kCheckedTasks = 5000;
    if (workload.tasks.size() <= kCheckedTasks) {
      const auto found = violations(workload, schedule, queue);
      BALLAST_CHECK(found.empty(), found.empty() ? "" : found.front());
    }
    Trace trace(common.trace_file, Basis::modelled);
    if (trace.on()) write_trace(workload, schedule, trace);
    trace.commit();
    const Table resources = resource_table(workload, schedule), chain = chain_table(workload, schedule);
    const std::string verdict = fmt::format(
        "{} tasks end at {}; no schedule can end before {} (longest chain {}, busiest resource {}).",
        workload.tasks.size(), format_seconds(schedule.makespan_s),
        format_seconds(std::max(workload.critical_path_s(), workload.resource_bound_s())),
        format_seconds(workload.critical_path_s()), format_seconds(workload.resource_bound_s()));
    if (common.for_people()) {
      resources.print(stdout);
      fmt::print("\n");
      chain.print(stdout);
      fmt::print("\n{}\n", verdict);
    }
    common.write_json(to_json(workload, schedule));
    Report report("Timeline: " + words->file);
    report.section("Schedule")
        .text(verdict)
        .figure(gantt(workload, schedule))
        .table(resources)
        .table(chain)
        .command(common.command_line);
    common.write_report(report);
  });
}

}  // namespace ballast::cost
