// Launches batches: finds each operand of each lane, chooses the kernel's variant, gives results their place.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "ballast/dynamic/compiler/kernels.h"
#include "ballast/dynamic/runtime/globals.h"
#include "ballast/dynamic/runtime/session.h"

namespace ballast::dynamic {

/// Memory that is taken piece by piece and given back as a whole. Alignments are powers of two up to 64.
class Arena {
 public:
  /// Memory is taken from the system in chunks of at least this size.
  explicit Arena(std::size_t least_chunk = std::size_t{4} << 20) : least_(least_chunk) {}
  template <typename T>
  T* take(std::size_t count, std::size_t alignment = 64) {
    return static_cast<T*>(bytes(count * sizeof(T), alignment));
  }
  void reset() { block_ = used_ = 0; }

 private:
  void* bytes(std::size_t size, std::size_t alignment);
  struct Free {
    void operator()(std::byte* p) const;
  };
  struct Chunk {
    std::unique_ptr<std::byte, Free> memory;
    std::size_t size;
  };
  std::size_t least_;
  std::vector<Chunk> chunks_;
  std::size_t block_ = 0, used_ = 0;
};

/// A node of the mini-batch's graph.
struct PendingNode {
  std::uint32_t type, phase, depth, instance;
  std::uint32_t first, count;  ///< run-time operands in the pool: slots or numbers
  Slot* results;
};

class BatchRunner {
 public:
  /// `cache`: of machine code, as KernelRegistry's.
  BatchRunner(const std::vector<OpType>& types, Globals& globals, int threads,
              const std::string& cache = "default", std::vector<KernelChoice> choices = {});
  ~BatchRunner();

  /// One launch over these nodes, all of OpType `type`.
  void run(int type, std::span<const std::uint32_t> nodes, const std::vector<PendingNode>& all,
           const std::int64_t* pool, const SessionOptions& options, Arena& arena, RunStats& stats);
  /// Bytes that the results of one node of the type take.
  std::int64_t result_bytes(int type) const;
  /// Both variants of every type's kernel.
  void compile_all();
  loop::KernelRegistry& registry();
  const std::vector<BatchProfile>& profile() const;
  /// Whether a batch can be made up for timing: no keyed weights, no list of any length.
  bool can_be_timed(int type) const;
  /// Seconds of one batch of made-up, scattered operands under a choice: the least of several.
  double time(int type, std::int64_t lanes, const KernelChoice& choice, std::uint64_t seed);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ballast::dynamic
