// From the middle form to a control program (loop/control.h): what runs once an instance, decides, and
// appends nodes to the mini-batch's graph.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "ballast/dynamic/compiler/core.h"
#include "ballast/dynamic/compiler/kernels.h"
#include "ballast/loop/control.h"

namespace ballast::dynamic {

/// A place in the program that appends nodes.
struct Site {
  int type;  ///< OpType
  int operands,
      results;  ///< run-time operands: lanes, numbers and keyed weights, in the order of the cell's inputs
  int static_depth;  ///< -1: the running depth
  int keyed = -1;    ///< the operand that is a keyed weight
  std::uint32_t function = 0, line = 0;
};

/// Host functions, in this order.
enum class Host : std::int32_t {
  append,
  append_sum,
  item_real,
  item_integer,
  random,
  fork,
  divide,
  remainder,
  phase,
  spawn,  ///< immediate: the function of an arm
  join
};

struct ControlUnit {
  loop::ControlProgram program;
  std::vector<Site> sites;
  std::vector<OpType> types;
  std::vector<std::string> function_names;
  bool synchronises = false;  ///< reaches an `item`
  bool draws = false;         ///< reaches a rand_int
  int entry = 0;
};

/// An atom that is a global tensor where a run-time operand is needed is passed as constant `-1 - id`.
ControlUnit to_control(const Program& program);

}  // namespace ballast::dynamic
