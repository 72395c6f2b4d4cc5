// Hugging Face folders in and out: config.json and *.safetensors (one file, or several behind
// model.safetensors.index.json) of the LLaMA, GPT-2, BERT and RoBERTa types.
//
//   std::shared_ptr<BlockModel> model = load_hugging_face("all-MiniLM-L6-v2");
//   save_hugging_face(*model, "tuned", "all-MiniLM-L6-v2");     // with the tokeniser's files of the source
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ballast/model/block_model.h"

namespace ballast::model {

struct HuggingFaceOptions {
  /// Keeps so many blocks: the first half of them from the front, the rest from the back; 0: all.
  std::int64_t keep_blocks = 0;
};

/// A model with the folder's weights as f32. Throws Unavailable (no such folder or file), InvalidInput naming
/// file and key or tensor for another architecture, a rotary scaling that is not built, a tensor that is
/// missing, of another shape, or of no known use. Nothing is loaded in part.
std::shared_ptr<BlockModel> load_hugging_face(const std::string& folder,
                                              const HuggingFaceOptions& options = {});

/// A tensor under its name in Hugging Face's files. `transposed`: the file holds [in, out] (GPT-2's Conv1D).
struct NamedWeight {
  std::string name;
  at::Tensor tensor;
  bool transposed = false;
};
std::vector<NamedWeight> hugging_face_weights(BlockModel& model);

/// Writes config.json and model.safetensors (f32), a sequence head as classifier.weight and .bias; copies the
/// tokeniser's files of `source` when it is a folder that has some. The folder is made; files appear whole.
void save_hugging_face(BlockModel& model, const std::string& folder, const std::string& source = {});

}  // namespace ballast::model
