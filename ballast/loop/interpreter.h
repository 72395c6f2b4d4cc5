// The slow, obvious executor of the loop IR: every access is checked against its buffer's extent and every
// operation counted. It is the oracle of the compilers and the source of the *counted* figures.
//
//   Counters counters = interpret(function, frame);        // throws BoundsError naming buffer, index, extent
#pragma once

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>

#include "ballast/loop/kernel.h"

namespace ballast::loop {

struct Counters {
  std::int64_t multiply_adds = 0;  ///< of gemm statements, and of `accumulate sum` of a product
  std::int64_t loads = 0, stores = 0;
  std::int64_t aux_loads = 0;   ///< of them, reads of int32 tables
  std::int64_t intrinsics = 0;  ///< exp, log, tanh, sqrt, erf
};

/// An access outside its buffer; the sentence names the buffer, the index and the extent.
class BoundsError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Runs tasks [begin, end); end < 0: all.
Counters interpret(const Function& function, const KernelFrame& frame, std::int64_t begin = 0,
                   std::int64_t end = -1);

/// An expression over scalars and aux tables, such as num_tasks.
std::int64_t evaluate(const Expr& e, const KernelFrame& frame, const Var& task = {},
                      std::int64_t task_value = 0);

}  // namespace ballast::loop
