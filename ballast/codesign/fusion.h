// Fusion: small operators that hardware does on the way out of a larger one are absorbed into it. Each rule
// has its switch; without fusion, element-wise operators dominate the modelled time of real exports.
#pragma once

#include <string>
#include <vector>

#include "ballast/codesign/ir.h"

namespace ballast::codesign {

struct FusionRules {
  bool batch_norm = true;  ///< into the convolution before it
  bool constants = true;   ///< additions and products with a constant (bias, scale)
  bool gates = true;       ///< x * f(x) with a chain of cheap operators: hard-swish, swish, GELU
  bool activation = true;  ///< onto the producer
  bool layer_norm = true;  ///< from ReduceMean, Sub, Pow, Sqrt, Div
};

struct FusionReport {
  int before = 0, after = 0;
  int batch_norm = 0, constants = 0, gates = 0, activations = 0, layer_norms = 0;
};

/// Rewrites the graph in place; results of shared operators are never absorbed.
FusionReport fuse(Graph& graph, const FusionRules& rules = {});

}  // namespace ballast::codesign
