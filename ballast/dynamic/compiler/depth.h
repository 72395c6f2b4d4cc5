// Abstract depths: how many levels of nodes lie above a value, where that is the same in every run.
#pragma once

#include <map>

#include "ballast/dynamic/compiler/core.h"

namespace ballast::dynamic {

constexpr int kNoDepth = 16;  ///< not constant

/// Of each node and add_n statement: the level at which all its operands are there; kNoDepth in a recursion.
/// Of each variable of each function in `of_variable`, if it is given.
std::map<const Stmt*, int> start_depths(const Program& program,
                                        std::vector<std::vector<int>>* of_variable = nullptr);

}  // namespace ballast::dynamic
