// Positions in dense arrays, for the recording and the lowering of lane programs.
#pragma once

#include "ballast/loop/batched.h"

namespace ballast::loop {

inline std::int64_t volume(const LaneProgram::Shape& shape) {
  std::int64_t v = 1;
  for (const std::int64_t d : shape) v *= d;
  return v;
}

inline Expr flat(const LaneProgram::Shape& shape, const std::vector<Expr>& index) {
  Expr position = 0;
  for (std::size_t i = 0; i < shape.size(); ++i) position = position * Expr(shape[i]) + index[i];
  return position;
}

}  // namespace ballast::loop
