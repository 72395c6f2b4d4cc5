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

/// Memory that is taken piece by piece and given back as a whole; pieces are 64-byte aligned.
class Arena {
 public:
  template <typename T>
  T* take(std::size_t count) {
    return static_cast<T*>(bytes(count * sizeof(T)));
  }
  void reset() { block_ = used_ = 0; }

 private:
  void* bytes(std::size_t size);
  struct Free {
    void operator()(std::byte* p) const;
  };
  struct Chunk {
    std::unique_ptr<std::byte, Free> memory;
    std::size_t size;
  };
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
  BatchRunner(const std::vector<OpType>& types, Globals& globals, int threads);
  ~BatchRunner();

  /// One launch over these nodes, all of OpType `type`.
  void run(int type, std::span<const std::uint32_t> nodes, const std::vector<PendingNode>& all,
           const std::int64_t* pool, const SessionOptions& options, Arena& arena, RunStats& stats);
  /// Bytes that the results of one node of the type take.
  std::int64_t result_bytes(int type) const;
  loop::KernelRegistry& registry();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ballast::dynamic
