// Loop IR to LLVM IR.
//
// A vector loop is compiled in the SPMD manner: the loop variable becomes `lanes` consecutive values, every
// expression that depends on it a vector; reads at unit stride become vector loads, at stride 0 a broadcast,
// others gathers; local buffers allocated inside have one copy a lane; an `accumulate` to a place that does
// not depend on the variable is a reduction, kept in one vector register and folded after the loop by a fixed
// tree. The tail runs once under a mask. exp, tanh and erf are polynomials (math.h), not calls.
#pragma once

#include "ballast/loop/jit.h"
#include "ballast/loop/kernel.h"

namespace ballast::loop {

/// Three functions: run(frame, begin, end), num_tasks(frame), task_cost(frame, task).
Jit::Fill emit_kernel(const Function& function, int vector_bytes);

/// Whether a loop can be compiled with lanes: inner bounds and scalar conditions do not depend on its
/// variable, and it holds no gemm. A vector loop that cannot is compiled as a serial one.
bool vectorisable(const StmtNode& loop);

}  // namespace ballast::loop
