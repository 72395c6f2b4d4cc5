#include "ballast/model/encoder.h"

#include "ballast/base/errors.h"
#include "ballast/model/attention.h"

namespace ballast::model {
namespace {

torch::nn::LayerNorm norm(const EncoderConfig& config) {
  return torch::nn::LayerNorm(torch::nn::LayerNormOptions({config.hidden}).eps(config.norm_epsilon));
}

}  // namespace

void EncoderConfig::validate() {
  for (const auto& [what, value] : {std::pair<const char*, std::int64_t>{"vocabulary", vocabulary},
                                    {"hidden size", hidden},
                                    {"blocks", blocks},
                                    {"heads", heads},
                                    {"feed-forward size", feed_forward},
                                    {"segments", segments}}) {
    if (value < 1) throw InvalidInput(what, std::to_string(value), "at least 1");
  }
  if (hidden % heads != 0) {
    throw InvalidInput("heads", std::to_string(heads),
                       "a divisor of the hidden size (" + std::to_string(hidden) + ")");
  }
  const std::int64_t least = roberta ? padding + 2 : 1;
  if (padding < 0 || positions < least)
    throw InvalidInput("positions", std::to_string(positions), "at least " + std::to_string(least));
}

EncoderBlockImpl::EncoderBlockImpl(const EncoderConfig& config) : heads_(config.heads) {
  attn_q = register_module("attn_q", Linear(config.hidden, config.hidden, true));
  attn_k = register_module("attn_k", Linear(config.hidden, config.hidden, true));
  attn_v = register_module("attn_v", Linear(config.hidden, config.hidden, true));
  attn_output = register_module("attn_output", Linear(config.hidden, config.hidden, true));
  attn_norm = register_module("attn_norm", norm(config));
  ffn_up = register_module("ffn_up", Linear(config.hidden, config.feed_forward, true));
  ffn_down = register_module("ffn_down", Linear(config.feed_forward, config.hidden, true));
  ffn_norm = register_module("ffn_norm", norm(config));
}

at::Tensor EncoderBlockImpl::forward(const at::Tensor& x, const at::Tensor& seen) {
  const auto heads = [&](const at::Tensor& y) {
    return y.view({y.size(0), y.size(1), heads_, -1}).transpose(1, 2);
  };
  const at::Tensor mixed =
      attention(heads(attn_q(x)), heads(attn_k(x)), heads(attn_v(x)), {.key_padding = seen});
  const at::Tensor middle = attn_norm(x + attn_output(mixed.transpose(1, 2).flatten(2)));
  return ffn_norm(middle + ffn_down(at::gelu(ffn_up(middle))));
}

Encoder::Encoder(EncoderConfig given) : config(given) {
  config.validate();
  const torch::NoGradGuard no_grad;
  embedding = register_parameter("token_embd", torch::empty({config.vocabulary, config.hidden}));
  position_embedding = register_parameter("position_embd", torch::empty({config.positions, config.hidden}));
  segment_embedding = register_parameter("segment_embd", torch::empty({config.segments, config.hidden}));
  embed_norm = register_module("embed_norm", norm(config));
  for (std::int64_t index = 0; index < config.blocks; ++index)
    blocks.push_back(register_module("blk" + std::to_string(index), EncoderBlock(config)));
  for (at::Tensor& parameter : parameters()) {
    if (parameter.dim() == 2) parameter.normal_(0, 0.02);
  }
}

at::Tensor Encoder::embed(const TokenBatch& batch) {
  const std::int64_t tokens = batch.ids.size(1);
  require_context(tokens);
  at::Tensor places = torch::arange(tokens, torch::kInt64).expand_as(batch.ids);
  if (config.roberta) {
    const at::Tensor real = batch.ids.ne(config.padding).to(torch::kInt64);
    places = real.cumsum(1) * real + config.padding;
  }
  const at::Tensor segments = batch.segments.defined() ? batch.segments : at::zeros_like(batch.ids);
  return embed_norm(at::embedding(embedding, batch.ids) + at::embedding(segment_embedding, segments) +
                    at::embedding(position_embedding, places));
}

at::Tensor Encoder::block(std::int64_t index, const at::Tensor& hidden, const TokenBatch& batch) {
  return blocks[static_cast<std::size_t>(index)]->forward(hidden, batch.seen);
}

std::vector<NamedLinear> Encoder::linears(std::int64_t index) {
  EncoderBlock& block = blocks[static_cast<std::size_t>(index)];
  return {{"attn_q", block->attn_q},           {"attn_k", block->attn_k}, {"attn_v", block->attn_v},
          {"attn_output", block->attn_output}, {"ffn_up", block->ffn_up}, {"ffn_down", block->ffn_down}};
}

torch::nn::Module& Encoder::block_module(std::int64_t index) {
  return *blocks[static_cast<std::size_t>(index)];
}

}  // namespace ballast::model
