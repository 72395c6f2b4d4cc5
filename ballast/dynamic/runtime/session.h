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
  /// or unbatched, depth, agenda, suff, fsm; auto: the fastest of inline-depth, agenda and (with a table)
  /// fsm, each timed on the first mini-batch.
  std::string policy = "inline-depth";
  std::optional<FsmTable> fsm = {};  ///< for policy fsm
  int threads = 1;
  std::uint64_t seed = 1;            ///< of rand_int
  std::uint64_t first_instance = 0;  ///< number of the first instance of the next run
  Gather gather = Gather::automatic;
  bool fibers = true;    ///< false: an instance that must wait flushes at once
  bool isolate = false;  ///< an instance that fails gives an empty tuple; the others finish
  bool stop_at_nan = false;
  Limits limits = {};
  /// Bytes of results that are held at once. Beyond it a mini-batch is run with dead results given back as it
  /// goes, if the model decides nothing from tensors; otherwise it is refused.
  std::int64_t memory_limit = std::int64_t{16} << 30;
  std::int64_t stack_kib = 1 << 20;  ///< reserved for native control code; a fiber has a 16th of it
};

struct RunStats {
  std::int64_t instances = 0, nodes = 0, batches = 0, flushes = 0, fiber_switches = 0;
  std::int64_t gathered_bytes = 0, contiguous = 0, scattered = 0;  ///< operands of batches
  std::int64_t not_a_number = 0;                                   ///< elements of results
  std::int64_t lower_bound = 0;                                    ///< of batches; frontier policies only
  std::int64_t child_fibers = 0;                                   ///< arms that ran beside their parent
  std::int64_t slices = 0;                                         ///< batches run with results given back
  double encoding_seconds = 0;                                     ///< arguments in
  double control_seconds = 0, scheduling_seconds = 0, operand_seconds = 0, kernel_seconds = 0,
         total_seconds = 0;
};

/// What a lane of a node holds.
struct Slot {
  float* data = nullptr;       ///< null until its node has run
  std::uint32_t producer = 0;  ///< pending node
  std::uint32_t uses = 0;      ///< operands that still read it; counted only where memory is short
};

/// A batch that was run: of each lane its run-time operands (slots, or numbers) and its results.
struct TapeEntry {
  int type;
  std::vector<std::vector<std::int64_t>> operands;
  std::vector<Slot*> results;
};

/// How often a kernel ran.
struct BatchProfile {
  std::int64_t launches = 0, lanes = 0;
};

struct SessionState;

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
  /// Compiles all kernels that runs can need, which else happens when each is first launched.
  void compile_kernels();
  /// Kernels whose code this session generated, rather than found.
  std::int64_t kernels_compiled() const;
  /// Launches and lanes of every operator type since the session was made.
  const std::vector<BatchProfile>& profile() const;
  /// What policy auto measured and chose; empty before that.
  const std::string& chosen() const;

 private:
  std::unique_ptr<SessionState> state_;
};

}  // namespace ballast::dynamic
