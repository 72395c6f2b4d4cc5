#include "ballast/model/gpt2.h"

#include "ballast/base/errors.h"
#include "ballast/model/attention.h"

namespace ballast::model {
namespace {

torch::nn::LayerNorm norm(std::int64_t size, double epsilon) {
  return torch::nn::LayerNorm(torch::nn::LayerNormOptions({size}).eps(epsilon));
}

}  // namespace

void Gpt2Config::validate() {
  for (const auto& [what, value] : {std::pair<const char*, std::int64_t>{"vocabulary", vocabulary},
                                    {"hidden size", hidden},
                                    {"blocks", blocks},
                                    {"heads", heads},
                                    {"context", context}}) {
    if (value < 1) throw InvalidInput(what, std::to_string(value), "at least 1");
  }
  if (hidden % heads != 0) {
    throw InvalidInput("heads", std::to_string(heads),
                       "a divisor of the hidden size (" + std::to_string(hidden) + ")");
  }
  if (feed_forward == 0) feed_forward = 4 * hidden;
}

Gpt2BlockImpl::Gpt2BlockImpl(const Gpt2Config& config) : heads_(config.heads) {
  attn_norm = register_module("attn_norm", norm(config.hidden, config.norm_epsilon));
  attn_qkv = register_module("attn_qkv", Linear(config.hidden, 3 * config.hidden, true));
  attn_output = register_module("attn_output", Linear(config.hidden, config.hidden, true));
  ffn_norm = register_module("ffn_norm", norm(config.hidden, config.norm_epsilon));
  ffn_up = register_module("ffn_up", Linear(config.hidden, config.feed_forward, true));
  ffn_down = register_module("ffn_down", Linear(config.feed_forward, config.hidden, true));
}

at::Tensor Gpt2BlockImpl::forward(const at::Tensor& x) {
  const auto parts = attn_qkv(attn_norm(x)).chunk(3, -1);
  const auto heads = [&](const at::Tensor& y) {
    return y.reshape({y.size(0), y.size(1), heads_, -1}).transpose(1, 2);
  };
  const at::Tensor mixed =
      attention(heads(parts[0]), heads(parts[1]), heads(parts[2]), {.causal = true, .key_padding = {}});
  const at::Tensor middle = x + attn_output(mixed.transpose(1, 2).flatten(2));
  return middle + ffn_down(at::gelu(ffn_up(ffn_norm(middle)), "tanh"));
}

Gpt2::Gpt2(Gpt2Config given) : config(given) {
  config.validate();
  const torch::NoGradGuard no_grad;
  embedding = register_parameter("token_embd", torch::empty({config.vocabulary, config.hidden}));
  positions = register_parameter("position_embd", torch::empty({config.context, config.hidden}));
  for (std::int64_t index = 0; index < config.blocks; ++index)
    blocks.push_back(register_module("blk" + std::to_string(index), Gpt2Block(config)));
  output_norm = register_module("output_norm", norm(config.hidden, config.norm_epsilon));
  for (at::Tensor& parameter : parameters()) {
    if (parameter.dim() == 2) parameter.normal_(0, 0.02);
  }
}

at::Tensor Gpt2::embed(const TokenBatch& batch) {
  const std::int64_t tokens = batch.ids.size(1);
  require_context(tokens);
  return at::embedding(embedding, batch.ids) + positions.narrow(0, 0, tokens);
}

at::Tensor Gpt2::block(std::int64_t index, const at::Tensor& hidden, const TokenBatch&) {
  return blocks[static_cast<std::size_t>(index)]->forward(hidden);
}

at::Tensor Gpt2::finish(const at::Tensor& hidden, const TokenBatch&) {
  return output_norm(hidden);
}

std::vector<NamedLinear> Gpt2::linears(std::int64_t index) {
  Gpt2Block& block = blocks[static_cast<std::size_t>(index)];
  return {{"attn_qkv", block->attn_qkv},
          {"attn_output", block->attn_output},
          {"ffn_up", block->ffn_up},
          {"ffn_down", block->ffn_down}};
}

torch::nn::Module& Gpt2::block_module(std::int64_t index) {
  return *blocks[static_cast<std::size_t>(index)];
}

}  // namespace ballast::model
