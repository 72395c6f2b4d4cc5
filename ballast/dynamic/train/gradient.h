// The gradient of a cell as another cell: it computes the forward operators anew and then walks them
// backwards, so that nothing inside a block needs to be kept. A batch of the cell is differentiated by one
// batch of its gradient.
#pragma once

#include <vector>

#include "ballast/dynamic/compiler/core.h"

namespace ballast::dynamic {

struct GradientCell {
  /// What an output of the gradient cell is added to.
  struct Target {
    enum class Kind : std::uint8_t {
      operand,  ///< input `input` of the forward cell
      rows,     ///< row (i32 of input `index`) of the table at input `input`
      outer     ///< weight at input `input`: this output is dY, the next one X; dW = dY X^T
    };
    Kind kind;
    int input;
    int index = -1;
  };
  Cell cell;  ///< inputs: the forward cell's, then one lane input for the gradient of each of its outputs,
              ///< then more
  std::vector<GlobalId> more;   ///< shared tensors behind those
  std::vector<Target> targets;  ///< in order of the outputs; an outer target takes two
};

/// Throws InvalidInput naming an operator that has no gradient here. May add constants to the program.
GradientCell gradient_of(const Cell& forward, Program& program);

}  // namespace ballast::dynamic
