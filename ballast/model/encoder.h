// The BERT-type encoder, RoBERTa included: token, position and segment embeddings, post-norm blocks that see
// the whole sequence, GELU with the error function. Padding is masked by TokenBatch::seen. Dropout is left
// out. It has no language-model head of its own: put a SequenceHead on it (BlockModel::sequence_head).
#pragma once

#include <torch/torch.h>

#include <string>
#include <vector>

#include "ballast/model/block_model.h"

namespace ballast::model {

struct EncoderConfig {
  std::int64_t vocabulary = 256;
  std::int64_t hidden = 64;
  std::int64_t blocks = 4;
  std::int64_t heads = 4;
  std::int64_t feed_forward = 256;
  std::int64_t positions = 512;  ///< rows of the position table
  std::int64_t segments = 2;
  double norm_epsilon = 1e-12;
  /// RoBERTa: positions start at padding + 1 and padding tokens keep `padding`.
  bool roberta = false;
  std::int64_t padding = 0;

  void validate();
};

class EncoderBlockImpl : public torch::nn::Module {
 public:
  explicit EncoderBlockImpl(const EncoderConfig& config);
  /// [batch, tokens, hidden] to the same shape; `seen` [batch, tokens] bool, or undefined.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& seen);

  Linear attn_q{nullptr}, attn_k{nullptr}, attn_v{nullptr}, attn_output{nullptr};
  Linear ffn_up{nullptr}, ffn_down{nullptr};
  torch::nn::LayerNorm attn_norm{nullptr}, ffn_norm{nullptr};

 private:
  std::int64_t heads_;
};
TORCH_MODULE(EncoderBlock);

class Encoder : public BlockModel {
 public:
  /// Random weights: normal with standard deviation 0.02 (torch's generator), biases zero, norms one.
  explicit Encoder(EncoderConfig config);

  std::string architecture() const override { return config.roberta ? "roberta" : "bert"; }
  std::int64_t block_count() const override { return static_cast<std::int64_t>(blocks.size()); }
  std::int64_t hidden_size() const override { return config.hidden; }
  std::int64_t vocabulary() const override { return config.vocabulary; }
  std::int64_t context() const override {
    return config.roberta ? config.positions - config.padding - 1 : config.positions;
  }

  at::Tensor embed(const TokenBatch& batch) override;
  at::Tensor block(std::int64_t index, const at::Tensor& hidden, const TokenBatch& batch) override;
  at::Tensor finish(const at::Tensor& hidden, const TokenBatch&) override { return hidden; }
  at::Tensor head_weight() override { return embedding; }
  bool tied() const override { return true; }
  std::vector<NamedLinear> linears(std::int64_t block) override;
  torch::nn::Module& block_module(std::int64_t block) override;

  EncoderConfig config;
  at::Tensor embedding;           ///< [vocabulary, hidden]
  at::Tensor position_embedding;  ///< [positions, hidden]
  at::Tensor segment_embedding;   ///< [segments, hidden]
  torch::nn::LayerNorm embed_norm{nullptr};
  std::vector<EncoderBlock> blocks;
};

}  // namespace ballast::model
