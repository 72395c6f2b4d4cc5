// What control code calls.
#include <fmt/format.h>

#include <bit>

#include "ballast/base/errors.h"
#include "ballast/dynamic/runtime/state.h"

namespace ballast::dynamic {
namespace {

using loop::ControlContext;

/// Runs the work of a host function; what it throws ends the control code, in whichever way it can be left.
template <typename Work>
void guarded(ControlContext* context, const Work& work) {
  auto& task = *static_cast<Task*>(context);
  std::exception_ptr error;
  try {
    work(*task.state, task);
    return;
  } catch (...) {
    if (!task.state->exe.options.native) throw;
    error = std::current_exception();
  }
  task.fiber->leave(std::move(error));
}

void append(ControlContext* context, std::int64_t site, const std::int64_t* args, std::int64_t* results) {
  guarded(context, [&](SessionState& s, Task& task) {
    const Site& here = s.exe.unit.sites[static_cast<std::size_t>(site)];
    const SessionState::SiteFacts& facts = s.sites[static_cast<std::size_t>(site)];
    if (facts.bounded) {
      for (std::size_t i = 0; i < facts.bounds.size(); ++i)
        if (facts.bounds[i] > 0 && (args[i] < 0 || args[i] >= facts.bounds[i]))
          throw InvalidInput(fmt::format("function '{}' (line {}): index {}; accepted: 0 to {}",
                                         s.name_of(here.function), here.line, args[i], facts.bounds[i] - 1));
    }
    s.append(task, site, args, static_cast<std::uint32_t>(here.operands), results);
  });
}

void append_sum(ControlContext* context, std::int64_t site, const std::int64_t* args, std::int64_t* results) {
  guarded(context, [&](SessionState& s, Task& task) {
    s.terms.clear();
    for (const std::int64_t* cons = object_at(args[0]); cons[0] == 1; cons = object_at(cons[2]))
      s.terms.push_back(cons[1]);
    if (s.terms.empty()) {
      const Site& here = s.exe.unit.sites[static_cast<std::size_t>(site)];
      throw InvalidInput(fmt::format("function '{}' (line {}): add_n of an empty list",
                                     s.name_of(here.function), here.line));
    }
    s.append(task, site, s.terms.data(), static_cast<std::uint32_t>(s.terms.size()), results);
  });
}

void item_real(ControlContext* context, std::int64_t, const std::int64_t* args, std::int64_t* results) {
  guarded(context, [&](SessionState& s, Task& task) {
    results[0] = std::bit_cast<std::int64_t>(static_cast<double>(*s.wait_for(task, args[0])));
  });
}
void item_integer(ControlContext* context, std::int64_t, const std::int64_t* args, std::int64_t* results) {
  guarded(context, [&](SessionState& s, Task& task) {
    results[0] = *reinterpret_cast<const std::int32_t*>(s.wait_for(task, args[0]));
  });
}

void random(ControlContext* c, std::int64_t, const std::int64_t* args, std::int64_t* results) {
  Draws draws{static_cast<std::uint64_t>(c->stream), static_cast<std::uint64_t>(c->count)};
  results[0] = draws.next(args[0], args[1]);
  c->count = static_cast<std::int64_t>(draws.count);
}
void fork(ControlContext* c, std::int64_t arm, const std::int64_t* args, std::int64_t*) {
  const Draws draws = Draws{static_cast<std::uint64_t>(args[0]), static_cast<std::uint64_t>(args[1])}.fork(
      static_cast<std::uint64_t>(arm));
  c->stream = static_cast<std::int64_t>(draws.stream);
  c->count = 0;
}

void divide(ControlContext* context, std::int64_t line, const std::int64_t* args, std::int64_t* results) {
  guarded(context, [&](SessionState& s, Task&) { results[0] = args[0] / s.divisor(args[1], line); });
}
void remainder(ControlContext* context, std::int64_t line, const std::int64_t* args, std::int64_t* results) {
  guarded(context, [&](SessionState& s, Task&) { results[0] = args[0] % s.divisor(args[1], line); });
}

void phase(ControlContext* context, std::int64_t, const std::int64_t*, std::int64_t*) {
  guarded(context, [&](SessionState& s, Task& task) {
    if (s.fibers) s.suspend(task, Task::Wait::phase);
    ++task.phase;
    task.depth = s.epoch << 32;
  });
}

/// An arm of `concurrent` as a task of its own; 0 when it has to run in line.
void spawn(ControlContext* context, std::int64_t function, const std::int64_t* args, std::int64_t* results) {
  guarded(context, [&](SessionState& s, Task& task) {
    Task* child = s.fibers && s.children < SessionState::kMostChildren
                      ? s.spawn(task, static_cast<int>(function), args)
                      : nullptr;
    results[0] = word_of(child);
  });
}
/// The arm's value; the counter becomes the deeper of both.
void join(ControlContext* context, std::int64_t, const std::int64_t* args, std::int64_t* results) {
  guarded(context, [&](SessionState& s, Task& task) {
    const Task& child = *reinterpret_cast<const Task*>(args[0]);
    if (!child.ended) {
      task.awaited = &child;
      s.suspend(task, Task::Wait::child);
    }
    task.depth = std::max(task.depth, child.depth);
    results[0] = child.result;
  });
}

void refill(ControlContext* context, std::int64_t words, const std::int64_t*, std::int64_t*) {
  guarded(context, [&](SessionState& s, Task& task) {
    const std::size_t count = std::max<std::size_t>(static_cast<std::size_t>(words), s.fibers ? 512 : 4096);
    task.next = s.arena.take<std::int64_t>(count);
    task.end = task.next + count;
  });
}

void overflow(ControlContext* context, std::int64_t what, const std::int64_t* function, std::int64_t*) {
  guarded(context, [&](SessionState& s, Task&) {
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

}  // namespace

const loop::HostFunction* SessionState::hosts() {
  // In the order of Host.
  static constexpr loop::HostFunction kHosts[] = {dynamic::append, append_sum,     item_real, item_integer,
                                                  random,          fork,           divide,    remainder,
                                                  dynamic::phase,  dynamic::spawn, join};
  return kHosts;
}
loop::HostFunction SessionState::refill_host() {
  return refill;
}
loop::HostFunction SessionState::overflow_host() {
  return overflow;
}

Slot* SessionState::take_slots(int count) {
  if (last_slot - next_slot < count) {
    const int many = std::max(count, 1024);
    next_slot = arena.take<Slot>(static_cast<std::size_t>(many));
    last_slot = next_slot + many;
  }
  return std::exchange(next_slot, next_slot + count);
}

void SessionState::append(Task& task, std::int64_t site_id, const std::int64_t* args, std::uint32_t count,
                          std::int64_t* results) {
  const Site& site = exe.unit.sites[static_cast<std::size_t>(site_id)];
  if (++nodes_made > options.limits.nodes)
    throw InvalidInput(
        fmt::format("function '{}' (line {}): more than {} nodes in one mini-batch (--max-nodes)",
                    name_of(site.function), site.line, options.limits.nodes));
  // A counter from before the last flush counts as 0: all that was pending has run.
  if (task.depth >> 32 < epoch) task.depth = epoch << 32;
  std::int64_t depth = task.depth & kLevel;
  if (site.static_depth < 0) {
    ++task.depth;
  } else {
    task.depth = std::max(task.depth, (epoch << 32) + site.static_depth + 1);
    depth = site.static_depth;
  }
  auto type = static_cast<std::uint32_t>(site.type);
  if (site.keyed >= 0) type = keyed_type(site.type, args[site.keyed]);
  Slot* slots = take_slots(site.results);
  const auto id = static_cast<std::uint32_t>(nodes.size());
  for (int i = 0; i < site.results; ++i) {
    slots[i] = {nullptr, id, 0};
    results[i] = word_of(slots + i);
  }
  nodes.push_back({type, static_cast<std::uint32_t>(task.phase), static_cast<std::uint32_t>(depth),
                   task.instance, static_cast<std::uint32_t>(pool.size()), count, slots});
  for (std::uint32_t i = 0; i < count; ++i) pool.push_back(args[i]);
  pending_bytes += sites[static_cast<std::size_t>(site_id)].bytes;
}

std::uint32_t SessionState::keyed_type(int type, std::int64_t key) {
  const auto [at, fresh] = keyed.try_emplace({type, key}, 0);
  if (fresh) {
    at->second = static_cast<std::uint32_t>(exe.unit.types.size() + keyed_types.size());
    keyed_types.push_back(type);
  }
  return at->second;
}

float* SessionState::wait_for(Task& task, std::int64_t word) {
  if (word < 0) return globals.plain(static_cast<GlobalId>(-1 - word));
  const Slot* slot = reinterpret_cast<const Slot*>(word);
  if (slot->data == nullptr) {
    if (fibers)
      suspend(task, Task::Wait::number);
    else
      timed_flush();
  }
  return slot->data;
}

void SessionState::suspend(Task& task, Task::Wait wait) {
  task.wait = wait;
  waiting.push_back(&task);
  task.fiber->suspend();
  task.wait = Task::Wait::nothing;
}

std::int64_t SessionState::divisor(std::int64_t value, std::int64_t line) const {
  if (value == 0) throw InvalidInput(fmt::format("{}:{}: a division by zero", exe.module->file, line));
  return value;
}

}  // namespace ballast::dynamic
