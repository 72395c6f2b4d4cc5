#include "ballast/codesign/model_source.h"

#include <fmt/format.h>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/python_files.h"
#include "ballast/codesign/nets.h"

namespace ballast::codesign {
namespace {

struct OcrModel {
  const char* name;
  const char* file;
  std::vector<std::int64_t> shape;
};
const std::vector<OcrModel>& ocr_models() {
  static const std::vector<OcrModel> models = {
      {"ppocr-rec", "ch_PP-OCRv4_rec_infer.onnx", {1, 3, 48, 320}},
      {"ppocr-det", "ch_PP-OCRv4_det_infer.onnx", {1, 3, 640, 640}},
      {"ppocr-cls", "ch_ppocr_mobile_v2.0_cls_infer.onnx", {1, 3, 48, 192}}};
  return models;
}

}  // namespace

std::string try_ocr_model(const std::string& name) {
  for (const auto& model : ocr_models()) {
    if (name == model.name) return find_python_file(std::string("rapidocr_onnxruntime/models/") + model.file);
  }
  return "";
}

LoadedNet load_net(const std::string& word, const std::vector<std::string>& input_shapes, bool fused) {
  LoadedNet net;
  if (word.ends_with(".onnx")) {
    net.graph = import_onnx(word, parse_input_shapes(input_shapes), &net.import);
  } else if (word.starts_with("ppocr-")) {
    std::vector<std::string> names;
    for (const auto& model : ocr_models()) names.emplace_back(model.name);
    cli::require_one_of("network", word, names);
    const std::string path = try_ocr_model(word);
    if (path.empty())
      throw Unavailable(
          fmt::format("network '{}' is not installed; run setup/setup.sh --only codesign", word));
    InputShapes shapes = parse_input_shapes(input_shapes);
    for (const auto& model : ocr_models()) {
      if (word == model.name && shapes.empty()) shapes["x"] = model.shape;
    }
    net.graph = import_onnx(path, shapes, &net.import);
  } else {
    net.graph = make_net(word);
    net.import.operators = static_cast<int>(net.graph.nodes.size());
  }
  if (fused) net.fusion = fuse(net.graph);
  return net;
}

}  // namespace ballast::codesign
