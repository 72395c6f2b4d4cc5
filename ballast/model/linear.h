// A linear layer y = x Wᵀ (+ b) whose way of computing can be replaced.
//
// Fine-tuning strategies differ in what a layer keeps in the forward pass and in where its weight gradient
// goes: nowhere (frozen), to the device, compressed into a subspace, or to a pair of low-rank factors. They
// install a LinearPath; without one the layer is an ordinary torch linear.
//
//   model::Linear layer(576, 1536);                       // weight [1536, 576], no bias
//   layer->path = std::make_shared<FactoredPath>(...);    // any class derived from LinearPath
#pragma once

#include <torch/torch.h>

#include <memory>

namespace ballast::model {

class LinearImpl;

/// How one layer computes, in place of at::linear. Called with x of shape [..., in]; returns [..., out].
class LinearPath {
 public:
  virtual ~LinearPath() = default;
  virtual at::Tensor forward(LinearImpl& layer, const at::Tensor& x) = 0;
};

class LinearImpl : public torch::nn::Module {
 public:
  /// Weights uniform in ±1/√in, as torch's own layer; bias zero.
  LinearImpl(std::int64_t in, std::int64_t out, bool with_bias = false);
  at::Tensor forward(const at::Tensor& x);

  std::int64_t in() const { return weight.size(1); }
  std::int64_t out() const { return weight.size(0); }

  at::Tensor weight;                 ///< [out, in]
  at::Tensor bias;                   ///< [out], or undefined
  std::shared_ptr<LinearPath> path;  ///< null: at::linear
};
TORCH_MODULE(Linear);

}  // namespace ballast::model
