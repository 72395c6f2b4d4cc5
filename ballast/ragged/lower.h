// From a stage and its schedule to loop IR: bound inference by named dimensions, flat positions (storage.h),
// guards with proofs, load hoisting, local copies.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ballast/loop/simplify.h"
#include "ballast/ragged/schedule.h"
#include "ballast/ragged/storage.h"

namespace ballast::ragged {

struct LoweredKernel {
  loop::Function function;
  std::vector<Tensor> operands;     ///< in order of the frame's buffers; the last is written
  std::vector<std::int64_t> slack;  ///< elements behind each operand that padded bulk iterations may touch
  int order_table = -1;             ///< aux slot of the task permutation
  /// The permutation in closed form, over `remap_task`; empty: by falling cost.
  loop::Expr remap;
  loop::Var remap_task;
  std::vector<std::string> guards;  ///< conditions that stayed in the code
  std::vector<loop::Proof> proofs;  ///< conditions that did not, because they hold
};
/// Throws CompileError naming stage, loop, primitive and a hint.
LoweredKernel lower(Tables& tables, const Schedule& schedule);

}  // namespace ballast::ragged
