// From a cell to a batched kernel (loop/batched.h), with the list of what its frame must hold.
#pragma once

#include <cstdint>
#include <vector>

#include "ballast/dynamic/compiler/core.h"
#include "ballast/loop/kernel.h"

namespace ballast::dynamic {

/// What nodes must have in common to run as one batch: the operators, the shapes, the shared operands.
struct OpType {
  Cell cell;
  std::vector<std::int64_t> globals;  ///< of each input: the shared tensor, or -1
  bool variadic = false;              ///< add_n: the operands are a list of any length
  std::string name;                   ///< for people
  bool same_work(const OpType& other) const {
    return cell == other.cell && globals == other.globals && variadic == other.variadic;
  }
};

/// What tuning chooses for a kernel (tuning.h).
struct KernelChoice {
  enum class Reading : std::uint8_t {
    automatic,  ///< pointers, or plain addresses where all operands lie side by side already
    pointers,
    copied  ///< operands are copied together first
  };
  std::int64_t tile = 32;  ///< lanes of one task
  Reading reading = Reading::automatic;
  bool operator==(const KernelChoice&) const = default;
};

/// An entry of a kernel's frame.
struct FrameEntry {
  enum class Kind : std::uint8_t {
    lane,    ///< input `index`: pointers, or one address where its lanes are contiguous
    shared,  ///< tensor of global `index`
    packed,  ///< the same in panels (loop::pack_panels)
    rows,    ///< table of global `index`; row numbers from input `other`
    number,  ///< the i32 of input `index`, one a lane
    keyed,   ///< the one tensor of input `index`
    output   ///< output `index`
  };
  Kind kind;
  std::int64_t index;
  int other = -1;
};

struct KernelPlan {
  loop::Function function;
  std::vector<FrameEntry> frame;
};

/// `contiguous`: which lane inputs lie side by side (a bit an input); the others come as pointer lists.
/// `tile`: lanes of one task; no result depends on it.
KernelPlan plan_kernel(const OpType& type, std::uint64_t contiguous, std::int64_t tile = 32);

}  // namespace ballast::dynamic
