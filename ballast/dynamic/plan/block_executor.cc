#include "ballast/dynamic/plan/block_executor.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <numeric>
#include <utility>

#include "ballast/base/errors.h"
#include "ballast/loop/gemm.h"
#include "ballast/loop/kernel.h"

namespace ballast::dynamic {
namespace {

using Mode = Cell::Input::Mode;

/// Memory with the alignment that kernels like.
struct Aligned {
  std::vector<float> numbers;
  float* at() { return numbers.data(); }
  void resize(std::size_t n) {
    if (numbers.size() < n) numbers.resize(n);
  }
};

}  // namespace

struct BlockExecutor::State {
  State(const Cell& c, std::vector<std::vector<float>> w, int l)
      : cell(c), weights(std::move(w)), level(l), launcher(1), variable(c.nodes.size(), -1) {
    if (level < 0 || level > 5)
      throw InvalidInput("level of a block's layout", std::to_string(level), "0 to 5");
    for (const Cell::Input& input : cell.inputs)
      if (input.mode != Mode::lane && input.mode != Mode::shared)
        throw InvalidInput("a block with indices or keyed weights is not run as batches");
    for (std::size_t n = 0; n < cell.nodes.size(); ++n) {
      if (cell.nodes[n].op.kind == OpKind::add_n) throw InvalidInput("add_n is no operator of a block");
      if (is_view(cell.nodes[n].op.kind)) continue;
      variable[n] = static_cast<int>(node_of.size());
      node_of.push_back(static_cast<int>(n));
    }
    const bool planned = level % 2 == 1;
    plan = batches_of(cell, planned ? "suff" : "agenda");
    const std::vector<int> order = planned ? plan_memory(plan).order : declaration_plan(plan).order;
    offset.resize(node_of.size());
    for (const int v : order) {
      offset[static_cast<std::size_t>(v)] = per_lane;
      per_lane += size(node_of[static_cast<std::size_t>(v)]);
    }
    views.resize(cell.nodes.size());
    panels.resize(cell.inputs.size());
  }

  std::int64_t size(int arg) const { return volume(cell.shape_of_arg(arg)); }
  const Cell::Input& input(int arg) const { return cell.inputs[static_cast<std::size_t>(~arg)]; }
  bool shared(int arg) const { return arg < 0 && input(arg).mode == Mode::shared; }

  /// One launch: a kernel and the addresses of its frame.
  struct Launch {
    std::shared_ptr<const loop::CompiledKernel> kernel;
    std::vector<void*> buffers;
    std::int64_t lanes;
  };
  struct Copy {
    float* to;
    const float* from;
    std::int64_t numbers;
  };
  /// Copies together, launches, copies apart.
  struct Step {
    std::vector<Copy> before;
    std::vector<Launch> launches;
    std::vector<Copy> after;
    int lists = 0;  ///< copied
  };

  struct Compiled {
    std::shared_ptr<const loop::CompiledKernel> kernel;
    std::vector<FrameEntry> frame;
  };
  /// The kernel of one node alone; lane operands come side by side where `contiguous` has their bit.
  const Compiled& kernel_of(int n, std::uint64_t contiguous) {
    const Cell::Node& node = cell.nodes[static_cast<std::size_t>(n)];
    OpType type;
    Cell::Node own = node;
    own.args.clear();
    for (std::size_t a = 0; a < node.args.size(); ++a) {
      const int arg = node.args[a];
      // A weight that was not arranged ahead is read as it lies.
      const bool as_it_lies = level < 4 && node.op.kind == OpKind::dense && a == 1;
      type.cell.inputs.push_back({!shared(arg) ? Mode::lane
                                  : as_it_lies ? Mode::keyed
                                               : Mode::shared,
                                  cell.shape_of_arg(arg)});
      type.globals.push_back(static_cast<std::int64_t>(type.globals.size()));
      own.args.push_back(~static_cast<int>(own.args.size()));
    }
    type.cell.nodes = {own};
    type.cell.outputs = {0};
    const std::string key = to_string(type.cell) + to_string(node.shape);
    std::string shapes = std::to_string(contiguous);
    for (const Cell::Input& i : type.cell.inputs)
      shapes += to_string(i.shape) + std::to_string(static_cast<int>(i.mode));
    const auto [at, fresh] = kernels.try_emplace(key + shapes);
    if (fresh) {
      KernelPlan p = plan_kernel(type, contiguous);
      at->second = {registry.get(p.function), p.frame};
    }
    return at->second;
  }

  float* packed(int arg) {
    Aligned& panel = panels[static_cast<std::size_t>(~arg)];
    const Shape& s = input(arg).shape;
    panel.resize(static_cast<std::size_t>(loop::packed_size(s[1], s[0])));
    if (!std::exchange(packed_once[arg], true))
      loop::pack_panels(weights[static_cast<std::size_t>(~arg)].data(), s[1], true, s[1], s[0], panel.at());
    return panel.at();
  }

  float* place(int arg, std::int64_t lanes) {
    if (arg < 0) return const_cast<float*>(given->at(static_cast<std::size_t>(~arg)).data());
    if (const int v = variable[static_cast<std::size_t>(arg)]; v >= 0)
      return memory.at() + offset[static_cast<std::size_t>(v)] * lanes;
    return views[static_cast<std::size_t>(arg)].at();
  }

  Launch launch(int n, const std::vector<float*>& operands, float* result, std::int64_t lanes,
                std::uint64_t contiguous = ~std::uint64_t{0}) {
    const Compiled& k = kernel_of(n, contiguous);
    const Cell::Node& node = cell.nodes[static_cast<std::size_t>(n)];
    Launch out{k.kernel, {}, lanes};
    for (const FrameEntry& entry : k.frame) {
      const auto i = static_cast<std::size_t>(entry.index);
      if (entry.kind == FrameEntry::Kind::output)
        out.buffers.push_back(result);
      else if (entry.kind == FrameEntry::Kind::lane)
        out.buffers.push_back(operands[i]);
      else if (entry.kind == FrameEntry::Kind::packed)
        out.buffers.push_back(packed(node.args[i]));
      else
        out.buffers.push_back(weights[static_cast<std::size_t>(~node.args[i])].data());
    }
    return out;
  }

  /// Views are made where they are first read; they are the same work on every level.
  void make_views(int arg, std::int64_t lanes, std::vector<bool>& made, std::vector<Step>& steps) {
    if (arg < 0 || variable[static_cast<std::size_t>(arg)] >= 0 || made[static_cast<std::size_t>(arg)])
      return;
    const Cell::Node& node = cell.nodes[static_cast<std::size_t>(arg)];
    std::vector<float*> operands;
    for (const int a : node.args) {
      make_views(a, lanes, made, steps);
      operands.push_back(shared(a) ? nullptr : place(a, lanes));
    }
    views[static_cast<std::size_t>(arg)].resize(static_cast<std::size_t>(size(arg) * lanes));
    made[static_cast<std::size_t>(arg)] = true;
    steps.push_back({{}, {launch(arg, operands, place(arg, lanes), lanes)}, {}});
  }

  /// Whether these places of `numbers` each follow one another.
  static bool beside(const std::vector<float*>& places, std::int64_t numbers) {
    for (std::size_t i = 1; i < places.size(); ++i)
      if (places[i] != places[i - 1] + numbers) return false;
    return true;
  }

  /// The batch's lists in one order of its nodes, and what must be copied for it.
  std::int64_t cost_of(const std::vector<int>& nodes, std::int64_t lanes) {
    std::int64_t cost = 0;
    for (std::size_t o = 0; o <= cell.nodes[static_cast<std::size_t>(nodes[0])].args.size(); ++o) {
      std::vector<float*> list;
      std::int64_t numbers = 0;
      for (const int n : nodes) {
        const auto& args = cell.nodes[static_cast<std::size_t>(n)].args;
        const int arg = o < args.size() ? args[o] : n;
        if (shared(arg)) continue;
        numbers = size(arg) * lanes;
        list.push_back(place(arg, lanes));
      }
      if (list.size() == nodes.size() && !beside(list, numbers))
        cost += numbers * static_cast<std::int64_t>(list.size());
    }
    return cost;
  }

  void add_batch(std::vector<int> nodes, std::int64_t lanes, std::vector<Step>& steps) {
    const Cell::Node& first = cell.nodes[static_cast<std::size_t>(nodes[0])];
    const bool by_weight =
        std::any_of(first.args.begin(), first.args.end(), [&](int a) { return shared(a); });
    Step step;
    if (nodes.size() == 1 || by_weight) {  // each with weights of its own: lists are read node by node
      for (const int n : nodes) {
        std::vector<float*> operands;
        for (const int a : cell.nodes[static_cast<std::size_t>(n)].args)
          operands.push_back(shared(a) ? nullptr : place(a, lanes));
        step.launches.push_back(launch(n, operands, place(n, lanes), lanes));
      }
      steps.push_back(std::move(step));
      return;
    }
    // The order of lanes is free: by the place of the results, or of one of the operands.
    std::vector<int> best = nodes;
    std::int64_t least = cost_of(nodes, lanes);
    for (std::size_t o = 0; o <= first.args.size(); ++o) {
      std::vector<int> order = nodes;
      const auto key = [&](int n) {
        const auto& args = cell.nodes[static_cast<std::size_t>(n)].args;
        return place(o < args.size() ? args[o] : n, lanes);
      };
      std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return key(a) < key(b); });
      if (const std::int64_t cost = cost_of(order, lanes); cost < least) {
        least = cost;
        best = order;
      }
    }
    const auto list_at = [&](std::size_t o) {
      std::vector<float*> list;
      for (const int n : best) {
        const auto& args = cell.nodes[static_cast<std::size_t>(n)].args;
        list.push_back(place(o < args.size() ? args[o] : n, lanes));
      }
      return list;
    };
    std::vector<float*> operands;
    std::uint64_t contiguous = ~std::uint64_t{0};
    for (std::size_t o = 0; o < first.args.size(); ++o) {
      const std::vector<float*> list = list_at(o);
      const std::int64_t numbers = size(first.args[o]) * lanes;
      if (beside(list, numbers)) {
        operands.push_back(list[0]);
        continue;
      }
      // What comes from outside of the block is no part of its layout: its lanes are read through pointers.
      const auto outside = [&](int n) {
        const int a = cell.nodes[static_cast<std::size_t>(n)].args[o];
        return a < 0 || variable[static_cast<std::size_t>(a)] < 0;
      };
      if (std::any_of(best.begin(), best.end(), outside)) {
        std::vector<void*>& table = tables.emplace_back();
        for (float* place_of_node : list)
          for (std::int64_t lane = 0; lane < lanes; ++lane)
            table.push_back(place_of_node + lane * (numbers / lanes));
        operands.push_back(reinterpret_cast<float*>(table.data()));
        contiguous &= ~(std::uint64_t{1} << o);
        continue;
      }
      ++step.lists;
      float* together = room(numbers * static_cast<std::int64_t>(list.size()));
      for (std::size_t i = 0; i < list.size(); ++i)
        step.before.push_back({together + static_cast<std::int64_t>(i) * numbers, list[i], numbers});
      operands.push_back(together);
    }
    const std::vector<float*> results = list_at(first.args.size());
    const std::int64_t numbers = volume(first.shape) * lanes;
    float* result = results[0];
    if (!beside(results, numbers)) {
      ++step.lists;
      result = room(numbers * static_cast<std::int64_t>(results.size()));
      for (std::size_t i = 0; i < results.size(); ++i)
        step.after.push_back({results[i], result + static_cast<std::int64_t>(i) * numbers, numbers});
    }
    step.launches.push_back(
        launch(best[0], operands, result, lanes * static_cast<std::int64_t>(best.size()), contiguous));
    steps.push_back(std::move(step));
  }

  float* room(std::int64_t numbers) {
    float* at = spare.at() + spare_used;
    spare_used += numbers;
    BALLAST_CHECK(spare_used <= static_cast<std::int64_t>(spare.numbers.size()),
                  "room for copies of a block");
    return at;
  }

  std::vector<Step> resolve(std::int64_t lanes) {
    memory.resize(static_cast<std::size_t>(per_lane * lanes));
    std::int64_t most = 0;
    for (const BlockBatches::Batch& batch : plan.batches)
      for (const int v : batch.results)
        for (std::size_t o = 0;
             o <= cell.nodes[static_cast<std::size_t>(node_of[static_cast<std::size_t>(v)])].args.size();
             ++o) {
          const auto& node = cell.nodes[static_cast<std::size_t>(node_of[static_cast<std::size_t>(v)])];
          most += (o < node.args.size() ? size(node.args[o]) : volume(node.shape)) * lanes;
        }
    spare.resize(static_cast<std::size_t>(most));
    spare_used = 0;
    tables.clear();
    std::vector<bool> made(cell.nodes.size(), false);
    std::vector<Step> steps;
    for (const BlockBatches::Batch& batch : plan.batches) {
      std::vector<int> nodes;
      for (const int v : batch.results) nodes.push_back(node_of[static_cast<std::size_t>(v)]);
      for (const int n : nodes)
        for (const int a : cell.nodes[static_cast<std::size_t>(n)].args) make_views(a, lanes, made, steps);
      add_batch(nodes, lanes, steps);
    }
    for (const int o : cell.outputs) make_views(o, lanes, made, steps);
    return steps;
  }

  void run(std::int64_t lanes, const std::vector<std::vector<float>>& inputs) {
    given = &inputs;
    if (level < 2 || lanes != resolved_lanes || resolved_for != inputs.data()) {
      current = resolve(lanes);
      resolved_lanes = lanes;
      resolved_for = inputs.data();
    }
    for (const Step& step : current) {
      for (const Copy& c : step.before) std::memcpy(c.to, c.from, static_cast<std::size_t>(c.numbers) * 4);
      for (const Launch& l : step.launches) {
        const loop::KernelFrame frame{.buffers = l.buffers.data(), .scalars = &l.lanes};
        launcher.run(*l.kernel, frame);
      }
      for (const Copy& c : step.after) std::memcpy(c.to, c.from, static_cast<std::size_t>(c.numbers) * 4);
    }
  }

  const Cell cell;
  std::vector<std::vector<float>> weights;
  int level;
  loop::KernelRegistry registry;
  loop::Launcher launcher;
  std::vector<int> variable, node_of;
  BlockBatches plan;
  std::vector<std::int64_t> offset;
  std::int64_t per_lane = 0;
  std::map<std::string, Compiled> kernels;
  std::vector<Aligned> views, panels;
  std::map<int, bool> packed_once;
  Aligned memory, spare;
  std::deque<std::vector<void*>> tables;
  std::int64_t spare_used = 0, resolved_lanes = -1;
  const std::vector<float>* resolved_for = nullptr;
  const std::vector<std::vector<float>>* given = nullptr;
  std::vector<Step> current;  ///< of the last run
};

BlockExecutor::BlockExecutor(const Cell& cell, std::vector<std::vector<float>> weights, int level)
    : state_(std::make_unique<State>(cell, std::move(weights), level)) {}
BlockExecutor::~BlockExecutor() = default;

void BlockExecutor::run(std::int64_t lanes, const std::vector<std::vector<float>>& inputs) {
  state_->run(lanes, inputs);
}
const float* BlockExecutor::output(int which) const {
  return state_->place(state_->cell.outputs[static_cast<std::size_t>(which)], state_->resolved_lanes);
}
int BlockExecutor::batches() const {
  return static_cast<int>(state_->plan.batches.size());
}
int BlockExecutor::copies() const {
  int lists = 0;
  for (const State::Step& step : state_->current) lists += step.lists;
  return lists;
}
std::int64_t BlockExecutor::copied_bytes_per_lane() const {
  std::int64_t numbers = 0;
  for (const State::Step& step : state_->current) {
    for (const State::Copy& c : step.before) numbers += c.numbers;
    for (const State::Copy& c : step.after) numbers += c.numbers;
  }
  return state_->resolved_lanes > 0 ? numbers * 4 / state_->resolved_lanes : 0;
}

}  // namespace ballast::dynamic
