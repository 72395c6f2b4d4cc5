#include "ballast/model/decoder.h"

#include "ballast/base/errors.h"

namespace ballast::model {

void DecoderConfig::validate() {
  const auto positive = [](const char* what, std::int64_t value) {
    if (value < 1) throw InvalidInput(what, std::to_string(value), "at least 1");
  };
  positive("vocabulary", vocabulary);
  positive("hidden size", hidden);
  positive("blocks", blocks);
  positive("heads", heads);
  positive("key-value heads", kv_heads);
  positive("feed-forward size", feed_forward);
  positive("context", context);
  if (heads % kv_heads != 0) {
    throw InvalidInput("key-value heads", std::to_string(kv_heads),
                       "a divisor of the heads (" + std::to_string(heads) + ")");
  }
  if (head_size == 0) {
    if (hidden % heads != 0) {
      throw InvalidInput("heads", std::to_string(heads),
                         "a divisor of the hidden size (" + std::to_string(hidden) + ")");
    }
    head_size = hidden / heads;
  }
  if (head_size % 2 != 0)
    throw InvalidInput("head size", std::to_string(head_size), "even sizes (rotary pairs)");
}

RmsNormImpl::RmsNormImpl(std::int64_t size, double eps) : epsilon(eps) {
  weight = register_parameter("weight", torch::ones({size}));
}

at::Tensor RmsNormImpl::forward(const at::Tensor& x) {
  return x * at::rsqrt(x.square().mean(-1, /*keepdim=*/true) + epsilon) * weight;
}

DecoderBlockImpl::DecoderBlockImpl(const DecoderConfig& config)
    : heads_(config.heads), kv_heads_(config.kv_heads), head_size_(config.head_size) {
  const std::int64_t wide = heads_ * head_size_, narrow = kv_heads_ * head_size_;
  attn_norm = register_module("attn_norm", RmsNorm(config.hidden, config.norm_epsilon));
  attn_q = register_module("attn_q", Linear(config.hidden, wide));
  attn_k = register_module("attn_k", Linear(config.hidden, narrow));
  attn_v = register_module("attn_v", Linear(config.hidden, narrow));
  attn_output = register_module("attn_output", Linear(wide, config.hidden));
  ffn_norm = register_module("ffn_norm", RmsNorm(config.hidden, config.norm_epsilon));
  ffn_gate = register_module("ffn_gate", Linear(config.hidden, config.feed_forward));
  ffn_up = register_module("ffn_up", Linear(config.hidden, config.feed_forward));
  ffn_down = register_module("ffn_down", Linear(config.feed_forward, config.hidden));
}

at::Tensor DecoderBlockImpl::forward(const at::Tensor& x, const RotaryTable& rotary) {
  const auto heads = [&](const at::Tensor& y, std::int64_t count) {
    return y.view({y.size(0), y.size(1), count, head_size_}).transpose(1, 2);
  };
  const at::Tensor normed = attn_norm(x);
  const at::Tensor q = rotate(heads(attn_q(normed), heads_), rotary);
  const at::Tensor k = rotate(heads(attn_k(normed), kv_heads_), rotary);
  const at::Tensor v = heads(attn_v(normed), kv_heads_);
  const at::Tensor mixed = attention(q, k, v, {.causal = true, .key_padding = {}});
  const at::Tensor middle = x + attn_output(mixed.transpose(1, 2).flatten(2));
  const at::Tensor gated = ffn_norm(middle);
  return middle + ffn_down(at::silu(ffn_gate(gated)) * ffn_up(gated));
}

Decoder::Decoder(DecoderConfig given, bool random_weights) : config(given) {
  config.validate();
  torch::NoGradGuard no_grad;
  const auto matrix = [&](std::int64_t rows, std::int64_t columns) {
    at::Tensor weight = torch::empty({rows, columns});
    return random_weights ? weight.normal_(0, 0.02) : weight;
  };
  embedding = register_parameter("token_embd", matrix(config.vocabulary, config.hidden));
  for (std::int64_t index = 0; index < config.blocks; ++index) {
    DecoderBlock block(config);
    if (random_weights) {
      for (at::Tensor& parameter : block->parameters()) {
        if (parameter.dim() == 2) parameter.normal_(0, 0.02);
      }
    }
    blocks.push_back(register_module("blk" + std::to_string(index), block));
  }
  output_norm = register_module("output_norm", RmsNorm(config.hidden, config.norm_epsilon));
  if (!config.tied) {
    head = register_parameter("output", matrix(config.vocabulary, config.hidden));
  }
  rotary_ = rotary_table(config.context, config.head_size, config.rope_theta);
}

at::Tensor Decoder::embed(const TokenBatch& batch) {
  require_context(batch.ids.size(1));
  return at::embedding(embedding, batch.ids);
}

at::Tensor Decoder::block(std::int64_t index, const at::Tensor& hidden, const TokenBatch&) {
  return blocks[static_cast<std::size_t>(index)]->forward(hidden, rotary_);
}

at::Tensor Decoder::finish(const at::Tensor& hidden, const TokenBatch&) {
  return output_norm(hidden);
}

std::vector<NamedLinear> Decoder::linears(std::int64_t index) {
  DecoderBlock& block = blocks[static_cast<std::size_t>(index)];
  return {{"attn_q", block->attn_q},           {"attn_k", block->attn_k},     {"attn_v", block->attn_v},
          {"attn_output", block->attn_output}, {"ffn_gate", block->ffn_gate}, {"ffn_up", block->ffn_up},
          {"ffn_down", block->ffn_down}};
}

torch::nn::Module& Decoder::block_module(std::int64_t index) {
  return *blocks[static_cast<std::size_t>(index)];
}

}  // namespace ballast::model
