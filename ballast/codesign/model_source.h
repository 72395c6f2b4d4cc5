// Networks by word: an ONNX file, a reference network built here, or one of the OCR models that set-up
// installs.
#pragma once

#include <string>
#include <vector>

#include "ballast/codesign/fusion.h"
#include "ballast/codesign/ir.h"
#include "ballast/codesign/onnx_import.h"

namespace ballast::codesign {

struct LoadedNet {
  Graph graph;
  ImportReport import;
  FusionReport fusion;
};

/// `word`: a path ending in .onnx; ppocr-rec, ppocr-det or ppocr-cls (PyPI package rapidocr-onnxruntime, with
/// their usual input sizes); or a name of nets.h. Throws Unavailable naming setup/setup.sh when the package
/// is not there.
LoadedNet load_net(const std::string& word, const std::vector<std::string>& input_shapes, bool fused = true);

/// Path of an installed OCR model, or an empty string.
std::string try_ocr_model(const std::string& name);

}  // namespace ballast::codesign
