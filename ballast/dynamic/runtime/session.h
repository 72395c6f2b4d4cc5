// Runs mini-batches of a compiled model.
//
//   Session session(exe, parameters, {.policy = "inline-depth"});
//   std::vector<Value> out = session.run(batch);       // one value an instance, in order
//   session.stats()                                    // batches, nodes, gathers, where the time went
//
// The life of a mini-batch: every instance's control program runs and appends nodes; where it needs a number
// from a tensor it stops, as a fiber, until nobody can go on; then the pending nodes are grouped by the
// policy, each group is one kernel launch, and the fibers go on. One session is used by one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ballast/dynamic/compiler/compile.h"
#include "ballast/dynamic/fsm.h"
#include "ballast/dynamic/language/reference.h"

namespace ballast::dynamic {

/// How scattered operands reach a kernel.
enum class Gather : std::uint8_t {
  fused,     ///< the kernel reads through pointers
  copied,    ///< they are copied together first (DyNet's way)
  automatic  ///< pointers, but plain addresses where all operands lie side by side already
};

struct SessionOptions {
  std::string policy = "inline-depth";  ///< or unbatched, depth, agenda, suff, fsm
  std::optional<FsmTable> fsm = {};     ///< for policy fsm
  int threads = 1;
  std::uint64_t seed = 1;            ///< of rand_int
  std::uint64_t first_instance = 0;  ///< number of the first instance of the next run
  Gather gather = Gather::automatic;
  bool fibers = true;    ///< false: an instance that must wait flushes at once
  bool isolate = false;  ///< an instance that fails gives an empty tuple; the others finish
  bool stop_at_nan = false;
  Limits limits = {};
  std::int64_t memory_limit = std::int64_t{16} << 30;  ///< bytes of results of a mini-batch
  std::int64_t stack_kib = 1 << 20;  ///< reserved for native control code; a fiber has a 16th of it
};

struct RunStats {
  std::int64_t instances = 0, nodes = 0, batches = 0, flushes = 0, fiber_switches = 0;
  std::int64_t gathered_bytes = 0, contiguous = 0, scattered = 0;  ///< operands of batches
  std::int64_t not_a_number = 0;                                   ///< elements of results
  std::int64_t lower_bound = 0;                                    ///< of batches; frontier policies only
  double control_seconds = 0, scheduling_seconds = 0, operand_seconds = 0, kernel_seconds = 0,
         total_seconds = 0;
};

/// The safe and unsafe side of one run's tensors: what a lane holds.
struct Slot {
  float* data = nullptr;       ///< null until its node has run
  std::uint32_t producer = 0;  ///< pending node
};

/// A batch that was run: of each lane its run-time operands (slots, or numbers) and its results.
struct TapeEntry {
  int type;
  std::vector<std::vector<std::int64_t>> operands;
  std::vector<Slot*> results;
};

class Session {
 public:
  using Arguments = std::vector<Value>;

  Session(const Executable& exe, Parameters parameters, SessionOptions options = {});
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Throws InvalidInput for arguments that do not fit, and for an instance that fails unless `isolate`.
  std::vector<Value> run(std::span<const Arguments> batch);
  const RunStats& stats() const;  ///< of all runs since reset_stats
  void reset_stats();
  /// The graph of the last flush (frontier policies only), for training a policy.
  Graph graph_of(std::span<const Arguments> batch);
  /// What went wrong with an instance of the last run; empty if nothing.
  const std::vector<std::string>& errors() const;
  SessionOptions& options();
  /// With a tape, a run keeps its batches until the next one, and the tensors of one element of its results.
  void record(bool on);
  const std::vector<TapeEntry>& tape() const;
  const std::vector<const Slot*>& losses() const;
  /// What is derived from the parameters is made anew before the next run.
  Parameters& change_parameters();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ballast::dynamic
