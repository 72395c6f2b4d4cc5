#include "ballast/dynamic/runtime/session.h"

#include <fmt/format.h>

#include <bit>
#include <chrono>
#include <cmath>
#include <unordered_map>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/dynamic/runtime/batches.h"
#include "ballast/dynamic/runtime/fiber.h"

namespace ballast::dynamic {
namespace {

using Clock = std::chrono::steady_clock;
double since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}
constexpr std::int64_t kLow = (std::int64_t{1} << 32) - 1;

std::int64_t word_of(const void* p) {
  return static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(p));
}
std::int64_t* object_at(std::int64_t word) {
  return reinterpret_cast<std::int64_t*>(word);
}

}  // namespace

/// Control code of one instance, or of all one after another when nothing ever waits.
struct Control : loop::ControlContext {
  Session* session = nullptr;
  void* state = nullptr;
  Fiber* fiber = nullptr;
  std::uint32_t instance = 0;
  std::int64_t phase = 0;
  enum class Wait : std::uint8_t { nothing, number, phase } wait = Wait::nothing;
};

struct Session::State {
  State(const Executable& e, Parameters parameters, SessionOptions o)
      : exe(e),
        options(std::move(o)),
        globals(e.program, std::move(parameters)),
        runner(e.unit.types, globals, options.threads) {
    cli::require_one_of("--policy", options.policy,
                        {"inline-depth", "unbatched", "depth", "agenda", "suff", "fsm"});
    if (options.policy == "fsm" && !options.fsm)
      throw InvalidInput("policy fsm needs a policy file (--policy-file)");
    for (const OpType& type : e.unit.types) type_names.push_back(type.name);
    if (options.fsm && options.fsm->types != type_names)
      throw InvalidInput(
          fmt::format("the policy was learned for another model: its types are ({}), this model has ({})",
                      fmt::join(options.fsm->types, ", "), fmt::join(type_names, ", ")));
    bounds.resize(e.unit.sites.size());
    for (std::size_t i = 0; i < bounds.size(); ++i) {
      // Rows of the table that an i32 operand chooses from.
      const Cell& cell = e.unit.types[static_cast<std::size_t>(e.unit.sites[i].type)].cell;
      std::vector<std::int64_t> of_input(cell.inputs.size(), 0);
      for (const Cell::Node& node : cell.nodes)
        if ((node.op.kind == OpKind::embedding || node.op.kind == OpKind::pick_neg_log_softmax) &&
            node.args[1] < 0)
          of_input[static_cast<std::size_t>(~node.args[1])] = cell.shape_of_arg(node.args[0])[0];
      for (std::size_t k = 0; k < cell.inputs.size(); ++k)
        if (cell.inputs[k].mode != Cell::Input::Mode::shared) bounds[i].push_back(of_input[k]);
    }
  }

  // --- what control code calls -----------------------------------------------------------------------------

  /// Runs the work of a host function; an error ends the control code, in whichever way it can be left.
  template <typename Work>
  static void guarded(loop::ControlContext* context, const Work& work) {
    auto& control = *static_cast<Control*>(context);
    std::exception_ptr error;
    try {
      work(*static_cast<State*>(control.state), control);
      return;
    } catch (...) {
      if (!static_cast<State*>(control.state)->exe.options.native) throw;
      error = std::current_exception();
    }
    control.fiber->leave(std::move(error));
  }

  std::string name_of(std::int64_t function) const {
    return exe.unit.function_names[static_cast<std::size_t>(function)];
  }

  void append(Control& c, std::int64_t site_id, const std::int64_t* args, std::uint32_t count,
              std::int64_t* results) {
    const Site& site = exe.unit.sites[static_cast<std::size_t>(site_id)];
    if (++nodes_made > options.limits.nodes)
      throw InvalidInput(
          fmt::format("function '{}' (line {}): more than {} nodes in one mini-batch (--max-nodes)",
                      name_of(site.function), site.line, options.limits.nodes));
    if (c.depth >> 32 < epoch) c.depth = epoch << 32;  // a counter from before the last flush counts as 0
    std::int64_t depth = c.depth & kLow;
    if (site.static_depth < 0) {
      ++c.depth;
    } else {
      c.depth = std::max(c.depth, (epoch << 32) + site.static_depth + 1);
      depth = site.static_depth;
    }
    std::uint32_t type = static_cast<std::uint32_t>(site.type);
    if (site.keyed >= 0) type = keyed_type(site.type, args[site.keyed]);
    auto* slots = arena.take<Slot>(static_cast<std::size_t>(site.results));
    const auto id = static_cast<std::uint32_t>(nodes.size());
    for (int i = 0; i < site.results; ++i) {
      slots[i] = {nullptr, id};
      results[i] = word_of(slots + i);
    }
    nodes.push_back({type, static_cast<std::uint32_t>(c.phase), static_cast<std::uint32_t>(depth), c.instance,
                     static_cast<std::uint32_t>(pool.size()), count, slots});
    pool.insert(pool.end(), args, args + count);
    pending_bytes += runner.result_bytes(site.type);
  }

  std::uint32_t keyed_type(int type, std::int64_t key) {
    const auto [at, fresh] = keyed.try_emplace({type, key}, 0);
    if (fresh) {
      at->second = static_cast<std::uint32_t>(exe.unit.types.size() + keyed_types.size());
      keyed_types.push_back(type);
    }
    return at->second;
  }
  int op_type(std::uint32_t type) const {
    const std::size_t own = exe.unit.types.size();
    return type < own ? static_cast<int>(type) : keyed_types[type - own];
  }

  static void host_append(loop::ControlContext* context, std::int64_t site, const std::int64_t* args,
                          std::int64_t* results) {
    guarded(context, [&](State& s, Control& c) {
      const Site& here = s.exe.unit.sites[static_cast<std::size_t>(site)];
      const auto& bounds = s.bounds[static_cast<std::size_t>(site)];
      for (std::size_t i = 0; i < bounds.size(); ++i) {
        if (bounds[i] > 0 && (args[i] < 0 || args[i] >= bounds[i]))
          throw InvalidInput(fmt::format("function '{}' (line {}): index {}; accepted: 0 to {}",
                                         s.name_of(here.function), here.line, args[i], bounds[i] - 1));
      }
      s.append(c, site, args, static_cast<std::uint32_t>(here.operands), results);
    });
  }
  static void host_append_sum(loop::ControlContext* context, std::int64_t site, const std::int64_t* args,
                              std::int64_t* results) {
    guarded(context, [&](State& s, Control& c) {
      s.terms.clear();
      for (const std::int64_t* cons = object_at(args[0]); cons[0] == 1; cons = object_at(cons[2]))
        s.terms.push_back(cons[1]);
      if (s.terms.empty()) {
        const Site& here = s.exe.unit.sites[static_cast<std::size_t>(site)];
        throw InvalidInput(fmt::format("function '{}' (line {}): add_n of an empty list",
                                       s.name_of(here.function), here.line));
      }
      s.append(c, site, s.terms.data(), static_cast<std::uint32_t>(s.terms.size()), results);
    });
  }

  float* wait_for(Control& c, std::int64_t word) {
    if (word < 0) return globals.plain(static_cast<GlobalId>(-1 - word));
    const Slot* slot = reinterpret_cast<const Slot*>(word);
    if (slot->data == nullptr) {
      if (fibers) {
        c.wait = Control::Wait::number;
        c.fiber->suspend();
        c.wait = Control::Wait::nothing;
      } else {
        flush();
      }
    }
    return slot->data;
  }
  static void host_item_real(loop::ControlContext* context, std::int64_t, const std::int64_t* args,
                             std::int64_t* results) {
    guarded(context, [&](State& s, Control& c) {
      results[0] = std::bit_cast<std::int64_t>(static_cast<double>(*s.wait_for(c, args[0])));
    });
  }
  static void host_item_integer(loop::ControlContext* context, std::int64_t, const std::int64_t* args,
                                std::int64_t* results) {
    guarded(context, [&](State& s, Control& c) {
      results[0] = *reinterpret_cast<const std::int32_t*>(s.wait_for(c, args[0]));
    });
  }
  static void host_random(loop::ControlContext* c, std::int64_t, const std::int64_t* args,
                          std::int64_t* results) {
    Draws draws{static_cast<std::uint64_t>(c->stream), static_cast<std::uint64_t>(c->count)};
    results[0] = draws.next(args[0], args[1]);
    c->count = static_cast<std::int64_t>(draws.count);
  }
  static void host_fork(loop::ControlContext* c, std::int64_t arm, const std::int64_t* args, std::int64_t*) {
    const Draws draws = Draws{static_cast<std::uint64_t>(args[0]), static_cast<std::uint64_t>(args[1])}.fork(
        static_cast<std::uint64_t>(arm));
    c->stream = static_cast<std::int64_t>(draws.stream);
    c->count = 0;
  }
  static void host_divide(loop::ControlContext* context, std::int64_t line, const std::int64_t* args,
                          std::int64_t* results) {
    guarded(context, [&](State& s, Control&) { results[0] = args[0] / s.divisor(args[1], line); });
  }
  static void host_remainder(loop::ControlContext* context, std::int64_t line, const std::int64_t* args,
                             std::int64_t* results) {
    guarded(context, [&](State& s, Control&) { results[0] = args[0] % s.divisor(args[1], line); });
  }
  std::int64_t divisor(std::int64_t value, std::int64_t line) const {
    if (value == 0) throw InvalidInput(fmt::format("{}:{}: a division by zero", exe.module->file, line));
    return value;
  }
  static void host_phase(loop::ControlContext* context, std::int64_t, const std::int64_t*, std::int64_t*) {
    guarded(context, [&](State& s, Control& c) {
      if (s.fibers) {
        c.wait = Control::Wait::phase;
        c.fiber->suspend();
        c.wait = Control::Wait::nothing;
      }
      ++c.phase;
      c.depth = s.epoch << 32;
    });
  }
  static void host_refill(loop::ControlContext* context, std::int64_t words, const std::int64_t*,
                          std::int64_t*) {
    guarded(context, [&](State& s, Control& c) {
      const std::size_t count = std::max<std::size_t>(static_cast<std::size_t>(words), 2048);
      c.next = s.arena.take<std::int64_t>(count);
      c.end = c.next + count;
    });
  }
  static void host_overflow(loop::ControlContext* context, std::int64_t what, const std::int64_t* function,
                            std::int64_t*) {
    guarded(context, [&](State& s, Control&) {
      const std::string name = s.name_of(*function);
      if (what == 0)
        throw InvalidInput(fmt::format("function '{}': more than {} calls; it may never end (--max-steps)",
                                       name, s.options.limits.steps));
      if (what == 1)
        throw InvalidInput(fmt::format("function '{}': more than {} calls are open (--max-depth)", name,
                                       s.options.limits.depth));
      throw InvalidInput(
          fmt::format("function '{}': the stack of {} KiB is used up (--stack-kib makes it larger)", name,
                      s.stack_bytes() >> 10));
    });
  }

  // --- executing pending nodes
  // -------------------------------------------------------------------------------

  void launch(std::uint32_t type, std::span<const std::uint32_t> ids) {
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

  void flush() {
    if (nodes.empty()) return;
    if (pending_bytes > options.memory_limit)
      throw Unavailable(
          fmt::format("this mini-batch needs {} bytes for results, the limit is {} (--memory-limit; or a "
                      "smaller --batch)",
                      pending_bytes, options.memory_limit));
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

  /// Counting sort by type, then by level: within a level the types lie together, nodes in program order.
  void flush_by_inline_depth() {
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
    stats.scheduling_seconds += since(begin);
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
  Graph graph_of_phase(std::uint32_t phase, std::vector<std::uint32_t>& ids) {
    std::vector<std::string> names = type_names;
    for (std::size_t i = 0; i < keyed_types.size(); ++i) names.push_back(fmt::format("keyed{}", i));
    Graph graph(names);
    std::vector<NodeId> place(nodes.size(), 0), arguments;
    ids.clear();
    for (std::uint32_t id = 0; id < nodes.size(); ++id) {
      const PendingNode& n = nodes[id];
      if (n.phase != phase) continue;
      arguments.clear();
      const OpType& type = exe.unit.types[static_cast<std::size_t>(op_type(n.type))];
      std::uint32_t operand = 0;
      const auto edge = [&](std::int64_t word) {
        if (word < 0) return;
        const Slot* slot = reinterpret_cast<const Slot*>(word);
        if (slot->data == nullptr && nodes[slot->producer].phase == phase)
          arguments.push_back(place[slot->producer]);
      };
      if (type.variadic) {
        for (; operand < n.count; ++operand) edge(pool[n.first + operand]);
      } else {
        for (const Cell::Input& input : type.cell.inputs) {
          if (input.mode == Cell::Input::Mode::shared) continue;
          if (input.mode != Cell::Input::Mode::index) edge(pool[n.first + operand]);
          ++operand;
        }
      }
      place[id] = graph.add(n.type, arguments);
      ids.push_back(id);
    }
    return graph;
  }

  void flush_by_frontier() {
    std::uint32_t phases = 0;
    for (const PendingNode& n : nodes) phases = std::max(phases, n.phase + 1);
    std::vector<std::uint32_t> ids;
    for (std::uint32_t phase = 0; phase < phases; ++phase) {
      const auto begin = Clock::now();
      const Graph graph = graph_of_phase(phase, ids);
      if (graph.size() == 0) continue;
      const Structure structure(graph, options.policy == "suff");
      Schedule schedule_here;
      if (options.policy == "fsm") {
        FsmTable table = *options.fsm;
        FsmPolicy policy(table);
        schedule_here = schedule(structure, policy);
      } else {
        schedule_here = schedule_by_name(structure, options.policy);
      }
      stats.scheduling_seconds += since(begin);
      for (Batch& batch : schedule_here) {
        for (NodeId& node : batch.nodes) node = ids[node];
        launch(batch.type, batch.nodes);
      }
    }
  }

  // --- values in and out
  // -------------------------------------------------------------------------------------

  std::int64_t* object(std::size_t words) { return arena.take<std::int64_t>(words); }

  std::int64_t encode(const Type& given, const Value& value) {
    const Type type = resolved(given);
    const auto fits = [&](Value::Kind kind) {
      if (value.kind != kind)
        throw InvalidInput("an argument does not fit the model; it expects " + to_string(type));
    };
    switch (type->kind) {
      case TypeNode::Kind::integer:
        fits(Value::Kind::integer);
        return value.integer;
      case TypeNode::Kind::boolean:
        fits(Value::Kind::boolean);
        return value.integer;
      case TypeNode::Kind::real:
        fits(Value::Kind::real);
        return std::bit_cast<std::int64_t>(value.real);
      case TypeNode::Kind::tensor: {
        fits(Value::Kind::tensor);
        if (value.shape != type->shape)
          throw InvalidInput(
              fmt::format("a tensor of shape {} for {}", to_string(value.shape), to_string(type)));
        auto* slot = arena.take<Slot>(1);
        *slot = {const_cast<float*>(value.elements.data()), 0};
        return word_of(slot);
      }
      case TypeNode::Kind::tuple: {
        fits(Value::Kind::tuple);
        std::int64_t* o = object(value.fields.size() + 1);
        o[0] = 0;
        for (std::size_t i = 0; i < type->args.size(); ++i)
          o[i + 1] = encode(type->args[i], value.fields.at(i));
        return word_of(o);
      }
      default: {
        if (type->name == "List") {
          fits(Value::Kind::list);
          std::int64_t* nil = object(1);
          nil[0] = 0;
          std::int64_t list = word_of(nil);
          for (auto item = value.fields.rbegin(); item != value.fields.rend(); ++item) {
            std::int64_t* cons = object(3);
            cons[0] = 1;
            cons[1] = encode(type->args[0], *item);
            cons[2] = list;
            list = word_of(cons);
          }
          return list;
        }
        fits(Value::Kind::data);
        const std::vector<Type> types = exe.module->field_types(type, value.tag);
        if (types.size() != value.fields.size())
          throw InvalidInput("a value of " + to_string(type) + " has a wrong number of fields");
        std::int64_t* o = object(types.size() + 1);
        o[0] = value.tag;
        for (std::size_t i = 0; i < types.size(); ++i) o[i + 1] = encode(types[i], value.fields[i]);
        return word_of(o);
      }
    }
  }

  Value decode(const Type& given, std::int64_t word) {
    const Type type = resolved(given);
    switch (type->kind) {
      case TypeNode::Kind::integer:
        return Value::of_integer(word);
      case TypeNode::Kind::boolean:
        return {.kind = Value::Kind::boolean, .integer = word};
      case TypeNode::Kind::real:
        return {.kind = Value::Kind::real, .real = std::bit_cast<double>(word)};
      case TypeNode::Kind::tensor: {
        const float* data = word < 0 ? globals.plain(static_cast<GlobalId>(-1 - word))
                                     : reinterpret_cast<const Slot*>(word)->data;
        std::vector<float> elements(data, data + volume(type->shape));
        if (type->integer_elements)
          for (float& x : elements) x = static_cast<float>(std::bit_cast<std::int32_t>(x));
        for (const float x : elements) stats.not_a_number += std::isfinite(x) ? 0 : 1;
        return Value::of_tensor(type->shape, std::move(elements));
      }
      case TypeNode::Kind::tuple: {
        std::vector<Value> fields;
        for (std::size_t i = 0; i < type->args.size(); ++i)
          fields.push_back(decode(type->args[i], object_at(word)[i + 1]));
        return Value::of_tuple(std::move(fields));
      }
      default: {
        std::vector<Value> fields;
        if (type->name == "List") {
          for (const std::int64_t* cons = object_at(word); cons[0] == 1; cons = object_at(cons[2]))
            fields.push_back(decode(type->args[0], cons[1]));
          return Value::of_list(std::move(fields));
        }
        const auto tag = static_cast<int>(object_at(word)[0]);
        const std::vector<Type> types = exe.module->field_types(type, tag);
        for (std::size_t i = 0; i < types.size(); ++i)
          fields.push_back(decode(types[i], object_at(word)[i + 1]));
        return Value::of_data(tag, std::move(fields));
      }
    }
  }

  /// The tensors of one element in a result.
  void collect_losses(const Type& given, std::int64_t word) {
    const Type type = resolved(given);
    if (type->kind == TypeNode::Kind::tensor && !type->integer_elements && volume(type->shape) == 1 &&
        word >= 0)
      losses.push_back(reinterpret_cast<const Slot*>(word));
    if (type->kind == TypeNode::Kind::tuple)
      for (std::size_t i = 0; i < type->args.size(); ++i)
        collect_losses(type->args[i], object_at(word)[i + 1]);
    if (type->kind != TypeNode::Kind::data) return;
    if (type->name == "List") {
      for (const std::int64_t* cons = object_at(word); cons[0] == 1; cons = object_at(cons[2]))
        collect_losses(type->args[0], cons[1]);
      return;
    }
    const std::vector<Type> types = exe.module->field_types(type, static_cast<int>(object_at(word)[0]));
    for (std::size_t i = 0; i < types.size(); ++i) collect_losses(types[i], object_at(word)[i + 1]);
  }

  // --- one mini-batch
  // ----------------------------------------------------------------------------------------

  std::size_t stack_bytes() const {
    return static_cast<std::size_t>(options.stack_kib / (fibers ? 16 : 1)) << 10;
  }

  void prepare(Control& c, Session* session, Fiber* fiber, std::uint32_t instance) {
    static constexpr loop::HostFunction kHosts[] = {host_append,       host_append_sum, host_item_real,
                                                    host_item_integer, host_random,     host_fork,
                                                    host_divide,       host_remainder,  host_phase};
    c = Control();
    c.hosts = kHosts;
    c.refill = host_refill;
    c.overflow = host_overflow;
    c.session = session;
    c.state = this;
    c.fiber = fiber;
    c.instance = instance;
    c.fuel = options.limits.steps;
    c.most_frames = options.limits.depth;
    c.stack_limit = word_of(fiber->limit());
    c.depth = epoch << 32;
    const Draws draws = Draws::of(options.seed, options.first_instance + instance);
    c.stream = static_cast<std::int64_t>(draws.stream);
  }

  void failed(std::uint32_t instance, const std::exception& error) {
    errors[instance] = error.what();
    if (!options.isolate)
      throw InvalidInput(fmt::format("instance {}: {}", options.first_instance + instance, error.what()));
  }

  void begin(std::size_t instances) {
    arena.reset();
    nodes.clear();
    pool.clear();
    keyed.clear();
    keyed_types.clear();
    tape.clear();
    losses.clear();
    nodes_made = pending_bytes = 0;
    epoch = 0;
    errors.assign(instances, "");
    fibers = exe.unit.synchronises && options.fibers;
  }

  std::vector<std::int64_t> control(Session* session, std::span<const Arguments> batch) {
    const auto& signature = exe.module->entry().parameters;
    std::vector<std::vector<std::int64_t>> words(batch.size());
    for (std::size_t i = 0; i < batch.size(); ++i) {
      if (batch[i].size() != signature.size())
        throw InvalidInput(fmt::format("instance {}: {} argument(s); the model takes {}", i, batch[i].size(),
                                       signature.size()));
      for (std::size_t k = 0; k < signature.size(); ++k)
        words[i].push_back(encode(signature[k].second, batch[i][k]));
    }
    std::vector<std::int64_t> results(batch.size(), 0);
    const std::size_t stacks = fibers ? batch.size() : std::min<std::size_t>(1, batch.size());
    while (pool_of_fibers.size() < stacks || (stacks > 0 && fiber_bytes != stack_bytes())) {
      if (fiber_bytes != stack_bytes()) pool_of_fibers.clear();
      fiber_bytes = stack_bytes();
      pool_of_fibers.push_back(std::make_unique<Fiber>(fiber_bytes));
    }
    const auto body = [&](std::size_t i, Control& c) {
      return [this, &results, &words, &c, i] {
        results[i] = exe.control->call(exe.unit.entry, c, words[i].data());
      };
    };
    if (!fibers) {
      Control c;
      for (std::size_t i = 0; i < batch.size(); ++i) {
        prepare(c, session, pool_of_fibers[0].get(), static_cast<std::uint32_t>(i));
        attempt(*pool_of_fibers[0], body(i, c), static_cast<std::uint32_t>(i), true);
      }
      return results;
    }
    std::vector<Control> controls(batch.size());
    for (std::size_t i = 0; i < batch.size(); ++i) {
      prepare(controls[i], session, pool_of_fibers[i].get(), static_cast<std::uint32_t>(i));
      attempt(*pool_of_fibers[i], body(i, controls[i]), static_cast<std::uint32_t>(i), true);
    }
    for (;;) {
      bool number = false, any = false;
      for (std::size_t i = 0; i < batch.size(); ++i) {
        if (pool_of_fibers[i]->ended()) continue;
        any = true;
        number |= controls[i].wait == Control::Wait::number;
      }
      if (!any) break;
      timed_flush();
      for (std::size_t i = 0; i < batch.size(); ++i) {
        // Who waits for a phase goes on when nobody waits for a number any more.
        if (pool_of_fibers[i]->ended() || (number && controls[i].wait == Control::Wait::phase)) continue;
        attempt(*pool_of_fibers[i], {}, static_cast<std::uint32_t>(i), false);
      }
    }
    return results;
  }

  void timed_flush() {
    const auto begin = Clock::now();
    flush();
    flush_seconds += since(begin);
  }

  void attempt(Fiber& fiber, const std::function<void()>& body, std::uint32_t instance, bool fresh) {
    try {
      if (fresh) fiber.start(body);
      ++stats.fiber_switches;
      fiber.resume();
    } catch (const InvalidInput& error) {
      failed(instance, error);
    }
  }

  const Executable& exe;
  SessionOptions options;
  Globals globals;
  BatchRunner runner;
  std::vector<std::string> type_names;
  std::vector<std::vector<std::int64_t>> bounds;
  Arena arena;
  std::vector<PendingNode> nodes;
  std::vector<std::int64_t> pool, terms;
  std::map<std::pair<int, std::int64_t>, std::uint32_t> keyed;
  std::vector<int> keyed_types;
  std::vector<std::unique_ptr<Fiber>> pool_of_fibers;
  std::size_t fiber_bytes = 0;
  std::int64_t nodes_made = 0, pending_bytes = 0, epoch = 0;
  double flush_seconds = 0;
  bool fibers = false, recording = false;
  std::vector<TapeEntry> tape;
  std::vector<const Slot*> losses;
  std::vector<std::string> errors;
  RunStats stats;
};

Session::Session(const Executable& exe, Parameters parameters, SessionOptions options)
    : state_(std::make_unique<State>(exe, std::move(parameters), std::move(options))) {}
Session::~Session() = default;

std::vector<Value> Session::run(std::span<const Arguments> batch) {
  State& s = *state_;
  const auto begin = Clock::now();
  const double flushed_before = s.flush_seconds;
  s.begin(batch.size());
  const std::vector<std::int64_t> words = s.control(this, batch);
  s.stats.control_seconds += since(begin) - (s.flush_seconds - flushed_before);
  s.timed_flush();
  std::vector<Value> results;
  for (std::size_t i = 0; i < batch.size(); ++i)
    results.push_back(s.errors[i].empty() ? s.decode(s.exe.module->entry().result, words[i])
                                          : Value::of_tuple({}));
  if (s.recording)
    for (std::size_t i = 0; i < batch.size(); ++i)
      if (s.errors[i].empty()) s.collect_losses(s.exe.module->entry().result, words[i]);
  s.stats.instances += static_cast<std::int64_t>(batch.size());
  s.stats.total_seconds += since(begin);
  return results;
}

Graph Session::graph_of(std::span<const Arguments> batch) {
  State& s = *state_;
  if (s.exe.unit.synchronises)
    throw InvalidInput("this model decides from tensors, so its graph is not known before it runs");
  s.begin(batch.size());
  s.control(this, batch);
  for (PendingNode& n : s.nodes) n.phase = 0;
  std::vector<std::uint32_t> ids;
  return s.graph_of_phase(0, ids);
}

const RunStats& Session::stats() const {
  return state_->stats;
}
void Session::reset_stats() {
  state_->stats = RunStats();
}
const std::vector<std::string>& Session::errors() const {
  return state_->errors;
}
void Session::record(bool on) {
  state_->recording = on;
}
const std::vector<TapeEntry>& Session::tape() const {
  return state_->tape;
}
const std::vector<const Slot*>& Session::losses() const {
  return state_->losses;
}
Parameters& Session::change_parameters() {
  return state_->globals.change();
}
SessionOptions& Session::options() {
  return state_->options;
}

}  // namespace ballast::dynamic
