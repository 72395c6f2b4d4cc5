#include "ballast/model/pieces.h"

#include <array>
#include <utility>

#include "ballast/base/errors.h"
#include "ballast/model/attention.h"

namespace ballast::model {
namespace {

constexpr std::array<std::pair<Activation, const char*>, 6> kActivations{{{Activation::none, "none"},
                                                                          {Activation::relu, "relu"},
                                                                          {Activation::relu6, "relu6"},
                                                                          {Activation::hswish, "hswish"},
                                                                          {Activation::silu, "silu"},
                                                                          {Activation::gelu, "gelu"}}};

void require(bool right, const std::string& what, std::int64_t given, const std::string& accepted) {
  if (!right) throw InvalidInput(what, std::to_string(given), accepted);
}

}  // namespace

std::string to_string(Activation activation) {
  for (const auto& [value, name] : kActivations) {
    if (value == activation) return name;
  }
  return "none";
}

Activation activation_from_string(const std::string& word) {
  std::string accepted;
  for (const auto& [value, name] : kActivations) {
    if (word == name) return value;
    accepted += (accepted.empty() ? "" : ", ") + std::string(name);
  }
  throw InvalidInput("activation", word, accepted);
}

at::Tensor activate(Activation activation, const at::Tensor& x) {
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::relu:
      return at::relu(x);
    case Activation::relu6:
      return at::clamp(x, 0, 6);
    case Activation::hswish:
      return at::hardswish(x);
    case Activation::silu:
      return at::silu(x);
    case Activation::gelu:
      return at::gelu(x);
  }
  return x;
}

ConvBnActImpl::ConvBnActImpl(const ConvBnActOptions& given) : options(given) {
  require(options.kernel >= 1 && options.kernel % 2 == 1, "kernel", options.kernel, "odd sizes");
  require(options.stride >= 1, "stride", options.stride, "at least 1");
  require(options.groups >= 1 && options.in % options.groups == 0 && options.out % options.groups == 0,
          "groups", options.groups, "a divisor of the input and output channels");
  convolution = register_module(
      "convolution", torch::nn::Conv2d(torch::nn::Conv2dOptions(options.in, options.out, options.kernel)
                                           .stride(options.stride)
                                           .padding(options.kernel / 2)
                                           .groups(options.groups)
                                           .bias(!options.normalise)));
  if (options.normalise) {
    normalisation = register_module("normalisation", torch::nn::BatchNorm2d(options.out));
  }
}

at::Tensor ConvBnActImpl::forward(const at::Tensor& x) {
  at::Tensor y = convolution(x);
  if (normalisation) y = normalisation(y);
  return activate(options.activation, y);
}

SqueezeExciteImpl::SqueezeExciteImpl(std::int64_t channels, std::int64_t reduced) {
  require(reduced >= 1, "squeeze-excite channels", reduced, "at least 1");
  reduce = register_module("reduce", torch::nn::Conv2d(torch::nn::Conv2dOptions(channels, reduced, 1)));
  expand = register_module("expand", torch::nn::Conv2d(torch::nn::Conv2dOptions(reduced, channels, 1)));
}

at::Tensor SqueezeExciteImpl::forward(const at::Tensor& x) {
  const at::Tensor means = x.mean(at::IntArrayRef{2, 3}, /*keepdim=*/true);
  return x * at::hardsigmoid(expand(at::relu(reduce(means))));
}

InvertedResidualImpl::InvertedResidualImpl(const InvertedResidualOptions& given) : options(given) {
  require(options.expand >= 1, "expand", options.expand, "at least 1");
  const std::int64_t hidden = options.in * options.expand;
  if (options.expand > 1) {
    expand = register_module(
        "expand", ConvBnAct(ConvBnActOptions{
                      .in = options.in, .out = hidden, .kernel = 1, .activation = options.activation}));
  }
  depthwise = register_module("depthwise", ConvBnAct(ConvBnActOptions{.in = hidden,
                                                                      .out = hidden,
                                                                      .kernel = options.kernel,
                                                                      .stride = options.stride,
                                                                      .groups = hidden,
                                                                      .activation = options.activation}));
  if (options.squeeze_excite) {
    squeeze_excite =
        register_module("squeeze_excite", SqueezeExcite(hidden, std::max<std::int64_t>(1, options.in / 4)));
  }
  project = register_module(
      "project", ConvBnAct(ConvBnActOptions{
                     .in = hidden, .out = options.out, .kernel = 1, .activation = Activation::none}));
}

at::Tensor InvertedResidualImpl::forward(const at::Tensor& x) {
  at::Tensor y = expand ? expand(x) : x;
  y = depthwise(y);
  if (squeeze_excite) y = squeeze_excite(y);
  y = project(y);
  return options.stride == 1 && options.in == options.out ? x + y : y;
}

AttentionBlockImpl::AttentionBlockImpl(const AttentionBlockOptions& given) : options(given) {
  require(options.heads >= 1 && options.channels % options.heads == 0, "heads", options.heads,
          "a divisor of the channels (" + std::to_string(options.channels) + ")");
  const std::int64_t channels = options.channels;
  const auto hidden =
      std::max<std::int64_t>(1, static_cast<std::int64_t>(options.mlp_ratio * static_cast<double>(channels)));
  const torch::nn::LayerNormOptions norm({channels});
  attention_norm = register_module("attention_norm", torch::nn::LayerNorm(norm));
  qkv = register_module("qkv", Linear(channels, 3 * channels, true));
  project = register_module("project", Linear(channels, channels, true));
  mlp_norm = register_module("mlp_norm", torch::nn::LayerNorm(norm));
  up = register_module("up", Linear(channels, hidden, true));
  down = register_module("down", Linear(hidden, channels, true));
}

at::Tensor AttentionBlockImpl::forward_tokens(const at::Tensor& tokens) {
  const auto parts = qkv(attention_norm(tokens)).chunk(3, /*dim=*/-1);
  const auto heads = [&](const at::Tensor& part) {
    return part.unflatten(-1, {options.heads, options.channels / options.heads}).transpose(1, 2);
  };
  const at::Tensor mixed = attention(heads(parts[0]), heads(parts[1]), heads(parts[2]), {});
  const at::Tensor x = tokens + project(mixed.transpose(1, 2).flatten(2));
  return x + down(activate(options.activation, up(mlp_norm(x))));
}

at::Tensor AttentionBlockImpl::forward(const at::Tensor& x) {
  const at::Tensor tokens = x.flatten(2).transpose(1, 2);
  return forward_tokens(tokens).transpose(1, 2).reshape(x.sizes());
}

}  // namespace ballast::model
