// Instances, and arms of them that wait for tensors, as fibers: run whoever can go on; when nobody can, flush
// if somebody waits for a number, else let those who wait for a phase go on together.
#include <fmt/format.h>

#include "ballast/base/errors.h"
#include "ballast/dynamic/runtime/state.h"

namespace ballast::dynamic {

void SessionState::begin(std::size_t instances) {
  cancel_all();
  arena.reset();
  nodes.clear();
  pool.clear();
  keyed.clear();
  keyed_types.clear();
  tape.clear();
  losses.clear();
  slices.clear();
  next_slot = last_slot = nullptr;
  nodes_made = pending_bytes = epoch = children = held_bytes = 0;
  all_known = sliced = false;
  errors.assign(instances, "");
  fibers = exe.unit.synchronises && options.fibers;
}

std::vector<std::int64_t> SessionState::control(std::span<const Arguments> batch) {
  const auto begin = Clock::now();
  const auto& signature = exe.module->entry().parameters;
  std::vector<std::vector<std::int64_t>> words(batch.size());
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (batch[i].size() != signature.size())
      throw InvalidInput(fmt::format("instance {}: {} argument(s); the model takes {}", i, batch[i].size(),
                                     signature.size()));
    for (std::size_t k = 0; k < signature.size(); ++k)
      words[i].push_back(encode(signature[k].second, batch[i][k]));
  }
  stats.encoding_seconds += seconds_since(begin);
  std::vector<std::int64_t> results(batch.size(), 0);
  if (fiber_bytes != stack_bytes()) {
    idle.clear();
    all_fibers.clear();
    fiber_bytes = stack_bytes();
  }
  const auto start = Clock::now();
  const double flushed_before = flush_seconds;
  if (fibers)
    run_as_fibers(words, results);
  else
    run_one_by_one(words, results);
  stats.control_seconds += seconds_since(start) - (flush_seconds - flushed_before);
  return results;
}

Fiber* SessionState::take_fiber() {
  if (idle.empty()) {
    all_fibers.push_back(std::make_unique<Fiber>(fiber_bytes));
    return all_fibers.back().get();
  }
  Fiber* fiber = idle.back();
  idle.pop_back();
  return fiber;
}

void SessionState::prepare(Task& task, Fiber* fiber, std::uint32_t instance) {
  task.hosts = hosts();
  task.refill = refill_host();
  task.overflow = overflow_host();
  task.state = this;
  task.fiber = fiber;
  task.instance = instance;
  task.function = exe.unit.entry;
  task.fuel = options.limits.steps;
  task.frames = 0;
  task.most_frames = options.limits.depth;
  task.stack_limit = word_of(fiber->limit());
  task.phase = 0;
  task.depth = epoch << 32;
  const Draws draws = Draws::of(options.seed, options.first_instance + instance);
  task.stream = static_cast<std::int64_t>(draws.stream);
  task.count = 0;
}

void SessionState::start(Task& task) {
  task.fiber->start(
      [this, &task] { task.result = exe.control->call(task.function, task, task.args.data()); });
}

void SessionState::fail(std::uint32_t instance, const std::string& sentence) {
  errors[instance] = sentence;
  if (!options.isolate)
    throw InvalidInput(fmt::format("instance {}: {}", options.first_instance + instance, sentence));
}

void SessionState::cancel_all() {
  ready.clear();
  waiting.clear();
  for (Task& task : tasks) {
    if (task.fiber == nullptr || task.ended) continue;
    task.fiber->cancel();
    idle.push_back(task.fiber);
    task.ended = true;
  }
  tasks.clear();
  children = 0;
}

void SessionState::run_one_by_one(std::vector<std::vector<std::int64_t>>& words,
                                  std::vector<std::int64_t>& results) {
  if (words.empty()) return;
  Fiber* fiber = take_fiber();
  idle.push_back(fiber);
  Task task;  // its memory for objects goes on from instance to instance
  for (std::size_t i = 0; i < words.size(); ++i) {
    prepare(task, fiber, static_cast<std::uint32_t>(i));
    task.args = std::move(words[i]);
    start(task);
    try {
      fiber->resume();
      results[i] = task.result;
    } catch (const InvalidInput& error) {
      fail(task.instance, error.what());
    }
  }
}

Task* SessionState::spawn(const Task& parent, int function, const std::int64_t* args) {
  Task& child = tasks.emplace_back();
  prepare(child, take_fiber(), parent.instance);
  child.parent = const_cast<Task*>(&parent);
  child.function = function;
  child.args.assign(args, args + exe.unit.program.functions[static_cast<std::size_t>(function)].parameters);
  child.phase = parent.phase;
  child.depth = parent.depth;
  child.stream = parent.stream;
  child.count = parent.count;
  start(child);
  ready.push_back(&child);
  ++children;
  ++stats.child_fibers;
  return &child;
}

void SessionState::resume(Task& task) {
  ++stats.fiber_switches;
  try {
    if (!task.fiber->resume()) return;
  } catch (const InvalidInput& error) {
    fail(task.instance, error.what());
  }
  task.ended = true;
  idle.push_back(task.fiber);
  if (task.parent == nullptr) return;
  --children;
  Task& parent = *task.parent;
  if (parent.wait == Task::Wait::child && parent.awaited == &task) {
    std::erase(waiting, &parent);
    ready.push_back(&parent);
  }
}

void SessionState::run_as_fibers(std::vector<std::vector<std::int64_t>>& words,
                                 std::vector<std::int64_t>& results) {
  std::vector<Task*> roots;
  for (std::size_t i = 0; i < words.size(); ++i) {
    Task& task = tasks.emplace_back();
    prepare(task, take_fiber(), static_cast<std::uint32_t>(i));
    task.args = std::move(words[i]);
    start(task);
    roots.push_back(&task);
    ready.push_back(&task);
  }
  const auto wake = [&](Task::Wait what) {
    std::vector<Task*> still;
    for (Task* task : waiting) (task->wait == what ? ready.push_back(task) : still.push_back(task));
    waiting = std::move(still);
  };
  for (;;) {
    while (!ready.empty()) {
      Task& task = *ready.front();
      ready.pop_front();
      // An instance that has failed takes its other tasks with it.
      if (!errors[task.instance].empty()) {
        task.fiber->cancel();
        idle.push_back(task.fiber);
        task.ended = true;
        children -= task.parent != nullptr ? 1 : 0;
        continue;
      }
      resume(task);
    }
    std::vector<Task*> live;
    bool number = false, phase = false;
    for (Task* task : waiting) {
      if (!errors[task->instance].empty()) {
        ready.push_back(task);
        continue;
      }
      number |= task->wait == Task::Wait::number;
      phase |= task->wait == Task::Wait::phase;
      live.push_back(task);
    }
    waiting = std::move(live);
    if (!ready.empty()) continue;
    if (waiting.empty()) break;
    BALLAST_CHECK(number || phase,
                  fmt::format("deadlock: {} tasks wait for arms that nobody runs", waiting.size()));
    timed_flush();
    wake(number ? Task::Wait::number : Task::Wait::phase);
  }
  for (std::size_t i = 0; i < roots.size(); ++i) results[i] = roots[i]->result;
  tasks.clear();
}

}  // namespace ballast::dynamic
