// From an ONNX file to the graph that cost models read. Shapes are inferred with the library's own inference;
// where a real export hides a shape behind Shape -> Cast -> Slice -> Concat -> Reshape, the integer sub-graph
// is evaluated here and inference runs again, until nothing changes.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ballast/codesign/ir.h"

namespace ballast::codesign {

/// "x" -> {1, 3, 48, 320}
using InputShapes = std::map<std::string, std::vector<std::int64_t>>;

/// Parses "x:1x3x48x320"; throws InvalidInput showing the accepted form.
InputShapes parse_input_shapes(const std::vector<std::string>& words);

struct ImportReport {
  int operators = 0;  ///< in the file
  int inference_rounds = 0;
  int evaluated = 0;                     ///< integer operators that were evaluated here
  std::vector<std::string> unsupported;  ///< operators costed as Other on the host, by ONNX name
};

/// Throws InvalidInput: not an ONNX file (with the byte), a symbolic dimension without a given shape (listing
/// all inputs), a shape that stays unknown on an operator with cost (naming it), a cyclic or inconsistent
/// graph.
Graph import_onnx(const std::string& path, const InputShapes& shapes, ImportReport* report = nullptr);

}  // namespace ballast::codesign
