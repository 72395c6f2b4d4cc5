// Small ready-made networks: a multilayer perceptron for tables, a convolutional one for small images.
//
//   model::Mlp mlp({.inputs = 2, .hidden = {16}, .outputs = 2});
//   model::SmallCnn cnn({.channels = 1, .size = 28, .widths = {16, 32}, .hidden = 64, .classes = 10});
#pragma once

#include <torch/torch.h>

#include <vector>

#include "ballast/model/linear.h"
#include "ballast/model/pieces.h"

namespace ballast::model {

struct MlpOptions {
  std::int64_t inputs = 1;
  std::vector<std::int64_t> hidden = {64};  ///< empty: a linear model
  std::int64_t outputs = 2;
  Activation activation = Activation::relu;
};
/// [batch, ...] (flattened) to [batch, outputs] logits.
class MlpImpl : public torch::nn::Module {
 public:
  explicit MlpImpl(const MlpOptions& options);
  at::Tensor forward(const at::Tensor& x);

  MlpOptions options;
  std::vector<Linear> layers;
};
TORCH_MODULE(Mlp);

/// A stage a width: 3x3 convolution, normalisation, activation, 2x2 max pooling; then one hidden layer.
struct SmallCnnOptions {
  std::int64_t channels = 1;
  std::int64_t size = 28;  ///< height and width of the images
  std::vector<std::int64_t> widths = {16, 32};
  std::int64_t hidden = 64;
  std::int64_t classes = 10;
  /// Batch normalisation keeps running statistics, which average badly over unequal clients; federated
  /// clients switch it off.
  bool normalise = true;
};
/// [batch, channels, size, size] to [batch, classes] logits.
class SmallCnnImpl : public torch::nn::Module {
 public:
  explicit SmallCnnImpl(const SmallCnnOptions& options);
  at::Tensor forward(const at::Tensor& images);

  SmallCnnOptions options;
  std::vector<ConvBnAct> stages;
  Linear hidden{nullptr}, classify{nullptr};
};
TORCH_MODULE(SmallCnn);

}  // namespace ballast::model
