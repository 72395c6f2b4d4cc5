#include "ballast/cost/timeline.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <queue>
#include <set>
#include <tuple>

#include "ballast/base/errors.h"

namespace ballast::cost {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
// Amounts are sums of doubles: what is free after a task may miss its own amount by a rounding.
constexpr double kRounding = 1e-9;

class Simulation {
 public:
  Simulation(const Workload& workload, Queue queue) : workload_(workload), queue_(queue) {
    const std::size_t n = workload.tasks.size();
    schedule_.ready_s.assign(n, 0);
    schedule_.start_s.assign(n, 0);
    schedule_.end_s.assign(n, 0);
    schedule_.cause.resize(n);
    waits_for_.resize(n);
    then_.resize(n);
    kind_.resize(n);
    for (const Resource& resource : workload.resources) free_.push_back(resource.capacity);
    sharers_.resize(workload.resources.size());
    last_.assign(workload.resources.size(), 0);
    std::map<std::vector<std::pair<ResourceId, double>>, std::size_t> kinds;
    for (TaskId t = 0; t < n; ++t) {
      const Task& task = workload.tasks[t];
      waits_for_[t] = task.after.size();
      for (const TaskId before : task.after) then_[before].push_back(t);
      std::vector<std::pair<ResourceId, double>> needs;
      for (const Need& need : task.needs) needs.emplace_back(need.resource, need.amount);
      std::sort(needs.begin(), needs.end());
      kind_[t] = kinds.emplace(needs, kinds.size()).first->second;
    }
    waiting_.resize(kinds.size());
    for (TaskId t = 0; t < n; ++t)
      if (waits_for_[t] == 0) push(workload.tasks[t].release_s, Event::ready, t);
  }

  Schedule run() {
    while (!events_.empty() || any_sharers()) {
      const double now = std::min(events_.empty() ? kNever : std::get<0>(events_.top()), next_share_end());
      advance_shares(now);
      ended_now_.clear();
      // Everything that happens now, ends first; a task without duration may start and end here too.
      do {
        while (!events_.empty() && std::get<0>(events_.top()) <= now) {
          const auto [time, event, task] = events_.top();
          events_.pop();
          handle(event, task, now);
        }
        finish_shares(now);
        if (events_.empty() || std::get<0>(events_.top()) > now) start_what_fits(now);
      } while ((!events_.empty() && std::get<0>(events_.top()) <= now) || next_share_end() <= now);
    }
    for (const double end : schedule_.end_s) schedule_.makespan_s = std::max(schedule_.makespan_s, end);
    std::stable_sort(schedule_.slices.begin(), schedule_.slices.end(), [](const Slice& a, const Slice& b) {
      return std::tie(a.start_s, a.task) < std::tie(b.start_s, b.task);
    });
    return std::move(schedule_);
  }

 private:
  enum class Event { fixed_end, ready };  // in the order in which they are handled at one time

  void push(double time, Event event, TaskId task) { events_.emplace(time, event, task); }

  void handle(Event event, TaskId task, double now) {
    if (event == Event::ready) {
      schedule_.ready_s[task] = now;
      waiting_[kind_[task]].insert({-workload_.tasks[task].priority, now, task});
    } else if (const auto& work = workload_.tasks[task].work; work && work->amount > 0) {
      last_[work->resource] = now;  // advance_shares() was here already
      sharers_[work->resource].push_back({task, work->amount});
    } else {
      finish(task, now);
    }
  }

  void finish(TaskId task, double now) {
    schedule_.end_s[task] = now;
    ended_now_.push_back(task);
    for (const Need& need : workload_.tasks[task].needs) free_[need.resource] += need.amount;
    for (const TaskId next : then_[task]) {
      if (--waits_for_[next] > 0) continue;
      push(std::max(now, workload_.tasks[next].release_s), Event::ready, next);
    }
  }

  bool fits(TaskId task) const {
    return std::all_of(
        workload_.tasks[task].needs.begin(), workload_.tasks[task].needs.end(), [&](const Need& need) {
          return need.amount <=
                 free_[need.resource] + kRounding * workload_.resources[need.resource].capacity;
        });
  }

  // Tasks of one kind need the same, so only the first of each kind has to be looked at.
  void start_what_fits(double now) {
    std::vector<bool> passed(waiting_.size(), false), held_back(free_.size(), false);
    for (;;) {
      std::size_t best = waiting_.size();
      for (std::size_t k = 0; k < waiting_.size(); ++k) {
        if (!passed[k] && !waiting_[k].empty() &&
            (best == waiting_.size() || *waiting_[k].begin() < *waiting_[best].begin()))
          best = k;
      }
      if (best == waiting_.size()) return;
      const TaskId task = std::get<2>(*waiting_[best].begin());
      const auto& needs = workload_.tasks[task].needs;
      const bool behind =
          std::any_of(needs.begin(), needs.end(), [&](const Need& n) { return held_back[n.resource]; });
      if (behind || !fits(task)) {
        passed[best] = true;
        if (queue_ == Queue::in_order)
          for (const Need& need : needs) held_back[need.resource] = true;
        continue;
      }
      waiting_[best].erase(waiting_[best].begin());
      for (const Need& need : needs) free_[need.resource] -= need.amount;
      schedule_.start_s[task] = now;
      schedule_.cause[task] = cause_of(task, now);
      push(now + workload_.tasks[task].duration_s, Event::fixed_end, task);
    }
  }

  // The dependency that ended last, if it ended now; else a task that ended now and held what this one needs.
  std::optional<TaskId> cause_of(TaskId task, double now) const {
    std::optional<TaskId> cause;
    if (schedule_.ready_s[task] == now) {
      for (const TaskId before : workload_.tasks[task].after)
        if (schedule_.end_s[before] == now && (!cause || before < *cause)) cause = before;
      return cause;
    }
    const auto holds = [&](TaskId ended) {
      for (const Need& a : workload_.tasks[ended].needs)
        for (const Need& b : workload_.tasks[task].needs)
          if (a.resource == b.resource) return true;
      return false;
    };
    for (const TaskId ended : ended_now_)
      if (holds(ended)) return ended;
    if (!ended_now_.empty()) return ended_now_.front();  // it let the one start that held this one back
    return std::nullopt;
  }

  // ---- shared resources: remaining work falls at capacity / sharers
  // -----------------------------------------

  struct Sharer {
    TaskId task;
    double left;
  };

  bool any_sharers() const {
    return std::any_of(sharers_.begin(), sharers_.end(), [](const auto& s) { return !s.empty(); });
  }

  double rate_of(ResourceId r) const {
    return workload_.resources[r].capacity / static_cast<double>(sharers_[r].size());
  }

  double next_share_end() const {
    double next = kNever;
    for (ResourceId r = 0; r < sharers_.size(); ++r) {
      for (const Sharer& sharer : sharers_[r]) next = std::min(next, last_[r] + sharer.left / rate_of(r));
    }
    return next;
  }

  // Brings every shared resource to `now`. A task whose end this is has nothing left, whatever rounding says.
  void advance_shares(double now) {
    for (ResourceId r = 0; r < sharers_.size(); ++r) {
      if (sharers_[r].empty() || now <= last_[r]) continue;
      const double rate = rate_of(r);
      for (Sharer& sharer : sharers_[r]) {
        const bool ends = last_[r] + sharer.left / rate <= now;
        add_slice({sharer.task, last_[r], now, rate});
        sharer.left = ends ? 0 : sharer.left - rate * (now - last_[r]);
        if (sharer.left < 1e-12 * workload_.tasks[sharer.task].work->amount) sharer.left = 0;
      }
      last_[r] = now;
    }
  }

  // A task whose end is no later than now, to the last bit of time, is done.
  void finish_shares(double now) {
    for (ResourceId r = 0; r < sharers_.size(); ++r) {
      if (sharers_[r].empty()) continue;
      const double rate = rate_of(r);
      std::vector<TaskId> done;
      std::erase_if(sharers_[r], [&](const Sharer& sharer) {
        const bool ends = last_[r] + sharer.left / rate <= now;
        if (ends) done.push_back(sharer.task);
        return ends;
      });
      std::sort(done.begin(), done.end());
      for (const TaskId task : done) finish(task, now);
    }
  }

  void add_slice(const Slice& slice) {
    // A span at an unchanged rate goes on.
    const auto known = open_slice_.find(slice.task);
    if (known != open_slice_.end()) {
      Slice& before = schedule_.slices[known->second];
      if (before.rate == slice.rate && before.end_s == slice.start_s) {
        before.end_s = slice.end_s;
        return;
      }
    }
    open_slice_[slice.task] = schedule_.slices.size();
    schedule_.slices.push_back(slice);
  }

  const Workload& workload_;
  const Queue queue_;
  Schedule schedule_;
  std::vector<double> free_;
  std::vector<std::size_t> waits_for_, kind_;
  std::vector<std::vector<TaskId>> then_;
  std::vector<std::set<std::tuple<double, double, TaskId>>> waiting_;  // by kind: -priority, ready, id
  std::priority_queue<std::tuple<double, Event, TaskId>, std::vector<std::tuple<double, Event, TaskId>>,
                      std::greater<>>
      events_;
  std::vector<std::vector<Sharer>> sharers_;  // by resource
  std::vector<double> last_;                  // by resource: up to when its work was counted
  std::map<TaskId, std::size_t> open_slice_;
  std::vector<TaskId> ended_now_;
};

}  // namespace

Schedule simulate(const Workload& workload, Queue queue) {
  workload.check();
  return Simulation(workload, queue).run();
}

double Schedule::busy(const Workload& workload, ResourceId resource) const {
  double sum = 0;
  for (TaskId t = 0; t < workload.tasks.size(); ++t) {
    for (const Need& need : workload.tasks[t].needs)
      if (need.resource == resource) sum += need.amount * (end_s[t] - start_s[t]);
  }
  for (const Slice& slice : slices)
    if (workload.tasks[slice.task].work->resource == resource)
      sum += slice.rate * (slice.end_s - slice.start_s);
  return sum;
}

double Schedule::utilisation(const Workload& workload, ResourceId resource) const {
  return makespan_s > 0 ? busy(workload, resource) / (workload.resources[resource].capacity * makespan_s) : 0;
}

std::vector<TaskId> Schedule::critical_chain() const {
  std::vector<TaskId> chain;
  for (TaskId t = 0; t < end_s.size(); ++t)
    if (end_s[t] == makespan_s && chain.empty()) chain.push_back(t);
  while (!chain.empty() && cause[chain.back()]) chain.push_back(*cause[chain.back()]);
  std::reverse(chain.begin(), chain.end());
  return chain;
}

}  // namespace ballast::cost
