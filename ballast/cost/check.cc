#include "ballast/cost/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

namespace ballast::cost {
namespace {

class Checker {
 public:
  Checker(const Workload& workload, const Schedule& schedule, Queue queue)
      : w_(workload), s_(schedule), queue_(queue), slack_(1e-9 * (schedule.makespan_s + 1e-12)) {}

  std::vector<std::string> run() {
    const std::size_t n = w_.tasks.size();
    if (s_.start_s.size() != n || s_.end_s.size() != n || s_.ready_s.size() != n || s_.cause.size() != n) {
      say("the schedule has another number of tasks than the workload");
      return found_;
    }
    for (TaskId t = 0; t < n; ++t) task(t);
    for (ResourceId r = 0; r < w_.resources.size(); ++r) w_.resources[r].shared ? shared(r) : exclusive(r);
    idling();
    double last = 0;
    for (const double end : s_.end_s) last = std::max(last, end);
    if (last != s_.makespan_s)
      say(fmt::format("makespan {} where the last task ends at {}", s_.makespan_s, last));
    return found_;
  }

 private:
  void say(std::string sentence) { found_.push_back(std::move(sentence)); }

  void task(TaskId t) {
    const Task& task = w_.tasks[t];
    double ready = task.release_s;
    for (const TaskId before : task.after) {
      ready = std::max(ready, s_.end_s[before]);
      if (s_.start_s[t] < s_.end_s[before] - slack_)
        say(fmt::format("'{}' starts at {} before '{}' ends at {}", task.name, s_.start_s[t],
                        w_.tasks[before].name, s_.end_s[before]));
    }
    if (s_.start_s[t] < task.release_s - slack_)
      say(fmt::format("'{}' starts before its release", task.name));
    if (std::abs(s_.ready_s[t] - ready) > slack_)
      say(fmt::format("'{}' is said to be ready at {}, and is at {}", task.name, s_.ready_s[t], ready));
    const double held = s_.end_s[t] - s_.start_s[t];
    const bool fixed = !task.work || task.work->amount == 0;
    if (fixed ? std::abs(held - task.duration_s) > slack_ : held < task.duration_s - slack_)
      say(fmt::format("'{}' lasts {} where it takes {}", task.name, held, task.duration_s));
    if (const auto cause = s_.cause[t]; cause && std::abs(s_.end_s[*cause] - s_.start_s[t]) > slack_)
      say(fmt::format("'{}' does not start at the end of its cause '{}'", task.name, w_.tasks[*cause].name));
  }

  double tolerance(ResourceId r) const { return 1e-6 * w_.resources[r].capacity; }

  // Held amounts, swept over time; ends come before starts.
  void exclusive(ResourceId r) {
    std::vector<std::pair<double, double>> changes;
    for (TaskId t = 0; t < w_.tasks.size(); ++t)
      for (const Need& need : w_.tasks[t].needs)
        if (need.resource == r && s_.end_s[t] > s_.start_s[t]) {
          changes.emplace_back(s_.start_s[t], need.amount);
          changes.emplace_back(s_.end_s[t], -need.amount);
        }
    std::sort(changes.begin(), changes.end());
    double held = 0;
    for (const auto& [time, change] : changes) {
      held += change;
      if (held > w_.resources[r].capacity + tolerance(r)) {
        say(fmt::format("'{}' carries {} of {} at {}", w_.resources[r].name, held, w_.resources[r].capacity,
                        time));
        return;
      }
    }
  }

  void shared(ResourceId r) {
    std::map<TaskId, double> done;
    std::set<double> times;
    std::vector<Slice> mine;
    for (const Slice& slice : s_.slices) {
      const auto& work = w_.tasks[slice.task].work;
      if (!work || work->resource != r) continue;
      mine.push_back(slice);
      done[slice.task] += slice.rate * (slice.end_s - slice.start_s);
      times.insert(slice.start_s);
      times.insert(slice.end_s);
      if (slice.start_s < s_.start_s[slice.task] + w_.tasks[slice.task].duration_s - slack_ ||
          slice.end_s > s_.end_s[slice.task] + slack_)
        say(fmt::format("'{}' is at '{}' outside of its own time", w_.tasks[slice.task].name,
                        w_.resources[r].name));
    }
    for (TaskId t = 0; t < w_.tasks.size(); ++t) {
      const auto& work = w_.tasks[t].work;
      if (work && work->resource == r &&
          std::abs(done[t] - work->amount) > 1e-6 * work->amount + slack_ * w_.resources[r].capacity)
        say(fmt::format("'{}' did {} of {} on '{}'", w_.tasks[t].name, done[t], work->amount,
                        w_.resources[r].name));
    }
    // Between two neighbouring times: those that are there have equal parts of all of the capacity.
    for (auto it = times.begin(); it != times.end() && std::next(it) != times.end(); ++it) {
      const double middle = (*it + *std::next(it)) / 2;
      std::vector<double> rates;
      for (const Slice& slice : mine)
        if (slice.start_s < middle && middle < slice.end_s) rates.push_back(slice.rate);
      for (const double rate : rates)
        if (std::abs(rate * static_cast<double>(rates.size()) - w_.resources[r].capacity) > tolerance(r))
          say(fmt::format("'{}' gives a task {} among {} at {}", w_.resources[r].name, rate, rates.size(),
                          middle));
    }
  }

  // At every time at which something ends, starts or becomes ready: what then waits must not be startable.
  void idling() {
    std::set<double> times(s_.end_s.begin(), s_.end_s.end());
    times.insert(s_.ready_s.begin(), s_.ready_s.end());
    for (const double now : times) {
      std::vector<double> free;
      for (const Resource& resource : w_.resources) free.push_back(resource.capacity);
      std::vector<std::tuple<double, double, TaskId>> waiting;
      for (TaskId t = 0; t < w_.tasks.size(); ++t) {
        if (s_.start_s[t] <= now && s_.end_s[t] > now)
          for (const Need& need : w_.tasks[t].needs) free[need.resource] -= need.amount;
        if (s_.ready_s[t] <= now && s_.start_s[t] > now)
          waiting.emplace_back(-w_.tasks[t].priority, s_.ready_s[t], t);
      }
      std::sort(waiting.begin(), waiting.end());
      std::set<ResourceId> held_back;
      for (const auto& [priority, ready, t] : waiting) {
        bool may = true;
        for (const Need& need : w_.tasks[t].needs)
          may = may && need.amount <= free[need.resource] && held_back.count(need.resource) == 0;
        if (may) {
          say(fmt::format("'{}' waits at {} although it could start", w_.tasks[t].name, now));
          return;
        }
        if (queue_ == Queue::in_order)
          for (const Need& need : w_.tasks[t].needs) held_back.insert(need.resource);
      }
    }
  }

  const Workload& w_;
  const Schedule& s_;
  const Queue queue_;
  const double slack_;
  std::vector<std::string> found_;
};

}  // namespace

std::vector<std::string> violations(const Workload& workload, const Schedule& schedule, Queue queue) {
  return Checker(workload, schedule, queue).run();
}

}  // namespace ballast::cost
