#include "ballast/cost/timeline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/cost/check.h"

namespace ballast::cost {
namespace {

constexpr std::uint64_t kSeed = 77;  // of every workload below

// The rules of timeline.h for whole-numbered times and exclusive resources, taken word by word: time goes on
// one by one, and at each time all waiting tasks are looked at in order until none can start.
std::vector<double> step_by_step(const Workload& w, Queue queue) {
  const std::size_t n = w.tasks.size();
  std::vector<double> start(n, -1), end(n, -1), ready(n, -1);
  for (double now = 0; std::count(end.begin(), end.end(), -1) > 0 || now < 1; ++now) {
    for (bool changed = true; changed;) {
      changed = false;
      for (std::size_t t = 0; t < n; ++t) {
        if (start[t] >= 0 && end[t] < 0 && start[t] + w.tasks[t].duration_s <= now)
          end[t] = now, changed = true;
      }
      for (std::size_t t = 0; t < n; ++t) {
        const bool free = std::all_of(w.tasks[t].after.begin(), w.tasks[t].after.end(),
                                      [&](TaskId before) { return end[before] >= 0; });
        if (ready[t] < 0 && free && w.tasks[t].release_s <= now) ready[t] = now, changed = true;
      }
      if (changed) continue;
      std::vector<std::size_t> waiting;
      for (std::size_t t = 0; t < n; ++t)
        if (ready[t] >= 0 && start[t] < 0) waiting.push_back(t);
      std::sort(waiting.begin(), waiting.end(), [&](std::size_t a, std::size_t b) {
        if (w.tasks[a].priority != w.tasks[b].priority) return w.tasks[a].priority > w.tasks[b].priority;
        return ready[a] != ready[b] ? ready[a] < ready[b] : a < b;
      });
      std::set<ResourceId> held_back;
      for (const std::size_t t : waiting) {
        bool fits = true;
        for (const Need& need : w.tasks[t].needs) {
          double used = need.amount;
          for (std::size_t o = 0; o < n; ++o)
            if (start[o] >= 0 && end[o] < 0)
              for (const Need& other : w.tasks[o].needs)
                used += other.resource == need.resource ? other.amount : 0;
          fits = fits && used <= w.resources[need.resource].capacity && held_back.count(need.resource) == 0;
        }
        if (fits) start[t] = now, changed = true;
        if (!fits && queue == Queue::in_order)
          for (const Need& need : w.tasks[t].needs) held_back.insert(need.resource);
      }
    }
  }
  return start;
}

// Whole numbers everywhere; a third of the tasks take no time, many share their release, priority and needs.
Workload random_workload(std::uint64_t stream, bool with_shared) {
  Random random(kSeed, stream);
  Workload w;
  const auto resources = 1 + random.below(3);
  for (std::uint64_t r = 0; r < resources; ++r)
    w.add_resource({.name = "r" + std::to_string(r), .capacity = 1.0 + static_cast<double>(random.below(4))});
  if (with_shared) w.add_resource({.name = "link", .capacity = 3, .shared = true});
  const auto tasks = 1 + random.below(14);
  for (std::uint64_t t = 0; t < tasks; ++t) {
    Task task{.name = "t" + std::to_string(t),
              .duration_s = static_cast<double>(random.below(3) * random.below(4))};
    task.priority = static_cast<double>(random.below(3));
    task.release_s = static_cast<double>(random.below(3) * random.below(3));
    for (ResourceId r = 0; r < resources; ++r) {
      if (random.below(2) == 0)
        task.needs.push_back({r, 1.0 + static_cast<double>(random.below(
                                           static_cast<std::uint64_t>(w.resources[r].capacity)))});
    }
    if (with_shared && random.below(2) == 0)
      task.work = Need{static_cast<ResourceId>(resources), random.uniform(0, 9)};
    for (TaskId before = 0; before < t; ++before)
      if (random.below(5) == 0) task.after.push_back(before);
    w.add_task(task);
  }
  return w;
}

TEST(Timeline, EqualsTheStepByStepRules) {
  for (std::uint64_t trial = 0; trial < 400; ++trial) {
    const Workload w = random_workload(trial, false);
    for (const Queue queue : {Queue::greedy, Queue::in_order}) {
      const Schedule s = simulate(w, queue);
      ASSERT_EQ(s.start_s, step_by_step(w, queue)) << "trial " << trial;
      ASSERT_EQ(violations(w, s, queue), std::vector<std::string>{}) << "trial " << trial;
    }
  }
}

TEST(Timeline, BoundsHoldAndTheCriticalChainExplainsTheEnd) {
  for (std::uint64_t trial = 1000; trial < 1300; ++trial) {
    const Workload w = random_workload(trial, trial % 2 == 0);
    const Schedule s = simulate(w);
    ASSERT_EQ(violations(w, s), std::vector<std::string>{}) << "trial " << trial;
    EXPECT_GE(s.makespan_s * (1 + 1e-12), w.critical_path_s());
    EXPECT_GE(s.makespan_s * (1 + 1e-12), w.resource_bound_s());
    const auto chain = s.critical_chain();
    if (chain.empty()) continue;
    EXPECT_EQ(s.end_s[chain.back()], s.makespan_s);
    EXPECT_EQ(s.start_s[chain.front()], w.tasks[chain.front()].release_s) << "trial " << trial;
    for (std::size_t i = 1; i < chain.size(); ++i) EXPECT_EQ(s.start_s[chain[i]], s.end_s[chain[i - 1]]);
  }
}

// List scheduling on m equal machines ends within (2 - 1/m) of the best schedule (Graham, 1966), and longest
// first within 4/3 - 1/(3m) (Graham, 1969). The best is found by trying every assignment.
TEST(Timeline, GrahamsBoundsHold) {
  Random random(kSeed, 5);
  for (int trial = 0; trial < 60; ++trial) {
    const int machines = 2 + static_cast<int>(random.below(2)), tasks = 7;
    Workload plain, longest_first;
    std::vector<double> durations;
    for (Workload* w : {&plain, &longest_first})
      w->add_resource({.name = "m", .capacity = static_cast<double>(machines)});
    for (int t = 0; t < tasks; ++t) {
      durations.push_back(1 + static_cast<double>(random.below(20)));
      plain.add_task({.name = "t", .duration_s = durations.back(), .needs = {{0, 1}}});
      longest_first.add_task(
          {.name = "t", .duration_s = durations.back(), .needs = {{0, 1}}, .priority = durations.back()});
    }
    double best = 1e300;
    const int assignments = static_cast<int>(std::pow(machines, tasks));
    for (int code = 0; code < assignments; ++code) {
      std::vector<double> load(static_cast<std::size_t>(machines), 0);
      for (int t = 0, rest = code; t < tasks; ++t, rest /= machines)
        load[static_cast<std::size_t>(rest % machines)] += durations[static_cast<std::size_t>(t)];
      best = std::min(best, *std::max_element(load.begin(), load.end()));
    }
    const double m = machines;
    EXPECT_GE(simulate(plain).makespan_s, best);
    EXPECT_LE(simulate(plain).makespan_s, (2 - 1 / m) * best + 1e-9);
    EXPECT_LE(simulate(longest_first).makespan_s, (4.0 / 3 - 1 / (3 * m)) * best + 1e-9);
  }
}

TEST(Timeline, SharesAreEqualByHand) {
  // Two transfers of 6 and 2 on a link of 2 a second: both at rate 1 until 2, then the long one alone
  // until 4.
  Workload w;
  const auto link = w.add_resource({.name = "link", .capacity = 2, .shared = true});
  w.add_task({.name = "long", .work = Need{link, 6}});
  w.add_task({.name = "short", .work = Need{link, 2}});
  // A third comes at 3 after a latency of 0.5 and shares until it is done.
  w.add_task({.name = "late", .duration_s = 0.5, .work = Need{link, 0.25}, .release_s = 3});
  const Schedule s = simulate(w);
  EXPECT_DOUBLE_EQ(s.end_s[1], 2);
  // At 3.5 the long one has 6 - 2 - 3 = 1 left; both at rate 1 until 3.75, then 0.75 at rate 2.
  EXPECT_DOUBLE_EQ(s.end_s[2], 3.75);
  EXPECT_DOUBLE_EQ(s.end_s[0], 4.125);
  EXPECT_DOUBLE_EQ(s.busy(w, link), 8.25);
  EXPECT_DOUBLE_EQ(s.utilisation(w, link), 1);
  EXPECT_EQ(violations(w, s), std::vector<std::string>{});
}

TEST(Timeline, InOrderKeepsThePlaceOfAWideTask) {
  Workload w;
  const auto cpu = w.add_resource({.name = "cpu", .capacity = 2});
  w.add_task({.name = "first", .duration_s = 10, .needs = {{cpu, 1}}});
  w.add_task({.name = "wide", .duration_s = 1, .needs = {{cpu, 2}}, .priority = 1, .release_s = 1});
  w.add_task({.name = "small", .duration_s = 1, .needs = {{cpu, 1}}, .release_s = 2});
  EXPECT_EQ(simulate(w, Queue::greedy).start_s, (std::vector<double>{0, 10, 2}));
  EXPECT_EQ(simulate(w, Queue::in_order).start_s, (std::vector<double>{0, 10, 11}));
}

TEST(Timeline, EndsForTinyAndEmptyWork) {
  Workload w;
  EXPECT_EQ(simulate(w).makespan_s, 0);
  const auto link = w.add_resource({.name = "link", .capacity = 1e12, .shared = true});
  const auto a =
      w.add_task({.name = "a", .duration_s = 1e6, .work = Need{link, 1e-9}});  // no bit of time at 1e6 s
  w.add_task({.name = "b", .work = Need{link, 0}, .after = {a}});
  w.add_task({.name = "c", .after = {a}});
  const Schedule s = simulate(w);
  EXPECT_EQ(s.makespan_s, 1e6);
  EXPECT_EQ(violations(w, s), std::vector<std::string>{});
}

// The checker must see what is wrong: each broken schedule is refused.
TEST(Check, SeesEveryKindOfFault) {
  Workload w;
  const auto cpu = w.add_resource({.name = "cpu", .capacity = 1});
  const auto link = w.add_resource({.name = "link", .capacity = 1, .shared = true});
  const auto a = w.add_task({.name = "a", .duration_s = 2, .needs = {{cpu, 1}}});
  const auto b = w.add_task({.name = "b", .duration_s = 3, .needs = {{cpu, 1}}, .after = {a}});
  const auto c = w.add_task({.name = "c", .work = Need{link, 4}});
  const Schedule good = simulate(w);
  ASSERT_EQ(violations(w, good), std::vector<std::string>{});
  const auto broken = [&](const char* word, auto change) {
    Schedule s = good;
    change(s);
    const auto found = violations(w, s);
    EXPECT_TRUE(
        std::any_of(found.begin(), found.end(),
                    [&](const std::string& sentence) { return sentence.find(word) != std::string::npos; }))
        << word << " among " << found.size();
  };
  broken("before", [&](Schedule& s) { s.start_s[b] = 1, s.end_s[b] = 4; });
  broken("carries", [&](Schedule& s) { s.start_s[b] = 1, s.end_s[b] = 4; });
  broken("lasts", [&](Schedule& s) { s.end_s[b] += 1; });
  broken("although", [&](Schedule& s) { s.start_s[b] += 1, s.end_s[b] += 1; });
  broken("makespan", [&](Schedule& s) { s.makespan_s += 1; });
  broken("did", [&](Schedule& s) { s.slices[0].end_s -= 1; });
  broken("gives", [&](Schedule& s) { s.slices[0].rate = 2, s.slices[0].end_s = 2; });
  broken("own time", [&](Schedule& s) { s.slices[0].start_s = -1; });
  broken("ready", [&](Schedule& s) { s.ready_s[b] = 0; });
  broken("cause", [&](Schedule& s) { s.cause[b] = c; });
  broken("number of tasks", [&](Schedule& s) { s.end_s.pop_back(); });
}

TEST(Workload, RefusesWhatCannotRun) {
  const auto refused = [](const char* word, auto build) {
    Workload w;
    w.add_resource({.name = "cpu", .capacity = 2});
    w.add_resource({.name = "link", .capacity = 1, .shared = true});
    build(w);
    try {
      simulate(w);
      FAIL() << word;
    } catch (const InvalidInput& error) {
      EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
    }
  };
  refused("needs 3 of 'cpu', which has 2", [](Workload& w) { w.add_task({.name = "t", .needs = {{0, 3}}}); });
  refused("needs resource 9", [](Workload& w) { w.add_task({.name = "t", .needs = {{9, 1}}}); });
  refused("shared (give work)", [](Workload& w) { w.add_task({.name = "t", .needs = {{1, 1}}}); });
  refused("exclusive (give a need)", [](Workload& w) { w.add_task({.name = "t", .work = Need{0, 1}}); });
  refused("duration of task 't'", [](Workload& w) { w.add_task({.name = "t", .duration_s = -1}); });
  refused("duration of task 't'", [](Workload& w) { w.add_task({.name = "t", .duration_s = std::nan("")}); });
  refused("twice", [](Workload& w) { w.add_task({.name = "t", .needs = {{0, 1}, {0, 1}}}); });
  refused("after task 7", [](Workload& w) { w.add_task({.name = "t", .after = {7}}); });
  refused("capacity", [](Workload& w) { w.resources[0].capacity = 0; });
  refused("circle: a -> b -> c -> a", [](Workload& w) {
    w.add_task({.name = "free"});
    w.add_task({.name = "a", .after = {3}});
    w.add_task({.name = "b", .after = {1, 0}});
    w.add_task({.name = "c", .after = {2}});
    w.add_task({.name = "behind", .after = {3}});
  });
}

}  // namespace
}  // namespace ballast::cost
