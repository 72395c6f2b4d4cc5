// The tensors of a whole run: parameters and what the compiler derives from them (stacked weights, columns,
// operators of parameters alone), plain and, for products, in panels.
#pragma once

#include <vector>

#include "ballast/dynamic/compiler/core.h"
#include "ballast/dynamic/language/reference.h"
#include "ballast/loop/kernel.h"

namespace ballast::dynamic {

class Globals {
 public:
  /// Throws InvalidInput listing every parameter that is missing, unknown or of another size.
  Globals(const Program& program, Parameters parameters);

  float* plain(GlobalId id);
  /// In panels, for x W^T; made when first asked for.
  float* packed(GlobalId id);
  const Parameters& parameters() const { return parameters_; }
  /// After a change of parameters(): everything derived is made anew when it is asked for.
  Parameters& change();
  /// How a gradient of a global reaches the parameters: adds `gradient` to what it was derived from.
  void spread(GlobalId id, const std::vector<float>& gradient, Parameters& to) const;

 private:
  void make(GlobalId id);
  const Program& program_;
  Parameters parameters_;
  std::vector<std::vector<float>> plain_, packed_;
};

}  // namespace ballast::dynamic
