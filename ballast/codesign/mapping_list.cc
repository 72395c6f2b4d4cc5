#include "ballast/codesign/mapping_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/codesign/mapping_parts.h"
#include "ballast/codesign/schedule.h"

namespace ballast::codesign {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

// The one varying input of each operator; refuses networks that are no chain.
std::vector<TensorId> chain_inputs(const Graph& graph) {
  std::vector<TensorId> inputs;
  TensorId last = graph.inputs.at(0);
  for (const auto& node : graph.nodes) {
    std::vector<TensorId> varying;
    for (TensorId t : node.inputs) {
      if (!graph.tensors[static_cast<std::size_t>(t)].constant &&
          std::find(varying.begin(), varying.end(), t) == varying.end())
        varying.push_back(t);
    }
    if (varying.size() != 1 || varying[0] != last || node.outputs.size() != 1) {
      throw InvalidInput(
          fmt::format("--method dp takes chains only, and at operator '{}' this network is none; accepted: "
                      "cut, ilp or heft",
                      node.name));
    }
    inputs.push_back(last);
    last = node.outputs[0];
  }
  return inputs;
}

// dp on any additive value of a cost.
template <typename Value>
Mapping chain_mapping(const Graph& graph, const System& system, const Value& value) {
  const auto inputs = chain_inputs(graph);
  const std::size_t n = graph.nodes.size();
  const double in_store = share_in_store(graph, system, Mapping(n));
  const std::array<Device, 2> devices{Device::npu, Device::cim};
  std::vector<std::array<double, 2>> least(n);
  std::vector<std::array<int, 2>> from(n);
  std::array<double, 2> cycles_before{0, 0};
  for (std::size_t i = 0; i < n; ++i) {
    std::array<double, 2> cycles{0, 0};
    for (std::size_t d = 0; d < 2; ++d) {
      least[i][d] = kNever;
      from[i][d] = 0;
      if (!eligible(graph.nodes[i], devices[d], system)) continue;
      const Cost own = cost_on(graph.nodes[i], devices[d], system, in_store);
      cycles[d] = own.cycles;
      for (std::size_t e = 0; e < 2; ++e) {
        // The network's input lies with the NPU.
        const double before = i > 0 ? least[i - 1][e] : e == 0 ? 0 : kNever;
        const std::int64_t bytes = graph.tensors[static_cast<std::size_t>(inputs[i])].elements();
        const double moved = e == d ? 0 : value(transfer_cost(bytes, system, cycles_before[e]));
        const double total = before + moved + value(own);
        if (total < least[i][d]) {
          least[i][d] = total;
          from[i][d] = static_cast<int>(e);
        }
      }
    }
    cycles_before = cycles;
  }
  Mapping mapping(n);
  std::size_t d = least[n - 1][0] <= least[n - 1][1] ? 0 : 1;
  for (std::size_t i = n; i-- > 0;) {
    mapping[i].device = devices[d];
    d = static_cast<std::size_t>(from[i][d]);
  }
  return mapping;
}

/// What runs when on one device, for insertion into gaps.
struct Lane {
  std::vector<std::pair<double, double>> busy;  // by start

  double earliest(double ready, double duration) const {
    double at = ready;
    for (const auto& [start, end] : busy) {
      if (at + duration <= start) break;
      at = std::max(at, end);
    }
    return at;
  }
  void take(double start, double duration) {
    busy.insert(std::upper_bound(busy.begin(), busy.end(), std::pair(start, start + duration)),
                {start, start + duration});
  }
};

}  // namespace

Mapping dp_mapping(const Graph& graph, const System& system, Objective objective) {
  return chain_mapping(graph, system,
                       [&](const Cost& cost) { return objective_of(cost, objective, system); });
}

std::vector<Run> dp_hull(const Graph& graph, const System& system, int points) {
  std::vector<Run> hull;
  for (int p = 0; p < points; ++p) {
    const double lambda = p == 0 ? 0 : std::pow(10.0, -2 + 6.0 * p / points);  // cycles a microjoule
    const Mapping mapping = chain_mapping(graph, system, [&](const Cost& cost) {
      return cost.cycles + lambda * objective_of(cost, Objective::energy, system);
    });
    const Run run = evaluate(graph, system, mapping);
    if (hull.empty() || run.cycles != hull.back().cycles) hull.push_back(run);
  }
  return hull;
}

Mapping random_mapping(const Graph& graph, const System& system, std::uint64_t seed) {
  Random random(seed, 0x6d6170u);
  Mapping mapping(graph.nodes.size());
  for (std::size_t n = 0; n < mapping.size(); ++n) {
    if (eligible(graph.nodes[n], Device::cim, system) && random.below(2) == 0)
      mapping[n].device = Device::cim;
  }
  return mapping;
}

Mapping heft_mapping(const Graph& graph, const System& system, int trials) {
  const std::size_t n = graph.nodes.size();
  Mapping mapping(n);
  if (system.cim.count == 0) return mapping;
  const double in_store = share_in_store(graph, system, mapping);
  const std::array<Device, 2> devices{Device::npu, Device::cim};
  std::vector<std::array<double, 2>> cycles(n, {kNever, kNever});
  std::vector<double> moved(n), rank(n, 0);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t d = 0; d < 2; ++d) {
      if (eligible(graph.nodes[i], devices[d], system))
        cycles[i][d] = cost_on(graph.nodes[i], devices[d], system, in_store).cycles;
    }
    moved[i] = transfer_cost(graph.nodes[i].out_bytes, system, std::min(cycles[i][0], cycles[i][1])).cycles;
  }
  const auto before = graph.predecessors();
  for (std::size_t i = n; i-- > 0;) {
    rank[i] += cycles[i][1] < kNever ? (cycles[i][0] + cycles[i][1]) / 2 : cycles[i][0];
    for (int p : before[i]) {
      auto& up = rank[static_cast<std::size_t>(p)];
      up = std::max(up, moved[static_cast<std::size_t>(p)] / 2 + rank[i]);
    }
  }
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), 0u);
  // Ties keep the order of the network, so predecessors come first even where ranks are equal.
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return rank[a] > rank[b]; });
  std::array<Lane, 2> lanes;
  std::vector<double> end(n, 0);
  for (std::size_t i : order) {
    double best_end = kNever, best_start = 0;
    std::size_t best = 0;
    for (std::size_t d = 0; d < 2; ++d) {
      if (cycles[i][d] == kNever) continue;
      double ready = 0;
      for (int p : before[i]) {
        const auto q = static_cast<std::size_t>(p);
        ready = std::max(ready, end[q] + (mapping[q].device == devices[d] ? 0 : moved[q]));
      }
      const double start = lanes[d].earliest(ready, cycles[i][d]);
      if (start + cycles[i][d] < best_end) {
        best_end = start + cycles[i][d];
        best_start = start;
        best = d;
      }
    }
    mapping[i].device = devices[best];
    lanes[best].take(best_start, cycles[i][best]);
    end[i] = best_end;
  }
  // Hill climbing on the schedule itself.
  const auto makespan = [&](const Mapping& m) { return schedule_network(graph, system, m, true).ms(); };
  double least = makespan(mapping);
  const Mapping npu(n);
  if (const double alone = makespan(npu); alone < least) {
    least = alone;
    mapping = npu;
  }
  for (bool gained = true; gained && trials > 0;) {
    gained = false;
    for (std::size_t i = 0; i < n && trials > 0; ++i) {
      if (!eligible(graph.nodes[i], Device::cim, system)) continue;
      const Placement old = mapping[i];
      Placement best = old;
      for (const Placement& trial :
           {Placement{}, Placement{.device = Device::cim}, Placement{.npu_share = 0.5}}) {
        if (trial.device == old.device && trial.npu_share == old.npu_share) continue;
        if (trial.npu_share < 1 && (!graph.nodes[i].static_dense() || graph.nodes[i].k < 2)) continue;
        mapping[i] = trial;
        --trials;
        if (const double ms = makespan(mapping); ms < least * (1 - 1e-9)) {
          least = ms;
          best = trial;
          gained = true;
        }
      }
      mapping[i] = best;
    }
  }
  return mapping;
}

}  // namespace ballast::codesign
