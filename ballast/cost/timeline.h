// A timeline: tasks with durations, dependencies and needs, laid over resources by a discrete-event
// simulation. The result is a schedule that can be checked (check.h), drawn (gantt.h) and traced.
//
//   Workload w;
//   const auto npu = w.add_resource({.name = "npu"});
//   const auto link = w.add_resource({.name = "link", .capacity = 10e9, .shared = true});     // bytes a
//   second const auto load = w.add_task({.name = "load", .duration_s = 2e-6, .work = Need{link, 1e6}});
//   w.add_task({.name = "run", .duration_s = 1e-4, .needs = {{npu, 1}}, .after = {load}});
//   const Schedule s = simulate(w);          // s.makespan_s is 2e-6 + 1e-4 + 1e-4
//
// Rules, so that the same workload gives the same schedule everywhere:
//   A task is ready when all of `after` have ended and `release_s` has come. It starts when its needs are
//   free, holds them until it ends, and is never stopped in between. Of the waiting ones the one of larger
//   priority starts first, then the one that was ready earlier, then the one of smaller id. An exclusive
//   resource has `capacity` units, of which a task holds what it needs. A shared one works `capacity` units a
//   second, in equal parts for all tasks that are at it (processor sharing): a task first takes `duration_s`,
//   then joins it until its `work` is done.
//   Ends at one time come before starts at that time.
//
// Cost: O((tasks + edges) log tasks) for exclusive resources, times the kinds of needs that wait; every event
// of a shared resource touches the tasks that are at it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ballast::cost {

using ResourceId = std::uint32_t;
using TaskId = std::uint32_t;

struct Resource {
  std::string name;
  double capacity = 1;  ///< units, or work a second of a shared one
  bool shared = false;
};

struct Need {
  ResourceId resource;
  double amount = 1;
};

struct Task {
  std::string name;
  double duration_s = 0;
  std::vector<Need> needs = {};   ///< of exclusive resources
  std::optional<Need> work = {};  ///< on a shared resource
  std::vector<TaskId> after = {};
  double priority = 0;
  double release_s = 0;
  std::string group = {};  ///< tasks of one group have one colour
};

struct Workload {
  std::vector<Resource> resources;
  std::vector<Task> tasks;

  ResourceId add_resource(Resource resource);
  TaskId add_task(Task task);
  /// Throws InvalidInput: unknown ids, needs that no capacity can meet or of the wrong kind, times below 0, a
  /// circle of dependencies (named task by task).
  void check() const;

  /// The longest chain of dependencies, each task alone on the machine: no schedule is shorter.
  double critical_path_s() const;
  /// The largest, over resources, of all that they must carry / their capacity: no schedule is shorter.
  double resource_bound_s() const;
};

enum class Queue {
  greedy,    ///< a task that fits starts, even before one of higher order that does not fit (backfilling)
  in_order,  ///< a task that waits holds back those of lower order that want one of its resources
};

/// A span in which a task was at a shared resource, at one rate.
struct Slice {
  TaskId task;
  double start_s, end_s;
  double rate;  ///< work a second
};

struct Schedule {
  std::vector<double> ready_s, start_s, end_s;  ///< by task
  std::vector<Slice> slices;                    ///< by start
  /// The task at whose end this one could start: a dependency, or one that held what it needs. nullopt: it
  /// started when it was released.
  std::vector<std::optional<TaskId>> cause;
  double makespan_s = 0;

  /// Amount x seconds held of an exclusive resource, work done by a shared one.
  double busy(const Workload& workload, ResourceId resource) const;
  /// busy / (capacity x makespan), 0 to 1.
  double utilisation(const Workload& workload, ResourceId resource) const;
  /// The tasks that made the end as late as it is, first to last: each started when the one before it ended.
  std::vector<TaskId> critical_chain() const;
};

/// Throws InvalidInput as Workload::check() does.
Schedule simulate(const Workload& workload, Queue queue = Queue::greedy);

}  // namespace ballast::cost
