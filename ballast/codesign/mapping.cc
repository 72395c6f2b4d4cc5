#include "ballast/codesign/mapping.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/boykov_kolmogorov_max_flow.hpp>
#include <cmath>
#include <set>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/codesign/mapping_parts.h"

namespace ballast::codesign {
namespace {

// The part of `node` with `k` of its output channels.
Node slice_channels(const Node& node, std::int64_t k) {
  Node part = node;
  part.k = k;
  part.macs = node.macs / node.k * k;
  part.weight_bytes = node.weight_bytes / node.k * k;
  part.out_bytes = node.out_bytes / node.k * k;
  return part;
}

}  // namespace

double share_in_store(const Graph& graph, const System& system, const Mapping& mapping) {
  std::int64_t streamed = 0;
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    if (!mapping[n].resident) streamed += graph.nodes[n].weight_bytes;
  }
  return streamed == 0
             ? 1.0
             : std::min(1.0, static_cast<double>(system.weights.bytes) / static_cast<double>(streamed));
}

bool is_split(const Placement& placement) {
  return placement.npu_share > 0 && placement.npu_share < 1;
}

Cost node_cost(const Node& node, const System& system, const Placement& placement, double in_store) {
  if (!is_split(placement)) return cost_on(node, placement.device, system, in_store, placement.resident);
  const std::int64_t on_npu = std::clamp<std::int64_t>(
      static_cast<std::int64_t>(std::lround(placement.npu_share * static_cast<double>(node.k))), 1,
      node.k - 1);
  const Node npu_part = slice_channels(node, on_npu), cim_part = slice_channels(node, node.k - on_npu);
  const Cost npu = cost_on(npu_part, Device::npu, system, in_store);
  const Cost cim = cost_on(cim_part, Device::cim, system, in_store, placement.resident);
  // Both parts read the same inputs; the macros' outputs come back to the NPU's memory.
  const Cost back = transfer_cost(cim_part.out_bytes, system, cim.cycles);
  Cost both = npu.cycles > cim.cycles ? npu : cim;
  both.cycles = std::max(npu.cycles, cim.cycles) + back.cycles;
  both.energy = npu.energy;
  both.energy += cim.energy;
  both.energy += back.energy;
  both.utilisation = 0;
  return both;
}

double objective_of(const Cost& cost, Objective objective, const System& system) {
  const double static_uj = system.static_mw() * system.milliseconds(cost.cycles);
  return objective == Objective::latency ? cost.cycles : cost.energy.total_uj() + static_uj;
}

double value_of(const Run& run, Objective objective) {
  return objective == Objective::latency ? run.cycles : run.energy.total_uj();
}

namespace {

// Which dense operators keep their weights in the cells: most reload cycles saved for each tile, until the
// banks are full.
void choose_residents(const Graph& graph, const System& system, Mapping& mapping) {
  std::vector<std::pair<double, std::size_t>> candidates;
  const double in_store = share_in_store(graph, system, mapping);
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    mapping[n].resident = false;
    if (mapping[n].device != Device::cim || is_split(mapping[n])) continue;
    const double saved = cost_on(graph.nodes[n], Device::cim, system, in_store, false).cycles -
                         cost_on(graph.nodes[n], Device::cim, system, in_store, true).cycles;
    const CimPlan plan = plan_cim(graph.nodes[n], system.cim, true);
    if (saved > 0) candidates.emplace_back(saved / static_cast<double>(plan.tiles * plan.replicas), n);
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::int64_t left = system.cim.count * system.cim.bank_depth;
  for (const auto& [gain, n] : candidates) {
    const CimPlan plan = plan_cim(graph.nodes[n], system.cim, true);
    if (plan.tiles * plan.replicas <= left) {
      left -= plan.tiles * plan.replicas;
      mapping[n].resident = true;
    }
  }
}

// The exact placement for schema `seq` by a minimum cut: source side NPU, sink side CIM. A tensor that is
// read on both sides pays its transfer once, through one auxiliary vertex for each direction.
Mapping cut_mapping(const Graph& graph, const System& system, Objective objective, const Mapping& basis) {
  using Traits = boost::adjacency_list_traits<boost::vecS, boost::vecS, boost::directedS>;
  using FlowGraph = boost::adjacency_list<
      boost::vecS, boost::vecS, boost::directedS,
      boost::property<boost::vertex_color_t, boost::default_color_type,
                      boost::property<boost::vertex_distance_t, long,
                                      boost::property<boost::vertex_predecessor_t, Traits::edge_descriptor>>>,
      boost::property<boost::edge_capacity_t, double,
                      boost::property<boost::edge_residual_capacity_t, double,
                                      boost::property<boost::edge_reverse_t, Traits::edge_descriptor>>>>;
  const std::size_t n = graph.nodes.size();
  FlowGraph flow(n + 2);
  const auto source = static_cast<Traits::vertex_descriptor>(n),
             sink = static_cast<Traits::vertex_descriptor>(n + 1);
  auto capacity = boost::get(boost::edge_capacity, flow);
  auto reverse = boost::get(boost::edge_reverse, flow);
  const auto add = [&](Traits::vertex_descriptor from, Traits::vertex_descriptor to, double value) {
    const auto forth = boost::add_edge(from, to, flow).first, back = boost::add_edge(to, from, flow).first;
    capacity[forth] = value;
    capacity[back] = 0;
    reverse[forth] = back;
    reverse[back] = forth;
  };
  constexpr double kNever = 1e18;
  const double in_store = share_in_store(graph, system, basis);
  for (std::size_t i = 0; i < n; ++i) {
    const Node& node = graph.nodes[i];
    const double npu = objective_of(cost_on(node, Device::npu, system, in_store), objective, system);
    const double cim =
        eligible(node, Device::cim, system)
            ? objective_of(cost_on(node, Device::cim, system, in_store, basis[i].resident), objective, system)
            : kNever;
    add(source, i, cim);  // cut when i is on the CIM side
    add(i, sink, npu);    // cut when i is on the NPU side
  }
  // A network input lies in the NPU's memory.
  for (std::size_t t = 0; t < graph.tensors.size(); ++t) {
    if (graph.tensors[t].constant) continue;
    const auto readers = graph.consumers(static_cast<TensorId>(t));
    if (readers.empty()) continue;
    const int from = graph.producer(static_cast<TensorId>(t));
    // What the transfer adds depends on how long its producer works, and so on the producer's device.
    const auto moved_from = [&](Device device) {
      const bool known = from >= 0 && eligible(graph.nodes[static_cast<std::size_t>(from)], device, system);
      const auto& placed = from >= 0 ? basis[static_cast<std::size_t>(from)] : Placement{};
      const double overlap = known ? cost_on(graph.nodes[static_cast<std::size_t>(from)], device, system,
                                             in_store, device == Device::cim && placed.resident)
                                         .cycles
                                   : 0;
      return objective_of(transfer_cost(graph.tensors[t].elements(), system, overlap), objective, system);
    };
    const auto producer = from >= 0 ? static_cast<Traits::vertex_descriptor>(from) : source;
    const auto to_cim = boost::add_vertex(flow), to_npu = boost::add_vertex(flow);
    add(producer, to_cim, moved_from(Device::npu));  // producer on the NPU, some reader on the CIM
    add(to_npu, producer, moved_from(Device::cim));  // producer on the CIM, some reader on the NPU
    for (int reader : readers) {
      add(to_cim, static_cast<Traits::vertex_descriptor>(reader), kNever);
      add(static_cast<Traits::vertex_descriptor>(reader), to_npu, kNever);
    }
  }
  boost::boykov_kolmogorov_max_flow(flow, source, sink);
  const auto colour = boost::get(boost::vertex_color, flow);
  Mapping mapping = basis;
  const auto source_colour = boost::get(colour, source);
  for (std::size_t i = 0; i < n; ++i) {
    const bool on_npu = boost::get(colour, static_cast<Traits::vertex_descriptor>(i)) == source_colour;
    mapping[i].device = on_npu || !eligible(graph.nodes[i], Device::cim, system) ? Device::npu : Device::cim;
    if (mapping[i].device == Device::npu) mapping[i].resident = false;
  }
  return mapping;
}

Mapping brute_mapping(const Graph& graph, const System& system, Objective objective) {
  std::vector<std::size_t> free;
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    if (eligible(graph.nodes[n], Device::cim, system)) free.push_back(n);
  }
  if (free.size() > 16) {
    throw InvalidInput(fmt::format(
        "--method brute tries every placement: {} operators may move; accepted: at most 16", free.size()));
  }
  Mapping best(graph.nodes.size());
  double least = value_of(evaluate(graph, system, best), objective);
  for (std::uint32_t bits = 1; bits < (1u << free.size()); ++bits) {
    Mapping trial(graph.nodes.size());
    for (std::size_t i = 0; i < free.size(); ++i)
      trial[free[i]].device = (bits >> i & 1u) != 0 ? Device::cim : Device::npu;
    const double value = value_of(evaluate(graph, system, trial), objective);
    if (value < least) {
      least = value;
      best = trial;
    }
  }
  return best;
}

// Divides dense operators between the devices where that lowers the total; one pass in topological order.
void add_splits(const Graph& graph, const System& system, Objective objective, Mapping& mapping) {
  double least = value_of(evaluate(graph, system, mapping), objective);
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    if (!eligible(graph.nodes[n], Device::cim, system) || !graph.nodes[n].static_dense() ||
        graph.nodes[n].k < 2)
      continue;
    const Placement before = mapping[n];
    Placement best = before;
    for (int eighth = 1; eighth < 8; ++eighth) {
      mapping[n] = {.device = Device::npu, .npu_share = eighth / 8.0, .resident = false};
      const double value = value_of(evaluate(graph, system, mapping), objective);
      if (value < least) {
        least = value;
        best = mapping[n];
      }
    }
    mapping[n] = best;
  }
}

}  // namespace

std::vector<std::string> method_names() {
  return {"npu", "cim", "rule", "cut", "brute"};
}

Method method_from_string(const std::string& word) {
  const auto names = method_names();
  cli::require_one_of("--method", word, names);
  return static_cast<Method>(std::find(names.begin(), names.end(), word) - names.begin());
}

Run evaluate(const Graph& graph, const System& system, const Mapping& mapping) {
  BALLAST_CHECK(mapping.size() == graph.nodes.size());
  Run run;
  const double in_store = share_in_store(graph, system, mapping);
  // Where each tensor lies: bit 0 the NPU's side, bit 1 the macros' side.
  std::vector<unsigned> lies(graph.tensors.size(), 1);
  std::vector<double> producing(graph.tensors.size(),
                                0);  // cycles of the producer, under which a transfer hides
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    NodeRun& out = run.nodes.emplace_back();
    const unsigned needed = is_split(mapping[n]) ? 3u : mapping[n].device == Device::npu ? 1u : 2u;
    std::set<TensorId> seen;
    for (TensorId input : node.inputs) {
      const auto t = static_cast<std::size_t>(input);
      if (graph.tensors[t].constant || !seen.insert(input).second || (lies[t] & needed) == needed) continue;
      const std::int64_t bytes = graph.tensors[t].elements();
      const Cost moved = transfer_cost(bytes, system, producing[t]);
      out.transfer_cycles += moved.cycles;
      run.energy += moved.energy;
      run.transferred_bytes += bytes;
      lies[t] |= needed;
    }
    out.cost = node_cost(node, system, mapping[n], in_store);
    run.energy += out.cost.energy;
    run.cycles += out.cost.cycles + out.transfer_cycles;
    (needed == 2u ? run.cim_busy_cycles : run.npu_busy_cycles) += out.cost.cycles;
    for (TensorId output : node.outputs) {
      lies[static_cast<std::size_t>(output)] = needed == 3u ? 1u : needed;
      producing[static_cast<std::size_t>(output)] = out.cost.cycles;
    }
  }
  run.ms = system.milliseconds(run.cycles);
  run.energy.static_uj = system.static_mw() * run.ms;
  return run;
}

Mapping map_network(const Graph& graph, const System& system, const MapOptions& options) {
  Mapping mapping(graph.nodes.size());
  if (options.method == Method::npu || system.cim.count == 0) return mapping;
  if (options.method == Method::brute) return brute_mapping(graph, system, options.objective);
  if (options.method == Method::cim || options.method == Method::rule) {
    for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
      if (!eligible(graph.nodes[n], Device::cim, system)) continue;
      const bool better = cost_on(graph.nodes[n], Device::cim, system, 1).cycles <
                          cost_on(graph.nodes[n], Device::npu, system, 1).cycles;
      if (options.method == Method::cim || better) mapping[n].device = Device::cim;
    }
    if (options.residents) choose_residents(graph, system, mapping);
    return mapping;
  }
  // Residency changes what an operator costs, so placement and residency take turns; the best of all is kept.
  Mapping best = mapping;
  double least = value_of(evaluate(graph, system, best), options.objective);
  for (int round = 0; round < 5; ++round) {
    Mapping trial = cut_mapping(graph, system, options.objective, mapping);
    if (options.residents) choose_residents(graph, system, trial);
    const double value = value_of(evaluate(graph, system, trial), options.objective);
    if (value < least) {
      least = value;
      best = trial;
    }
    mapping = trial;
  }
  if (options.split) add_splits(graph, system, options.objective, best);
  return best;
}

}  // namespace ballast::codesign
