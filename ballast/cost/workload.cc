#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/cost/timeline.h"

namespace ballast::cost {
namespace {

void require_time(const std::string& where, const char* what, double value) {
  if (!(value >= 0) || !std::isfinite(value))
    throw InvalidInput(fmt::format("{} of {}", what, where), fmt::format("{}", value),
                       "a finite number of at least 0");
}

void check_task(const Workload& workload, const Task& task) {
  const std::string where = fmt::format("task '{}'", task.name);
  require_time(where, "duration", task.duration_s);
  require_time(where, "release", task.release_s);
  if (!std::isfinite(task.priority)) throw InvalidInput(fmt::format("priority of {} is not finite", where));
  std::vector<Need> all = task.needs;
  if (task.work) all.push_back(*task.work);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Need& need = all[i];
    const bool is_work = i >= task.needs.size();
    if (need.resource >= workload.resources.size())
      throw InvalidInput(
          fmt::format("{} needs resource {} of {}", where, need.resource, workload.resources.size()));
    const Resource& resource = workload.resources[need.resource];
    require_time(where, "a need", need.amount);
    if (resource.shared != is_work) {
      throw InvalidInput(fmt::format("{} {} '{}', which is {}", where, is_work ? "works on" : "holds",
                                     resource.name,
                                     resource.shared ? "shared (give work)" : "exclusive (give a need)"));
    }
    if (!is_work && need.amount > resource.capacity) {
      throw InvalidInput(fmt::format("{} needs {} of '{}', which has {}", where, need.amount, resource.name,
                                     resource.capacity));
    }
    for (std::size_t k = 0; k < i; ++k)
      if (all[k].resource == need.resource)
        throw InvalidInput(fmt::format("{} names resource '{}' twice", where, resource.name));
  }
  for (const TaskId before : task.after)
    if (before >= workload.tasks.size())
      throw InvalidInput(fmt::format("{} comes after task {} of {}", where, before, workload.tasks.size()));
}

// Tasks so that every one comes behind those it waits for; fewer than all if there is a circle.
std::vector<TaskId> topological_order(const Workload& workload) {
  std::vector<std::size_t> open(workload.tasks.size());
  std::vector<std::vector<TaskId>> then(workload.tasks.size());
  std::vector<TaskId> order;
  for (TaskId t = 0; t < workload.tasks.size(); ++t) {
    open[t] = workload.tasks[t].after.size();
    for (const TaskId before : workload.tasks[t].after) then[before].push_back(t);
    if (open[t] == 0) order.push_back(t);
  }
  for (std::size_t i = 0; i < order.size(); ++i)
    for (const TaskId next : then[order[i]])
      if (--open[next] == 0) order.push_back(next);
  return order;
}

// One circle, told as "a -> b -> a": every task that is left over waits for another one that is left over.
std::string name_circle(const Workload& workload, const std::vector<TaskId>& order) {
  std::vector<bool> sound(workload.tasks.size(), false);
  for (const TaskId t : order) sound[t] = true;
  TaskId at = static_cast<TaskId>(std::find(sound.begin(), sound.end(), false) - sound.begin());
  std::vector<TaskId> path;
  while (std::find(path.begin(), path.end(), at) == path.end()) {
    path.push_back(at);
    const auto& after = workload.tasks[at].after;
    at = *std::find_if(after.begin(), after.end(), [&](TaskId before) { return !sound[before]; });
  }
  std::string text = workload.tasks[at].name;
  for (auto it = std::find(path.begin(), path.end(), at) + 1; it != path.end(); ++it)
    text = workload.tasks[*it].name + " -> " + text;
  return workload.tasks[at].name + " -> " + text;
}

}  // namespace

ResourceId Workload::add_resource(Resource resource) {
  resources.push_back(std::move(resource));
  return static_cast<ResourceId>(resources.size() - 1);
}

TaskId Workload::add_task(Task task) {
  tasks.push_back(std::move(task));
  return static_cast<TaskId>(tasks.size() - 1);
}

void Workload::check() const {
  for (const Resource& resource : resources) {
    if (!(resource.capacity > 0) || !std::isfinite(resource.capacity))
      throw InvalidInput(fmt::format("capacity of resource '{}'", resource.name),
                         fmt::format("{}", resource.capacity), "a positive finite number");
  }
  for (const Task& task : tasks) check_task(*this, task);
  const auto order = topological_order(*this);
  if (order.size() != tasks.size())
    throw InvalidInput(fmt::format("tasks wait for one another in a circle: {}", name_circle(*this, order)));
}

double Workload::critical_path_s() const {
  std::vector<double> end(tasks.size(), 0);
  double longest = 0;
  for (const TaskId t : topological_order(*this)) {
    double start = tasks[t].release_s;
    for (const TaskId before : tasks[t].after) start = std::max(start, end[before]);
    end[t] = start + tasks[t].duration_s;
    if (tasks[t].work) end[t] += tasks[t].work->amount / resources[tasks[t].work->resource].capacity;
    longest = std::max(longest, end[t]);
  }
  return longest;
}

double Workload::resource_bound_s() const {
  std::vector<double> load(resources.size(), 0);
  for (const Task& task : tasks) {
    // A task that also works on a shared resource holds its needs at least as long as that takes alone.
    double held = task.duration_s;
    if (task.work) {
      held += task.work->amount / resources[task.work->resource].capacity;
      load[task.work->resource] += task.work->amount;
    }
    for (const Need& need : task.needs) load[need.resource] += need.amount * held;
  }
  double bound = 0;
  for (std::size_t r = 0; r < resources.size(); ++r) bound = std::max(bound, load[r] / resources[r].capacity);
  return bound;
}

}  // namespace ballast::cost
