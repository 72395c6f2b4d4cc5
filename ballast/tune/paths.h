// What a trained matrix does in the forward and backward pass, in place of an ordinary linear layer: each
// returns the input's gradient and hands the weight's gradient, dense or already compressed, to a sink. None
// lets autograd build a weight gradient.
#pragma once

#include <torch/torch.h>

#include <functional>

#include "ballast/model/linear.h"
#include "ballast/tune/projector.h"

namespace ballast::tune {

/// Saves X; gives G = Y'ᵀX, [out, in].
class DensePath : public model::LinearPath {
 public:
  explicit DensePath(std::function<void(const at::Tensor& g)> gradient_sink)
      : sink(std::move(gradient_sink)) {}
  at::Tensor forward(model::LinearImpl& layer, const at::Tensor& x) override;
  std::function<void(const at::Tensor&)> sink;
};

/// Saves A = XQ in place of X; gives S = (Y'P)ᵀA, [d, d]. G never exists (the factored compress).
class FactoredPath : public model::LinearPath {
 public:
  FactoredPath(const ProjectorPair* projectors, std::function<void(const at::Tensor& s)> gradient_sink)
      : pair(projectors), sink(std::move(gradient_sink)) {}
  at::Tensor forward(model::LinearImpl& layer, const at::Tensor& x) override;
  const ProjectorPair* pair;
  std::function<void(const at::Tensor&)> sink;
};

/// The weight is a constant; nothing is saved or handed on.
class FrozenPath : public model::LinearPath {
 public:
  at::Tensor forward(model::LinearImpl& layer, const at::Tensor& x) override;
};

/// y = x(W + scale·BA)ᵀ with W constant; autograd gives the gradients of A [rank, in] and B [out, rank].
class LoraPath : public model::LinearPath {
 public:
  LoraPath(at::Tensor thin, at::Tensor tall, double factor)
      : a(std::move(thin)), b(std::move(tall)), scale(factor) {}
  at::Tensor forward(model::LinearImpl& layer, const at::Tensor& x) override;
  at::Tensor a, b;
  double scale;
};

}  // namespace ballast::tune
