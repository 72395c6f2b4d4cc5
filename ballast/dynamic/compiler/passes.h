// The passes over the middle form. Each is a function from program to program and leaves its values alone.
#pragma once

#include "ballast/dynamic/compiler/core.h"

namespace ballast::dynamic {

/// Operand-reuse (taint) analysis: which variables always hold the same tensor of the whole run. Those are
/// replaced by it. Where a function gets different weights from different call sites it is copied for each
/// (at most 64 copies). Operators whose operands are all of the whole run become globals themselves.
void reuse_operands(Program& program);
/// The same, but operators of parameters alone stay where they are: training needs their gradients.
void reuse_operands_only(Program& program);
/// What stands in for it when it is off: weights that are variables are looked up at run time (DyNet's way).
void key_weights(Program& program);
/// Joins an operator with the element-wise operators, views and bias that alone use its result.
void fuse_vertically(Program& program);
/// Joins runs of nodes without control flow between them; hoistable ones apart from the others.
void coarsen(Program& program);
/// Dense operators of one cell over the same operand become one with stacked weights.
void fuse_horizontally(Program& program);
/// dense(concat(x, h), W) with x hoistable and h not becomes dense(h, Wh) + dense(x, Wx).
void split_dense(Program& program);
/// Gives nodes that hang on no recursion a fixed depth: as many levels above 0 as their operands need.
void hoist(Program& program);
/// Adds ghost operators to the shorter arms of conditionals.
void add_ghosts(Program& program);
void drop_phases(Program& program);
/// Arms of `concurrent` that wait for tensors become functions of their own, all but the last of them forked:
/// each is run by a fiber, so that their tensor work still meets.
void fork_arms(Program& program);

}  // namespace ballast::dynamic
