// The LLaMA-type decoder: pre-norm RMSNorm, grouped-query attention with rotary positions, SwiGLU. SmolLM2,
// LLaMA and many others are of this type. Weights come from random initialisation here, from GGUF files
// through gguf.h, or from Hugging Face folders through checkpoint.h.
//
//   auto model = std::make_shared<model::Decoder>(model::DecoderConfig{.vocabulary = 256, .hidden = 64,
//   ...});
#pragma once

#include <torch/torch.h>

#include <memory>
#include <vector>

#include "ballast/model/attention.h"
#include "ballast/model/block_model.h"

namespace ballast::model {

struct DecoderConfig {
  std::int64_t vocabulary = 256;
  std::int64_t hidden = 64;
  std::int64_t blocks = 4;
  std::int64_t heads = 4;
  std::int64_t kv_heads = 2;
  std::int64_t head_size = 0;  ///< 0: hidden / heads
  std::int64_t feed_forward = 176;
  std::int64_t context = 2048;
  double rope_theta = 10000.0;
  double norm_epsilon = 1e-5;
  bool tied = true;  ///< the head is the embedding

  /// Fills head_size; throws InvalidInput when sizes do not fit together.
  void validate();
};

/// x / √(mean(x²) + ε) · weight over the last dimension.
class RmsNormImpl : public torch::nn::Module {
 public:
  RmsNormImpl(std::int64_t size, double epsilon);
  at::Tensor forward(const at::Tensor& x);

  at::Tensor weight;  ///< [size]
  double epsilon;
};
TORCH_MODULE(RmsNorm);

class DecoderBlockImpl : public torch::nn::Module {
 public:
  explicit DecoderBlockImpl(const DecoderConfig& config);
  /// [batch, tokens, hidden] to the same shape.
  at::Tensor forward(const at::Tensor& x, const RotaryTable& rotary);

  RmsNorm attn_norm{nullptr}, ffn_norm{nullptr};
  Linear attn_q{nullptr}, attn_k{nullptr}, attn_v{nullptr}, attn_output{nullptr};
  Linear ffn_gate{nullptr}, ffn_up{nullptr}, ffn_down{nullptr};

 private:
  std::int64_t heads_, kv_heads_, head_size_;
};
TORCH_MODULE(DecoderBlock);

class Decoder : public BlockModel {
 public:
  /// Random weights: normal with standard deviation 0.02 (torch's generator), norms one.
  /// `random_weights` false leaves them unset, for a loader to fill.
  explicit Decoder(DecoderConfig config, bool random_weights = true);

  std::string architecture() const override { return "llama"; }
  std::int64_t block_count() const override { return static_cast<std::int64_t>(blocks.size()); }
  std::int64_t hidden_size() const override { return config.hidden; }
  std::int64_t vocabulary() const override { return config.vocabulary; }
  std::int64_t context() const override { return config.context; }

  at::Tensor embed(const TokenBatch& batch) override;
  at::Tensor block(std::int64_t index, const at::Tensor& hidden, const TokenBatch& batch) override;
  at::Tensor finish(const at::Tensor& hidden, const TokenBatch& batch) override;
  at::Tensor head_weight() override { return config.tied ? embedding : head; }
  bool tied() const override { return config.tied; }
  std::vector<NamedLinear> linears(std::int64_t block) override;
  torch::nn::Module& block_module(std::int64_t block) override;

  DecoderConfig config;
  at::Tensor embedding;  ///< [vocabulary, hidden]
  at::Tensor head;       ///< [vocabulary, hidden]; undefined when tied
  std::vector<DecoderBlock> blocks;
  RmsNorm output_norm{nullptr};

 private:
  RotaryTable rotary_;
};

}  // namespace ballast::model
