// GGUF files of the LLaMA type as trainable decoders. Quantised tensors are dequantised to f32: that is the
// starting point of training, not the model before its quantisation.
//
//   GgufModel source(llama::shipped_model(), {.keep_blocks = 8});
//   std::vector<std::int32_t> tokens = source.tokenize(text);
//   auto model = source.load();                     // under a DeviceScope: its weights then lie on the
//   device
//
// GGUF holds the rows of attn_q and attn_k for interleaved rotary pairs; our decoder rotates halves, as
// Hugging Face's does. Rows are reordered on reading and back on writing.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ballast/llama/gguf.h"
#include "ballast/llama/model.h"
#include "ballast/llama/weights.h"
#include "ballast/model/decoder.h"

namespace ballast::tune {

struct GgufOptions {
  /// Keeps so many blocks, the first half of them from the front and the rest from the back (the middle of a
  /// deep model is the part that it misses least); 0: all.
  std::int64_t keep_blocks = 0;
};

class GgufModel {
 public:
  /// Reads header and vocabulary. Throws InvalidInput naming file and key for another architecture, a rotary
  /// scaling that is not built, or sizes that do not fit together.
  explicit GgufModel(const std::string& path, const GgufOptions& options = {});

  const model::DecoderConfig& config() const { return config_; }
  const std::string& path() const { return file_.path(); }
  /// A fresh decoder with the file's weights. Throws InvalidInput naming a tensor that is missing or of
  /// another shape.
  std::shared_ptr<model::Decoder> load() const;
  std::vector<std::int32_t> tokenize(const std::string& text) const;
  const llama::Model& vocabulary() const { return vocabulary_; }

 private:
  llama::Gguf file_;
  llama::Model vocabulary_;
  model::DecoderConfig config_;
  std::vector<std::int64_t> kept_;  // the file's number of each block
};

/// Rows [heads × size, in] from interleaved pairs (GGUF) to halves (ours), and back.
at::Tensor rows_to_halves(const at::Tensor& weight, std::int64_t heads);
at::Tensor rows_to_pairs(const at::Tensor& weight, std::int64_t heads);

/// GGUF names with their tensors in `decoder`, in GGUF's row order: what an export writes.
std::vector<std::pair<std::string, at::Tensor>> gguf_tensors(model::BlockModel& model);

/// Writes a tuned decoder as a GGUF with the metadata of `from` (the file that
/// it was loaded from), which llama.cpp and `ballast serve` load. Throws
/// Unavailable when it cannot be written; nothing half-written is left.
/// InvalidInput for a model that is no LLaMA-type decoder.
void export_gguf(model::BlockModel& model, const std::string& from, const std::string& to,
                 llama::NumberFormat format);

}  // namespace ballast::tune
