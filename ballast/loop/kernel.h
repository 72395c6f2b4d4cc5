// The kernel interface shared by `ragged` and `dynamic` (ragged specification 4.4).
//
// A kernel is a loop-IR function over tasks. Its life:
//
//   Function f = ...;                              // loop IR: built by ragged's schedules or by batched.h
//   auto kernel = registry.get(f);                 // compiled once a signature, cached in memory and on disk
//   KernelFrame frame{buffers, scalars, aux, scratch};
//   kernel->run(&frame, 0, kernel->num_tasks(&frame));              // here, in this thread
//   Launcher(threads).run(*kernel, frame);                          // or over oneTBB, balanced by task_cost
//
// `run(frame, begin, end)` executes tasks [begin, end). Kernels are re-entrant and allocate nothing; tasks of
// one frame may run in any order and at the same time, and the result is the same bits whatever the split.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ballast/loop/ir.h"

namespace ballast::loop {

class GemmTiles;
struct GemmArgs;

/// One operand: entry `i` of KernelFrame::buffers. For PtrTable the entry is a `void* const*` of one base
/// pointer a lane; for RowIndex the lane's row number is aux[aux_slot][lane].
struct OperandDesc {
  std::string name;
  DType dtype = DType::f32;
  Access access = Access::Dense;
  bool written = false;
  int aux_slot = -1;
};

/// Entry `i` of KernelFrame::scalars, with its declared range (inclusive).
struct ScalarDesc {
  std::string name;
  std::int64_t low = 0, high = kNoMaximum;
};

struct KernelSignature {
  std::string name;
  std::vector<OperandDesc> operands;
  std::vector<ScalarDesc> scalars;
  std::vector<std::string> aux;    ///< names of the int32 tables, in order of KernelFrame::aux
  std::int64_t scratch_bytes = 0;  ///< per worker; KernelFrame::scratch must have 64-byte alignment
};

struct KernelFrame {
  void* const* buffers = nullptr;
  const std::int64_t* scalars = nullptr;
  const std::int32_t* const* aux = nullptr;
  std::byte* scratch = nullptr;
};
using RunFn = void (*)(const KernelFrame*, std::int64_t begin, std::int64_t end);

/// A kernel before compilation.
struct Function {
  KernelSignature signature;
  Var task;        ///< variable of the task loop
  Expr num_tasks;  ///< over scalars and aux tables
  Expr task_cost;  ///< over `task` too; in multiply-adds or elements moved, any one unit; empty: 1
  Stmt body;       ///< of one task
};
/// Everything that the compiled code depends on, as text. Equal text, equal kernel.
std::string to_text(const Function& function);

/// A compiled kernel. It stays valid as long as the registry's JIT lives.
class CompiledKernel {
 public:
  const KernelSignature& signature() const { return signature_; }
  void run(const KernelFrame* frame, std::int64_t begin, std::int64_t end) const { run_(frame, begin, end); }
  std::int64_t num_tasks(const KernelFrame* frame) const { return num_tasks_(frame); }
  std::int64_t task_cost(const KernelFrame* frame, std::int64_t task) const {
    return task_cost_(frame, task);
  }
  RunFn run_function() const { return run_; }

 private:
  friend class KernelRegistry;
  KernelSignature signature_;
  RunFn run_ = nullptr;
  std::int64_t (*num_tasks_)(const KernelFrame*) = nullptr;
  std::int64_t (*task_cost_)(const KernelFrame*, std::int64_t) = nullptr;
};

struct RegistryStats {
  std::int64_t requests = 0;
  std::int64_t kernels = 0;    ///< different functions asked for
  std::int64_t compiled = 0;   ///< modules (kernels and tiles) whose code was generated in this process
  std::int64_t from_disk = 0;  ///< modules whose code came from the object cache
  std::int64_t damaged = 0;    ///< entries of the cache that were removed
  double seconds = 0;          ///< spent on emission and compilation
};

/// Compiles functions and keeps them, keyed by their text. Thread-safe.
class KernelRegistry {
 public:
  /// `cache_directory`: of compiled objects; "": none; "default": $XDG_CACHE_HOME/ballast/jit or
  /// ~/.cache/ballast/jit.
  /// `product`: what kernels call for a matrix product; null: this house's own tiles (gemm.h).
  explicit KernelRegistry(const std::string& cache_directory = "default",
                          void (*product)(GemmTiles&, const GemmArgs&) = nullptr);
  ~KernelRegistry();
  KernelRegistry(const KernelRegistry&) = delete;
  KernelRegistry& operator=(const KernelRegistry&) = delete;

  std::shared_ptr<const CompiledKernel> get(const Function& function);
  /// Compiles on another thread; `get` of the same function waits for it.
  void prefetch(const Function& function);
  RegistryStats stats() const;
  /// The optimised code of a function, for reading: "llvm" or "asm".
  std::string emit(const Function& function, const std::string& form) const;
  /// The matrix tiles of this host, for packing and for products outside kernels.
  GemmTiles& tiles();
  /// LLVM's name of this CPU.
  std::string host() const;

 private:
  std::shared_ptr<const CompiledKernel> compile(const Function& function);
  struct State;
  std::unique_ptr<State> state_;
};

/// How tasks are cut over the workers.
enum class Balance : std::uint8_t {
  contiguous,   ///< equal numbers of tasks
  cost_prefix,  ///< contiguous ranges of equal modelled cost, with stealing of halves
  dynamic,      ///< oneTBB's own splitting
  lpt           ///< single tasks, the heaviest first, each to the worker that is free first
};

/// Runs one frame, or several frames as one parallel region (horizontal fusion at run time), on oneTBB.
class Launcher {
 public:
  explicit Launcher(int threads = 0);  ///< 0: all cores
  ~Launcher();
  Launcher(const Launcher&) = delete;
  Launcher& operator=(const Launcher&) = delete;

  struct Job {
    const CompiledKernel* kernel;
    KernelFrame frame;  ///< `scratch` is filled by the launcher
  };
  void run(const CompiledKernel& kernel, const KernelFrame& frame, Balance balance = Balance::cost_prefix);
  void run(std::span<const Job> jobs, Balance balance = Balance::cost_prefix);
  int threads() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Pieces a worker gets on average with cost_prefix: enough for idle workers to take over, few enough to cost
/// nothing.
constexpr int kPiecesPerWorker = 8;

/// Ranges of [0, costs.size()) with equal sums of cost, at most `parts`; the cut points, first 0 and last n.
std::vector<std::int64_t> cut_by_cost(std::span<const std::int64_t> costs, int parts);

}  // namespace ballast::loop
