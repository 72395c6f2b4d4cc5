// What a session is inside; the files of this folder each hold one part of it:
//
//   encoding.cc  arguments into words of control code, results out of them
//   hosts.cc     what control code calls: append a node, wait for a number, draw, fork
//   tasks.cc     instances and their forked arms as fibers, until all have ended
//   flush.cc     pending nodes into batches, by the policy
//   session.cc   one mini-batch from end to end
//
// A word of control code is a number, the address of an object {tag, fields..}, the address of a Slot, or for
// a tensor of the whole run -1 - its global.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ballast/dynamic/runtime/batches.h"
#include "ballast/dynamic/runtime/fiber.h"
#include "ballast/dynamic/runtime/session.h"

namespace ballast::dynamic {

inline double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}
inline std::int64_t word_of(const void* p) {
  return static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(p));
}
inline std::int64_t* object_at(std::int64_t word) {
  return reinterpret_cast<std::int64_t*>(word);
}

/// Control code of one instance, or of one forked arm of it.
struct Task : loop::ControlContext {
  enum class Wait : std::uint8_t { nothing, number, phase, child };
  SessionState* state = nullptr;
  Fiber* fiber = nullptr;
  Task* parent = nullptr;
  std::uint32_t instance = 0;
  std::int64_t phase = 0;
  int function = 0;
  std::vector<std::int64_t> args = {};
  std::int64_t result = 0;
  Wait wait = Wait::nothing;
  const Task* awaited = nullptr;  ///< with Wait::child
  bool ended = false;
};

struct SessionState {
  using Arguments = Session::Arguments;
  using Clock = std::chrono::steady_clock;
  /// Forked arms that live at once; further ones run in line.
  static constexpr std::int64_t kMostChildren = 1024;
  static constexpr std::int64_t kLevel = (std::int64_t{1} << 32) - 1;

  SessionState(const Executable& e, Parameters parameters, SessionOptions o);
  ~SessionState();

  // encoding.cc
  std::int64_t encode(const Type& type, const Value& value);
  Value decode(const Type& type, std::int64_t word);
  /// Calls visit(slot, type) for every tensor below a word that a node computes.
  template <typename Visit>
  void each_tensor(const Type& type, std::int64_t word, const Visit& visit) const;
  void collect_losses(std::int64_t word);
  void hold_results(const std::vector<std::int64_t>& words);

  // hosts.cc
  static const loop::HostFunction* hosts();
  static loop::HostFunction refill_host();
  static loop::HostFunction overflow_host();
  std::string name_of(std::int64_t function) const {
    return exe.unit.function_names[static_cast<std::size_t>(function)];
  }
  void append(Task& task, std::int64_t site, const std::int64_t* args, std::uint32_t count,
              std::int64_t* results);
  float* wait_for(Task& task, std::int64_t word);
  void suspend(Task& task, Task::Wait wait);
  std::int64_t divisor(std::int64_t value, std::int64_t line) const;

  // tasks.cc
  void begin(std::size_t instances);
  std::vector<std::int64_t> control(std::span<const Arguments> batch);
  Task* spawn(const Task& parent, int function, const std::int64_t* args);
  std::size_t stack_bytes() const {
    return static_cast<std::size_t>(options.stack_kib / (fibers ? 16 : 1)) << 10;
  }

  // flush.cc
  void timed_flush();
  void flush();
  Graph graph_of_phase(std::uint32_t phase, std::vector<std::uint32_t>& ids);

  const Executable& exe;
  SessionOptions options;
  Globals globals;
  BatchRunner runner;
  std::vector<std::string> type_names;
  /// Of every site: rows of the table that each i32 operand chooses from (0: none), and the results' bytes.
  struct SiteFacts {
    std::vector<std::int64_t> bounds;
    bool bounded = false;
    std::int64_t bytes = 0;
  };
  std::vector<SiteFacts> sites;

  // Of a mini-batch.
  Arena arena;
  std::vector<PendingNode> nodes;
  std::vector<std::int64_t> pool, terms;
  Slot *next_slot = nullptr, *last_slot = nullptr;
  std::map<std::pair<int, std::int64_t>, std::uint32_t> keyed;
  std::vector<int> keyed_types;
  std::int64_t nodes_made = 0, pending_bytes = 0, epoch = 0, children = 0;
  bool fibers = false, recording = false;
  bool all_known = false;  ///< control has ended, and what results hold is counted in Slot::uses
  double flush_seconds = 0;
  std::vector<TapeEntry> tape;
  std::vector<const Slot*> losses;
  std::vector<std::string> errors;

  // Fibers: kept from run to run.
  std::vector<std::unique_ptr<Fiber>> all_fibers;
  std::vector<Fiber*> idle;
  std::size_t fiber_bytes = 0;
  std::deque<Task> tasks;
  std::deque<Task*> ready;
  std::vector<Task*> waiting;

  std::string chosen;
  RunStats stats;

 private:
  // tasks.cc
  Fiber* take_fiber();
  void prepare(Task& task, Fiber* fiber, std::uint32_t instance);
  void start(Task& task);
  void resume(Task& task);
  void run_one_by_one(std::vector<std::vector<std::int64_t>>& words, std::vector<std::int64_t>& results);
  void run_as_fibers(std::vector<std::vector<std::int64_t>>& words, std::vector<std::int64_t>& results);
  void fail(std::uint32_t instance, const std::string& sentence);
  void cancel_all();
  // hosts.cc
  std::uint32_t keyed_type(int type, std::int64_t key);
  Slot* take_slots(int count);
  // flush.cc
  int op_type(std::uint32_t type) const {
    const std::size_t own = exe.unit.types.size();
    return type < own ? static_cast<int>(type) : keyed_types[type - own];
  }
  template <typename Visit>
  void each_operand(const PendingNode& node, const Visit& visit) const;
  void launch(std::uint32_t type, std::span<const std::uint32_t> ids);
  void launch_sliced(std::uint32_t type, std::span<const std::uint32_t> ids);
  void flush_by_inline_depth();
  void flush_by_frontier();

  /// While memory is short: every batch that still holds results.
  struct Slice {
    std::unique_ptr<Arena> memory;
    std::int64_t bytes = 0, live = 0;
  };
  std::vector<Slice> slices;
  std::vector<std::uint32_t> slice_of_node;
  std::int64_t held_bytes = 0;
  bool sliced = false;
};

template <typename Visit>
void SessionState::each_tensor(const Type& given, std::int64_t word, const Visit& visit) const {
  const Type type = resolved(given);
  if (type->kind == TypeNode::Kind::tensor) {
    if (word >= 0) visit(reinterpret_cast<Slot*>(word), *type);
  } else if (type->kind == TypeNode::Kind::tuple) {
    for (std::size_t i = 0; i < type->args.size(); ++i)
      each_tensor(type->args[i], object_at(word)[i + 1], visit);
  } else if (type->kind == TypeNode::Kind::data && type->name == "List") {
    for (const std::int64_t* cons = object_at(word); cons[0] == 1; cons = object_at(cons[2]))
      each_tensor(type->args[0], cons[1], visit);
  } else if (type->kind == TypeNode::Kind::data) {
    const std::vector<Type> types = exe.module->field_types(type, static_cast<int>(object_at(word)[0]));
    for (std::size_t i = 0; i < types.size(); ++i) each_tensor(types[i], object_at(word)[i + 1], visit);
  }
}

}  // namespace ballast::dynamic
