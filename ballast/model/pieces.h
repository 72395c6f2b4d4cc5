// The pieces of which small vision networks are made, shared by `codesign` (hybrid CNN/ViT search spaces) and
// `federate` (clients' models). All take and give images as [batch, channels, height, width]; put them into
// torch::MemoryFormat::ChannelsLast, which libtorch's convolutions prefer on CPUs.
//
//   model::ConvBnAct stem({.in = 3, .out = 16, .kernel = 3, .stride = 2, .activation = Activation::hswish});
//   model::InvertedResidual block({.in = 16, .out = 24, .expand = 4, .kernel = 5, .stride = 2});
#pragma once

#include <torch/torch.h>

#include <string>

#include "ballast/model/linear.h"

namespace ballast::model {

enum class Activation { none, relu, relu6, hswish, silu, gelu };
std::string to_string(Activation activation);
/// Throws InvalidInput naming the words that are known.
Activation activation_from_string(const std::string& word);
at::Tensor activate(Activation activation, const at::Tensor& x);

/// Convolution without bias, batch normalisation, activation. Padding keeps the size at stride 1.
struct ConvBnActOptions {
  std::int64_t in = 1;
  std::int64_t out = 1;
  std::int64_t kernel = 3;  ///< odd
  std::int64_t stride = 1;
  std::int64_t groups = 1;  ///< `in` makes it depthwise
  Activation activation = Activation::relu;
  bool normalise = true;  ///< false: a bias in place of batch normalisation
};
class ConvBnActImpl : public torch::nn::Module {
 public:
  explicit ConvBnActImpl(const ConvBnActOptions& options);
  at::Tensor forward(const at::Tensor& x);

  ConvBnActOptions options;
  torch::nn::Conv2d convolution{nullptr};
  torch::nn::BatchNorm2d normalisation{nullptr};
};
TORCH_MODULE(ConvBnAct);

/// Squeeze-and-excitation: channels scaled by a gate computed from their means (Hu et al., 2018).
class SqueezeExciteImpl : public torch::nn::Module {
 public:
  SqueezeExciteImpl(std::int64_t channels, std::int64_t reduced);
  at::Tensor forward(const at::Tensor& x);

  torch::nn::Conv2d reduce{nullptr}, expand{nullptr};
};
TORCH_MODULE(SqueezeExcite);

/// Inverted residual of MobileNetV2/V3: expand 1x1, depthwise kxk, [squeeze-excite], project 1x1; the input
/// is added when shapes allow.
struct InvertedResidualOptions {
  std::int64_t in = 1;
  std::int64_t out = 1;
  std::int64_t expand = 4;  ///< hidden channels = in * expand; 1 leaves the expansion out
  std::int64_t kernel = 3;
  std::int64_t stride = 1;
  Activation activation = Activation::relu6;
  bool squeeze_excite = false;
};
class InvertedResidualImpl : public torch::nn::Module {
 public:
  explicit InvertedResidualImpl(const InvertedResidualOptions& options);
  at::Tensor forward(const at::Tensor& x);

  InvertedResidualOptions options;
  ConvBnAct expand{nullptr}, depthwise{nullptr}, project{nullptr};
  SqueezeExcite squeeze_excite{nullptr};
};
TORCH_MODULE(InvertedResidual);

/// A vision-transformer block over the pixels of a feature map as tokens: x + attention(norm(x)), then
/// x + mlp(norm(x)).
struct AttentionBlockOptions {
  std::int64_t channels = 64;
  std::int64_t heads = 4;
  double mlp_ratio = 2.0;
  Activation activation = Activation::gelu;
};
class AttentionBlockImpl : public torch::nn::Module {
 public:
  explicit AttentionBlockImpl(const AttentionBlockOptions& options);
  /// [batch, channels, height, width] to the same shape.
  at::Tensor forward(const at::Tensor& x);
  /// [batch, tokens, channels] to the same shape.
  at::Tensor forward_tokens(const at::Tensor& tokens);

  AttentionBlockOptions options;
  torch::nn::LayerNorm attention_norm{nullptr}, mlp_norm{nullptr};
  Linear qkv{nullptr}, project{nullptr}, up{nullptr}, down{nullptr};
};
TORCH_MODULE(AttentionBlock);

}  // namespace ballast::model
