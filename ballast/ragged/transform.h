// Changes of whole stages, before they are scheduled: operation splitting (the paper), factoring of
// reductions, inlining. A change that is not possible throws CompileError with the reason.
#pragma once

#include <utility>

#include "ballast/ragged/stage.h"

namespace ballast::ragged {

/// Two stages over [0, p) and [p, extent) of the axis d, each to be scheduled on its own, writing one tensor.
/// For a reduction axis the second adds to the first's result and must run after it.
std::pair<Tensor, Tensor> split_op(const Tensor& stage, const Dim& d, const LengthFn& p);

/// The reduction over d in two stages: the first reduces pieces of `factor` elements into a tensor with one
/// more dimension, the number of the piece; the second, which keeps the name, reduces the pieces. The pieces
/// can run in parallel; the sum's order changes, so its last bits may.
std::pair<Tensor, Tensor> rfactor(const Tensor& stage, const Dim& d, std::int64_t factor);

/// The consumer with the producer's expression in place of every read of it. The producer must not reduce.
Tensor compute_inline(const Tensor& consumer, const Tensor& producer);

}  // namespace ballast::ragged
