// Pending nodes into batches: grouped by the level that control code counted, or by a policy over their
// graph.
#include <fmt/format.h>

#include "ballast/base/errors.h"
#include "ballast/dynamic/runtime/state.h"

namespace ballast::dynamic {

/// Calls visit(word) for every operand of a node that is a tensor.
template <typename Visit>
void SessionState::each_operand(const PendingNode& node, const Visit& visit) const {
  const OpType& type = exe.unit.types[static_cast<std::size_t>(op_type(node.type))];
  std::uint32_t operand = 0;
  if (type.variadic) {
    for (; operand < node.count; ++operand) visit(pool[node.first + operand]);
    return;
  }
  for (const Cell::Input& input : type.cell.inputs) {
    if (input.mode == Cell::Input::Mode::shared) continue;
    if (input.mode != Cell::Input::Mode::index) visit(pool[node.first + operand]);
    ++operand;
  }
}

void SessionState::timed_flush() {
  const auto begin = Clock::now();
  flush();
  flush_seconds += seconds_since(begin);
}

void SessionState::flush() {
  if (nodes.empty()) return;
  sliced = pending_bytes > options.memory_limit;
  if (sliced && (!all_known || recording))
    throw Unavailable(
        fmt::format("this mini-batch needs {} bytes for results, the limit is {} (--memory-limit; or a "
                    "smaller --batch)",
                    pending_bytes, options.memory_limit));
  if (sliced) {
    slice_of_node.assign(nodes.size(), 0);
    for (const PendingNode& node : nodes)
      each_operand(node, [](std::int64_t word) {
        if (word >= 0) ++reinterpret_cast<Slot*>(word)->uses;
      });
  }
  ++stats.flushes;
  stats.nodes += static_cast<std::int64_t>(nodes.size());
  if (options.policy == "inline-depth")
    flush_by_inline_depth();
  else if (options.policy == "unbatched")
    for (std::uint32_t id = 0; id < nodes.size(); ++id) launch(nodes[id].type, {&id, 1});
  else
    flush_by_frontier();
  nodes.clear();
  pool.clear();
  pending_bytes = 0;
  ++epoch;
}

void SessionState::launch(std::uint32_t type, std::span<const std::uint32_t> ids) {
  if (sliced) return launch_sliced(type, ids);
  if (recording) {
    TapeEntry entry{op_type(type), {}, {}};
    for (const std::uint32_t id : ids) {
      const PendingNode& n = nodes[id];
      entry.operands.emplace_back(pool.begin() + n.first, pool.begin() + n.first + n.count);
      entry.results.push_back(n.results);
    }
    tape.push_back(std::move(entry));
  }
  runner.run(op_type(type), ids, nodes, pool.data(), options, arena, stats);
}

/// A batch with memory of its own, which is given back with the last result that somebody reads.
void SessionState::launch_sliced(std::uint32_t type, std::span<const std::uint32_t> ids) {
  const OpType& op = exe.unit.types[static_cast<std::size_t>(op_type(type))];
  Slice slice{std::make_unique<Arena>(0),
              runner.result_bytes(op_type(type)) * static_cast<std::int64_t>(ids.size()), 0};
  if (held_bytes + slice.bytes > options.memory_limit)
    throw Unavailable(fmt::format(
        "this mini-batch holds {} bytes of results at once even with dead ones given back, the limit is {} "
        "(--memory-limit; or a smaller --batch)",
        held_bytes + slice.bytes, options.memory_limit));
  runner.run(op_type(type), ids, nodes, pool.data(), options, *slice.memory, stats);
  ++stats.slices;
  held_bytes += slice.bytes;
  const auto number = static_cast<std::uint32_t>(slices.size());
  for (const std::uint32_t id : ids) {
    slice_of_node[id] = number;
    for (std::size_t o = 0; o < op.cell.outputs.size(); ++o)
      slice.live += nodes[id].results[o].uses > 0 ? 1 : 0;
  }
  slices.push_back(std::move(slice));
  const auto give_back = [&](Slice& s) {
    if (s.live > 0 || s.memory == nullptr) return;
    s.memory.reset();
    held_bytes -= s.bytes;
  };
  const auto outputs_of = [&](std::uint32_t id) {
    return exe.unit.types[static_cast<std::size_t>(op_type(nodes[id].type))].cell.outputs.size();
  };
  give_back(slices.back());
  for (const std::uint32_t id : ids)
    each_operand(nodes[id], [&](std::int64_t word) {
      if (word < 0) return;
      Slot& slot = *reinterpret_cast<Slot*>(word);
      const bool computed = slot.producer < nodes.size() && nodes[slot.producer].results <= &slot &&
                            &slot < nodes[slot.producer].results + outputs_of(slot.producer);
      if (--slot.uses > 0 || !computed) return;
      Slice& owner = slices[slice_of_node[slot.producer]];
      --owner.live;
      give_back(owner);
    });
}

/// Counting sort by type, then by level: within a level the types lie together, nodes in program order.
void SessionState::flush_by_inline_depth() {
  const auto begin = Clock::now();
  std::uint32_t levels = 0;
  std::vector<std::uint32_t> phase_base;
  for (const PendingNode& n : nodes) {
    if (n.phase >= phase_base.size()) phase_base.resize(n.phase + 1, 0);
    phase_base[n.phase] = std::max(phase_base[n.phase], n.depth + 1);
  }
  for (std::uint32_t& base : phase_base) {
    const std::uint32_t own = base;
    base = levels;
    levels += own;
  }
  const auto types = static_cast<std::uint32_t>(exe.unit.types.size() + keyed_types.size());
  const auto level = [&](std::uint32_t id) { return phase_base[nodes[id].phase] + nodes[id].depth; };
  std::vector<std::uint32_t> order(nodes.size()), other(nodes.size());
  const auto sort = [&](const std::vector<std::uint32_t>& from, std::vector<std::uint32_t>& to,
                        std::uint32_t keys, const auto& key) {
    std::vector<std::uint32_t> begin_of(keys + 1, 0);
    for (const std::uint32_t id : from) ++begin_of[key(id) + 1];
    for (std::uint32_t i = 0; i < keys; ++i) begin_of[i + 1] += begin_of[i];
    for (const std::uint32_t id : from) to[begin_of[key(id)]++] = id;
  };
  for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  sort(order, other, types, [&](std::uint32_t id) { return nodes[id].type; });
  sort(other, order, levels, level);
  stats.scheduling_seconds += seconds_since(begin);
  for (std::size_t first = 0; first < order.size();) {
    std::size_t last = first + 1;
    while (last < order.size() && nodes[order[last]].type == nodes[order[first]].type &&
           level(order[last]) == level(order[first]))
      ++last;
    launch(nodes[order[first]].type, {order.data() + first, last - first});
    first = last;
  }
}

/// The pending nodes of one phase as a graph; `ids` maps its nodes back.
Graph SessionState::graph_of_phase(std::uint32_t phase, std::vector<std::uint32_t>& ids) {
  std::vector<std::string> names = type_names;
  for (std::size_t i = 0; i < keyed_types.size(); ++i) names.push_back(fmt::format("keyed{}", i));
  Graph graph(names);
  std::vector<NodeId> place(nodes.size(), 0), arguments;
  ids.clear();
  for (std::uint32_t id = 0; id < nodes.size(); ++id) {
    if (nodes[id].phase != phase) continue;
    arguments.clear();
    each_operand(nodes[id], [&](std::int64_t word) {
      if (word < 0) return;
      const Slot* slot = reinterpret_cast<const Slot*>(word);
      if (slot->data == nullptr && nodes[slot->producer].phase == phase)
        arguments.push_back(place[slot->producer]);
    });
    place[id] = graph.add(nodes[id].type, arguments);
    ids.push_back(id);
  }
  return graph;
}

void SessionState::flush_by_frontier() {
  std::uint32_t phases = 0;
  for (const PendingNode& n : nodes) phases = std::max(phases, n.phase + 1);
  std::vector<std::uint32_t> ids;
  for (std::uint32_t phase = 0; phase < phases; ++phase) {
    const auto begin = Clock::now();
    const Graph graph = graph_of_phase(phase, ids);
    if (graph.size() == 0) continue;
    const Structure structure(graph, options.policy == "suff");
    Schedule batches;
    if (options.policy == "fsm") {
      FsmPolicy policy(*options.fsm);
      batches = schedule(structure, policy);
    } else {
      batches = schedule_by_name(structure, options.policy);
    }
    stats.scheduling_seconds += seconds_since(begin);
    for (Batch& batch : batches) {
      for (NodeId& node : batch.nodes) node = ids[node];
      launch(batch.type, batch.nodes);
    }
  }
}

}  // namespace ballast::dynamic
