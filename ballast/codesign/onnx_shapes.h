// Shapes of all tensors of an ONNX model with fixed inputs: the library's inference, with the integer
// sub-graphs that carry shapes evaluated here in between.
#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace ballast::codesign {

using ShapeMap = std::map<std::string, std::vector<std::int64_t>>;

/// Replaces evaluated operators of `model` by initializers. Throws InvalidInput when inference refuses the
/// model.
ShapeMap infer_shapes(onnx::ModelProto& model, const std::string& path, int& rounds, int& evaluated);

}  // namespace ballast::codesign
