// Where a model comes from, whatever its kind: a GGUF file, a Hugging Face folder, what set-up installs, or
// random weights; with the vocabulary that belongs to it.
//
//   ModelSource source = open_model("minilm", {});
//   std::shared_ptr<model::BlockModel> model = source.load();       // a fresh copy each time
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "ballast/tune/gguf_model.h"
#include "ballast/tune/vocabulary.h"

namespace ballast::tune {

struct ModelSource {
  std::shared_ptr<GgufModel> gguf;  ///< null when it came from elsewhere
  std::string folder;               ///< of Hugging Face; empty when it came from elsewhere
  std::shared_ptr<const Vocabulary> vocabulary;
  std::string label;  ///< "SmolLM2-135M-Instruct.Q4_1, 8 blocks"
  std::function<std::shared_ptr<model::BlockModel>()> load;
};

/// "smollm2" and "minilm" (set-up installs them), the path of a .gguf file or of a folder, or random weights
/// with bytes as tokens: "tiny", "mini" (LLaMA type), "gpt2-mini", "bert-mini". Throws InvalidInput for other
/// words, Unavailable naming set-up when a shipped model is not there.
ModelSource open_model(const std::string& name, std::int64_t keep_blocks, std::uint64_t seed);

/// Writes the model as a Hugging Face folder, with the source's tokeniser files where it has some.
void export_folder(model::BlockModel& model, const ModelSource& source, const std::string& folder);

}  // namespace ballast::tune
