// The GPT-2 type decoder: pre-norm LayerNorm with bias, learned positions, one fused matrix for queries, keys
// and values, GELU in its tanh form, a head tied to the embedding. Dropout is left out: fine-tuning here is
// deterministic. Weights come from random initialisation or from Hugging Face folders (hugging_face.h).
#pragma once

#include <torch/torch.h>

#include <string>
#include <vector>

#include "ballast/model/block_model.h"

namespace ballast::model {

struct Gpt2Config {
  std::int64_t vocabulary = 256;
  std::int64_t hidden = 64;
  std::int64_t blocks = 4;
  std::int64_t heads = 4;
  std::int64_t feed_forward = 0;  ///< 0: 4 * hidden
  std::int64_t context = 1024;
  double norm_epsilon = 1e-5;

  /// Fills feed_forward; throws InvalidInput when sizes do not fit together.
  void validate();
};

class Gpt2BlockImpl : public torch::nn::Module {
 public:
  explicit Gpt2BlockImpl(const Gpt2Config& config);
  /// [batch, tokens, hidden] to the same shape.
  at::Tensor forward(const at::Tensor& x);

  torch::nn::LayerNorm attn_norm{nullptr}, ffn_norm{nullptr};
  Linear attn_qkv{nullptr}, attn_output{nullptr}, ffn_up{nullptr}, ffn_down{nullptr};

 private:
  std::int64_t heads_;
};
TORCH_MODULE(Gpt2Block);

class Gpt2 : public BlockModel {
 public:
  /// Random weights: normal with standard deviation 0.02 (torch's generator), biases zero, norms one.
  explicit Gpt2(Gpt2Config config);

  std::string architecture() const override { return "gpt2"; }
  std::int64_t block_count() const override { return static_cast<std::int64_t>(blocks.size()); }
  std::int64_t hidden_size() const override { return config.hidden; }
  std::int64_t vocabulary() const override { return config.vocabulary; }
  std::int64_t context() const override { return config.context; }

  at::Tensor embed(const TokenBatch& batch) override;
  at::Tensor block(std::int64_t index, const at::Tensor& hidden, const TokenBatch& batch) override;
  at::Tensor finish(const at::Tensor& hidden, const TokenBatch& batch) override;
  at::Tensor head_weight() override { return embedding; }
  bool tied() const override { return true; }
  std::vector<NamedLinear> linears(std::int64_t block) override;
  torch::nn::Module& block_module(std::int64_t block) override;

  Gpt2Config config;
  at::Tensor embedding;  ///< [vocabulary, hidden]
  at::Tensor positions;  ///< [context, hidden]
  std::vector<Gpt2Block> blocks;
  torch::nn::LayerNorm output_norm{nullptr};
};

}  // namespace ballast::model
