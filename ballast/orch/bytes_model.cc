#include "ballast/orch/bytes_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

namespace ballast::orch {
namespace {

constexpr double kUpHeader = 8, kItemHeader = 4, kDownHeader = 16, kClosingHeader = 12, kSlotBytes = 4;

/// A pile that stays on a machine: tasks by origin (level 1), or piles of the level below.
struct Pile {
  int machine = 0, level = 1;
  std::vector<std::pair<int, std::uint64_t>> tasks = {};
  std::vector<std::size_t> children = {};

  std::uint64_t count() const {
    std::uint64_t sum = 0;
    for (const auto& [origin, tasks_of] : tasks) sum += tasks_of;
    return sum;
  }
};

/// What one key has at one machine of the level that its sets have reached.
struct Set {
  std::vector<std::pair<int, std::uint64_t>> tasks = {};
  std::vector<std::vector<std::size_t>> metas = {};  ///< piles by level - 1
};

struct Route {
  std::vector<Pile> piles;
  Set root;
  std::vector<std::vector<std::pair<int, int>>> hops;  ///< per level: (from, to) with something to carry
};

std::uint64_t count_of(const std::vector<std::pair<int, std::uint64_t>>& tasks) {
  std::uint64_t sum = 0;
  for (const auto& [origin, count] : tasks) sum += count;
  return sum;
}

// Follows one key up the forest by the rules of phase 1; `carry(level, from, to, tasks, metas)` hears of
// every hop.
template <typename Carry>
Route follow(const KeyDemand& demand, const Forest& forest, const Limits& limits, Carry carry) {
  Route route;
  std::map<int, Set> at;
  for (const auto& [machine, count] : demand.by_machine) {
    if (machine == demand.owner) {
      route.root.tasks.emplace_back(machine, count);
      continue;
    }
    Set& set = at[machine];
    if (count > limits.leaf) {
      route.piles.push_back({machine, 1, {{machine, count}}, {}});
      set.metas = {{route.piles.size() - 1}};
    } else {
      set.tasks.emplace_back(machine, count);
    }
  }
  for (int level = 1; level <= forest.height(); ++level) {
    std::map<int, Set> next;
    for (auto& [machine, set] : at) {
      const int to = forest.next_hop(demand.owner, level, machine);
      std::uint64_t metas = 0;
      for (const auto& list : set.metas) metas += list.size();
      const std::uint64_t tasks = count_of(set.tasks);
      if (tasks + metas > 0) carry(level, machine, to, tasks, metas);
      Set& merged = next[to];
      merged.tasks.insert(merged.tasks.end(), set.tasks.begin(), set.tasks.end());
      if (merged.metas.size() < set.metas.size()) merged.metas.resize(set.metas.size());
      for (std::size_t j = 0; j < set.metas.size(); ++j)
        merged.metas[j].insert(merged.metas[j].end(), set.metas[j].begin(), set.metas[j].end());
    }
    at = std::move(next);
    if (level == forest.height()) break;
    for (auto& [machine, set] : at) {
      if (count_of(set.tasks) > limits.inner) {
        route.piles.push_back({machine, 1, std::move(set.tasks), {}});
        set.tasks.clear();
        if (set.metas.empty()) set.metas.resize(1);
        set.metas[0].push_back(route.piles.size() - 1);
      }
      if (!limits.direct) {
        std::vector<std::size_t> all;
        for (const auto& list : set.metas) all.insert(all.end(), list.begin(), list.end());
        if (all.empty()) continue;
        const std::size_t above = set.metas.size() + 1;
        route.piles.push_back({machine, static_cast<int>(above), {}, std::move(all)});
        set.metas.assign(above, {});
        set.metas[above - 1].push_back(route.piles.size() - 1);
        continue;
      }
      for (std::size_t j = 0; j < set.metas.size(); ++j) {
        if (set.metas[j].size() <= limits.metas) continue;
        route.piles.push_back({machine, static_cast<int>(j + 2), {}, std::move(set.metas[j])});
        set.metas[j].clear();
        if (set.metas.size() == j + 1) set.metas.emplace_back();
        set.metas[j + 1].push_back(route.piles.size() - 1);
      }
    }
  }
  for (auto& [machine, set] : at) {
    route.root.tasks.insert(route.root.tasks.end(), set.tasks.begin(), set.tasks.end());
    if (route.root.metas.size() < set.metas.size()) route.root.metas.resize(set.metas.size());
    for (std::size_t j = 0; j < set.metas.size(); ++j)
      route.root.metas[j].insert(route.root.metas[j].end(), set.metas[j].begin(), set.metas[j].end());
  }
  return route;
}

}  // namespace

void Flows::send(std::size_t superstep, int from, int to, double bytes, double header) {
  if (from == to) return;
  const auto n = static_cast<std::size_t>(machines_), f = static_cast<std::size_t>(from),
             t = static_cast<std::size_t>(to);
  while (steps_.size() <= superstep)
    steps_.push_back({std::vector<double>(n, 0), std::vector<double>(n, 0), std::vector<bool>(n * n, false)});
  Step& step = steps_[superstep];
  if (!step.message[f * n + t]) {
    step.message[f * n + t] = true;
    bytes += header;
  }
  step.out[f] += bytes;
  step.in[t] += bytes;
}

void Flows::spread(std::size_t superstep, double bytes) {
  const auto n = static_cast<std::size_t>(machines_);
  while (steps_.size() <= superstep)
    steps_.push_back({std::vector<double>(n, 0), std::vector<double>(n, 0), std::vector<bool>(n * n, false)});
  for (std::size_t m = 0; m < n; ++m) {
    steps_[superstep].out[m] += bytes;
    steps_[superstep].in[m] += bytes;
  }
}

std::vector<double> Flows::busiest_by_superstep() const {
  std::vector<double> busiest;
  for (const auto& step : steps_) {
    double most = 0;
    for (std::size_t m = 0; m < step.out.size(); ++m) most = std::max({most, step.out[m], step.in[m]});
    busiest.push_back(most);
  }
  return busiest;
}

double Flows::total_bytes() const {
  double total = 0;
  for (const auto& step : steps_) total += std::accumulate(step.out.begin(), step.out.end(), 0.0);
  return total;
}

std::vector<double> Flows::busy() const {
  std::vector<double> busy(static_cast<std::size_t>(machines_), 0);
  for (const auto& step : steps_) {
    for (std::size_t m = 0; m < busy.size(); ++m) busy[m] += std::max(step.out[m], step.in[m]);
  }
  return busy;
}

double Flows::busiest() const {
  const auto all = busy();
  return *std::max_element(all.begin(), all.end());
}

Flows model_push(int machines, const std::vector<KeyDemand>& demands, const RecordSizes& sizes) {
  Flows flows(machines);
  for (const auto& demand : demands) {
    for (const auto& [machine, count] : demand.by_machine) {
      const auto tasks = static_cast<double>(count);
      flows.send(0, machine, demand.owner, tasks * sizes.task, 4);
      if (sizes.reply > 0) flows.send(1, demand.owner, machine, tasks * sizes.reply, kClosingHeader);
    }
  }
  return flows;
}

Flows model_pull_dedup(int machines, const std::vector<KeyDemand>& demands, const RecordSizes& sizes) {
  Flows flows(machines);
  for (const auto& demand : demands) {
    for (const auto& [machine, count] : demand.by_machine) {
      flows.send(0, machine, demand.owner, sizes.meta - 8, 4);
      flows.send(1, demand.owner, machine, sizes.item, kItemHeader);
    }
  }
  return flows;
}

Flows model_td_orch(int machines, const std::vector<KeyDemand>& demands, const RecordSizes& sizes,
                    const Forest& forest, const Limits& limits) {
  Flows flows(machines);
  const auto height = static_cast<std::size_t>(forest.height());
  const double item = sizes.item + (height > 1 ? kSlotBytes : 0);
  std::vector<Route> routes;
  std::size_t levels =
      height == 1 ? 1 : 0;  // L, of all keys; a flat stage has its superstep for items in any case
  for (const auto& demand : demands) {
    routes.push_back(follow(
        demand, forest, limits, [&](int level, int from, int to, std::uint64_t tasks, std::uint64_t metas) {
          flows.send(static_cast<std::size_t>(level - 1), from, to,
                     static_cast<double>(tasks) * sizes.task + static_cast<double>(metas) * sizes.meta,
                     kUpHeader);
        }));
    for (std::size_t j = 0; j < routes.back().root.metas.size(); ++j) {
      if (!routes.back().root.metas[j].empty()) levels = std::max(levels, j + 1);
    }
  }
  // Replies of tasks that ran before superstep `depth` of phase 2 ride with it, or close the stage.
  const auto answer = [&](std::size_t depth, int at,
                          const std::vector<std::pair<int, std::uint64_t>>& tasks) {
    if (sizes.reply == 0) return;
    const std::size_t step = limits.fuse ? std::min(depth, levels) : levels;
    for (const auto& [origin, count] : tasks)
      flows.send(height + step, at, origin, static_cast<double>(count) * sizes.reply,
                 step < levels ? kDownHeader : kClosingHeader);
  };
  for (std::size_t k = 0; k < demands.size(); ++k) {
    const Route& route = routes[k];
    answer(0, demands[k].owner, route.root.tasks);
    // The item, one superstep a level below the owner.
    std::vector<std::pair<int, std::size_t>> sends;
    for (const auto& level : route.root.metas) {
      for (std::size_t pile : level) sends.emplace_back(demands[k].owner, pile);
    }
    for (std::size_t depth = 0; !sends.empty(); ++depth) {
      std::vector<std::pair<int, std::size_t>> next;
      for (const auto& [from, index] : sends) {
        const Pile& pile = route.piles[index];
        flows.send(height + depth, from, pile.machine, item, kDownHeader);
        answer(depth + 1, pile.machine, pile.tasks);
        for (std::size_t child : pile.children) next.emplace_back(pile.machine, child);
      }
      sends = std::move(next);
    }
  }
  return flows;
}

std::vector<std::string> explain_route(const KeyDemand& demand, const Forest& forest, const Limits& limits) {
  std::vector<std::string> lines;
  const auto plural = [](std::uint64_t n, const char* what) {
    return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
  };
  lines.push_back(fmt::format("Machine {} owns the key; {} on {} ask for it.", demand.owner,
                              plural(count_of(demand.by_machine), "task"),
                              plural(demand.by_machine.size(), "machine")));
  for (const auto& [machine, count] : demand.by_machine) {
    if (machine == demand.owner) {
      lines.push_back(
          fmt::format("Machine {}: {} lie beside the item and run there.", machine, plural(count, "task")));
    } else if (count > limits.leaf) {
      lines.push_back(
          fmt::format("Machine {}: {}, more than {}: parked; one meta-task goes up, the item will come.",
                      machine, plural(count, "task"), limits.leaf));
    } else {
      lines.push_back(fmt::format("Machine {}: {}, at most {}: {} up.", machine, plural(count, "task"),
                                  limits.leaf, count == 1 ? "it goes" : "they go"));
    }
  }
  const std::size_t leaves = static_cast<std::size_t>(
      std::count_if(demand.by_machine.begin(), demand.by_machine.end(),
                    [&](const auto& d) { return d.first != demand.owner && d.second > limits.leaf; }));
  const Route route = follow(
      demand, forest, limits, [&](int level, int from, int to, std::uint64_t tasks, std::uint64_t metas) {
        if (forest.height() == 1 && from != to) return;
        lines.push_back(fmt::format("Hop {}: machine {} hands {} and {} to machine {}{}.", level, from,
                                    plural(tasks, "task"), plural(metas, "meta-task"), to,
                                    from == to ? " (itself)" : ""));
      });
  for (std::size_t i = leaves; i < route.piles.size(); ++i) {
    const Pile& pile = route.piles[i];
    lines.push_back(
        pile.level == 1
            ? fmt::format("Transit machine {}: {} of one key is too much to carry on: parked there.",
                          pile.machine, plural(pile.count(), "task"))
            : fmt::format("Transit machine {}: {} of level {} are parked under one of level {}.",
                          pile.machine, plural(pile.children.size(), "meta-task"), pile.level - 1,
                          pile.level));
  }
  std::uint64_t sends = 0;
  for (const auto& level : route.root.metas) sends += level.size();
  lines.push_back(fmt::format("Owner {}: runs {}, sends the item to {}; they run the rest.", demand.owner,
                              plural(count_of(route.root.tasks), "task"), plural(sends, "slot")));
  return lines;
}

std::string choose_fanout(int machines, const std::vector<std::pair<int, std::uint64_t>>& hot_owner_and_tasks,
                          std::uint64_t other_tasks, const RecordSizes& sizes, const Options& options) {
  std::vector<KeyDemand> demands;
  const auto p = static_cast<std::uint64_t>(machines);
  for (const auto& [owner, tasks] : hot_owner_and_tasks) {
    KeyDemand demand{.owner = owner, .by_machine = {}};
    for (std::uint64_t m = 0; m < p; ++m) {
      const std::uint64_t share = tasks * (m + 1) / p - tasks * m / p;
      if (share > 0) demand.by_machine.emplace_back(static_cast<int>(m), share);
    }
    demands.push_back(std::move(demand));
  }
  std::vector<std::string> candidates{"flat"};
  for (int fanout : {static_cast<int>(std::ceil(std::sqrt(machines))), 4, 2}) {
    const std::string word = std::to_string(fanout);
    if (fanout >= 2 && fanout < machines &&
        std::find(candidates.begin(), candidates.end(), word) == candidates.end())
      candidates.push_back(word);
  }
  std::string best = "flat";
  double least = INFINITY;
  for (const auto& candidate : candidates) {
    Options tried = options;
    tried.fanout = candidate;
    const Forest forest = make_forest(tried, machines);
    double others = static_cast<double>(other_tasks) / machines * sizes.reply * (1 - 1.0 / machines);
    double width = 1;
    for (int level = 1; level <= forest.height(); ++level) {
      const double children = std::min<double>(machines, static_cast<double>(forest.width(level))) / width;
      others += static_cast<double>(other_tasks) / machines * sizes.task * (1 - 1 / children);
      width *= children;
    }
    const double busiest =
        others + model_td_orch(machines, demands, sizes, forest, make_limits(tried, sizes, forest)).busiest();
    if (busiest < least * 0.999) {
      least = busiest;
      best = candidate;
    }
  }
  return best;
}

}  // namespace ballast::orch
