// Cross-entropy of a language model's head, with its own backward pass.
//
// The logits of T tokens over a vocabulary of V are the largest tensor of a small model (T x 49152 floats for
// SmolLM2). They are made in chunks of rows, turned into loss and gradient, and dropped.
#pragma once

#include <torch/torch.h>

namespace ballast::model {

inline constexpr std::int64_t kIgnored = -100;  ///< the label of a position that is not trained

struct HeadLossOptions {
  std::int64_t rows = 64;       ///< rows of logits that exist at once
  bool gradient = true;         ///< false: loss only
  bool head_gradient = false;   ///< also the gradient of the head's weight
  std::int64_t normaliser = 0;  ///< divides loss and gradients; 0: the number of trained positions
};

struct HeadLoss {
  double sum = 0;            ///< sum of the trained positions' losses, in nats
  std::int64_t count = 0;    ///< trained positions
  std::int64_t correct = 0;  ///< positions whose most likely token is the label
  at::Tensor hidden_grad;    ///< like hidden; undefined without `gradient`
  at::Tensor weight_grad;    ///< like weight; undefined without `head_gradient`

  double mean() const { return count > 0 ? sum / static_cast<double>(count) : 0.0; }
};

/// `hidden` is [batch, tokens, hidden] (or [rows, hidden]), `weight` [vocabulary, hidden], `labels` the same
/// leading shape as hidden; kIgnored positions get no loss and no gradient. No autograd graph is built.
HeadLoss head_loss(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& labels,
                   const HeadLossOptions& options);

}  // namespace ballast::model
