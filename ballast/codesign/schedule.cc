#include "ballast/codesign/schedule.h"

#include <algorithm>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/codesign/mapping_parts.h"
#include "ballast/cost/check.h"

namespace ballast::codesign {
namespace {

/// Lays out one network after another; each operator is one task a tile, with its transfer and its weights
/// before it.
class Layout {
 public:
  Layout(const Graph& graph, const System& system, const Mapping& mapping, const Schema& schema)
      : graph_(graph),
        system_(system),
        mapping_(mapping),
        schema_(schema),
        run_(evaluate(graph, system, mapping)),
        before_(graph.predecessors()) {
    for (const char* name : {"npu", "cim", "link", "store", "turn"}) workload_.add_resource({.name = name});
  }

  const Run& run() const { return run_; }

  cost::Workload finish() {
    for (int frame = 0; frame < schema_.frames; ++frame) add_frame(frame);
    return std::move(workload_);
  }

 private:
  enum : cost::ResourceId { kNpu, kCim, kLink, kStore, kTurn };

  double seconds(double cycles) const { return system_.milliseconds(cycles) * 1e-3; }

  // Cycles that loading weights adds to an operator, beyond what its other parts take anyway.
  double load_cycles(std::size_t n) const {
    const Cost& c = run_.nodes[n].cost;
    if (is_split(mapping_[n])) return 0;
    return std::max(c.weight_cycles, c.update_cycles);
  }
  double work_cycles(std::size_t n) const {
    const Cost& c = run_.nodes[n].cost;
    if (!schema_.prefetch || load_cycles(n) <= 0) return c.cycles;
    return std::min(c.cycles,
                    std::max({c.compute_cycles, c.output_cycles, c.memory_cycles}) + c.overhead_cycles);
  }

  // How many tiles an operator's rows can be handed on in.
  int tiles_of(std::size_t n) const {
    const Node& node = graph_.nodes[n];
    const bool rows = node.op == Op::conv || node.op == Op::depthwise_conv || node.op == Op::elementwise ||
                      node.op == Op::activation;
    return rows && (node.macs == 0 || node.oy >= schema_.tiles) ? schema_.tiles : 1;
  }

  std::vector<cost::Need> needs(std::initializer_list<cost::ResourceId> resources) const {
    std::vector<cost::Need> list;
    for (auto r : resources) list.push_back({r, 1});
    // Without overlap a single turn goes round; tiles and frames are overlap.
    if (!schema_.branch && schema_.tiles == 1 && schema_.frames == 1) list.push_back({kTurn, 1});
    return list;
  }

  void add_frame(int frame) {
    const std::size_t n = graph_.nodes.size();
    std::vector<std::vector<cost::TaskId>> tasks(n);
    const std::string tag = schema_.frames > 1 ? "#" + std::to_string(frame) + " " : "";
    cost::TaskId last = 0;
    bool any = false;
    for (std::size_t i = 0; i < n; ++i) {
      const Node& node = graph_.nodes[i];
      const double priority = -static_cast<double>(i) - 1e6 * frame;
      std::vector<cost::TaskId> gate;  // what the whole operator waits for
      if (schema_.prefetch && work_cycles(i) < run_.nodes[i].cost.cycles) {
        // Double buffering: the load waits for the operator before the last one, whose buffer it takes.
        std::vector<cost::TaskId> after;
        if (i >= 2) after.push_back(tasks[i - 2].back());
        gate.push_back(workload_.add_task({.name = tag + "load " + node.name,
                                           .duration_s = seconds(load_cycles(i)),
                                           .needs = {{kStore, 1}},
                                           .after = after,
                                           .priority = priority,
                                           .group = "weights"}));
      }
      if (run_.nodes[i].transfer_cycles > 0) {
        std::vector<cost::TaskId> after;
        for (int p : before_[i]) after.push_back(tasks[static_cast<std::size_t>(p)].back());
        if (after.empty() && any && !schema_.branch && schema_.frames == 1 && schema_.tiles == 1)
          after.push_back(last);
        gate.push_back(workload_.add_task({.name = tag + "move to " + node.name,
                                           .duration_s = seconds(run_.nodes[i].transfer_cycles),
                                           .needs = needs({kLink}),
                                           .after = after,
                                           .priority = priority,
                                           .group = "transfer"}));
      }
      // A tensor that moves is handed over whole.
      const int tiles = tiles_of(i);
      for (int t = 0; t < tiles; ++t) {
        std::vector<cost::TaskId> after = gate;
        if (t > 0) after.push_back(tasks[i].back());
        for (int p : before_[i]) {
          const auto& producer = tasks[static_cast<std::size_t>(p)];
          const auto have = static_cast<int>(producer.size());
          // A kernel larger than one reads the next tile's first rows too.
          const int wanted =
              have == tiles && tiles > 1 ? std::min(have - 1, t + (node.fy > 1 ? 1 : 0)) : have - 1;
          after.push_back(producer[static_cast<std::size_t>(wanted)]);
        }
        const bool on_cim = mapping_[i].device == Device::cim;
        last = workload_.add_task({.name = tag + node.name + (tiles > 1 ? "/" + std::to_string(t) : ""),
                                   .duration_s = seconds(work_cycles(i) / tiles),
                                   .needs = is_split(mapping_[i]) ? needs({kNpu, kCim})
                                            : on_cim              ? needs({kCim})
                                                                  : needs({kNpu}),
                                   .after = after,
                                   .priority = priority,
                                   .group = to_string(node.op)});
        tasks[i].push_back(last);
        any = true;
      }
    }
  }

  const Graph& graph_;
  const System& system_;
  const Mapping& mapping_;
  const Schema schema_;
  const Run run_;
  const std::vector<std::vector<int>> before_;
  cost::Workload workload_;
};

}  // namespace

Schema schema_from_string(const std::string& word) {
  Schema schema;
  for (std::size_t at = 0; at <= word.size();) {
    const std::size_t end = std::min(word.find_first_of("+,", at), word.size());
    const std::string part = word.substr(at, end - at);
    at = end + 1;
    cli::require_one_of("--schema", part, {"seq", "branch", "prefetch", "tile", "frame"});
    if (part == "branch") schema.branch = true;
    if (part == "prefetch") schema.prefetch = true;
    if (part == "tile") schema.tiles = 4;
    if (part == "frame") schema.frames = 8;
  }
  return schema;
}

std::string to_string(const Schema& schema) {
  std::string text = "seq";
  if (schema.branch) text += "+branch";
  if (schema.prefetch) text += "+prefetch";
  if (schema.tiles > 1) text += "+tile";
  if (schema.frames > 1) text += "+frame";
  return text;
}

NetworkSchedule schedule_exactly(const Graph& graph, const System& system, const Mapping& mapping,
                                 const Schema& schema) {
  Layout layout(graph, system, mapping, schema);
  NetworkSchedule result;
  result.energy = layout.run().energy;
  const double one_ms = layout.run().ms;
  result.workload = layout.finish();
  result.used = schema;
  result.schedule = cost::simulate(result.workload);
  const auto broken = cost::violations(result.workload, result.schedule);
  BALLAST_CHECK(broken.empty(), broken.empty() ? std::string() : broken.front());
  // Throughput: the time between ends of frames once the pipeline is full; never better than the busiest
  // resource.
  const double all_ms = result.ms();
  result.frame_ms = schema.frames > 1 ? std::max((all_ms - std::min(one_ms, all_ms)) / (schema.frames - 1),
                                                 result.workload.resource_bound_s() * 1e3 / schema.frames)
                                      : all_ms;
  result.energy.static_uj = system.static_mw() * (schema.frames > 1 ? all_ms / schema.frames : all_ms);
  return result;
}

NetworkSchedule schedule_network(const Graph& graph, const System& system, const Mapping& mapping,
                                 const Schema& schema) {
  NetworkSchedule best;
  bool first = true;
  for (int choice = 0; choice < 8; ++choice) {
    const Schema sub{.branch = (choice & 1) != 0,
                     .prefetch = (choice & 2) != 0,
                     .tiles = (choice & 4) != 0 ? schema.tiles : 1,
                     .frames = schema.frames};
    if ((sub.branch && !schema.branch) || (sub.prefetch && !schema.prefetch) ||
        ((choice & 4) != 0 && schema.tiles == 1))
      continue;
    NetworkSchedule trial = schedule_exactly(graph, system, mapping, sub);
    if (first || trial.ms() < best.ms()) best = std::move(trial);
    first = false;
  }
  return best;
}

NetworkSchedule schedule_network(const Graph& graph, const System& system, const Mapping& mapping,
                                 bool branch) {
  return schedule_exactly(graph, system, mapping, {.branch = branch});
}

}  // namespace ballast::codesign
