// Trained networks as ONNX files, written with the library's own messages: batch norm folded, fixed maps, a
// free batch dimension, every constant an initializer, and only operators that onnxruntime and OpenCV's dnn
// both take.
//
// Opset 13 writes layer norm in its parts, with gain and shift folded into the linear layers behind it; opset
// 17 writes LayerNormalization. `int8`: QDQ, symmetric weights by channel, activations by tensor.
#pragma once

#include <string>

#include "ballast/codesign/supernet.h"

namespace ballast::codesign {

struct ExportOptions {
  int opset = 13;          ///< 13 to 17
  bool int8 = false;       ///< needs statistics with ranges
  std::int64_t batch = 0;  ///< images a run; 0: free (OpenCV 4.6 follows squeeze gates only with a fixed one)
};

/// The file's bytes: input "x" [batch, channels, resolution, resolution], output "logits". `statistics` are
/// those of this plan on `net`. Throws InvalidInput for another opset, or int8 without ranges.
std::string export_onnx(const Supernet& net, const Plan& plan, const Statistics& statistics,
                        const ExportOptions& options = {});

}  // namespace ballast::codesign
