// What a subnet learns from the largest network of the same step (in-place distillation).
#pragma once

#include <torch/torch.h>

#include <string>

namespace ballast::codesign {

/// Cross-entropy with smoothed labels, for the largest network.
at::Tensor label_loss(const at::Tensor& logits, const at::Tensor& labels, double smoothing = 0.1);

/// KL(teacher || student).
at::Tensor kl_loss(const at::Tensor& student, const at::Tensor& teacher);

/// D_a(p||q) = (sum q (p/q)^a - 1) / (a (a - 1)) of a batch, p the teacher and q the student; a = 1 and a = 0
/// are its limits KL(p||q) and KL(q||p). Values only: for tests and logs. [batch]
at::Tensor alpha_divergence(const at::Tensor& student, const at::Tensor& teacher, double alpha);

/// A loss whose gradient is that of D_a, with the importance weight (p/q)^a clipped; gradients flow through
/// log q alone. [batch]
at::Tensor alpha_surrogate(const at::Tensor& student, const at::Tensor& teacher, double alpha,
                           double clip = 5);

/// Adaptive alpha (AlphaNet, Wang et al. 2021): for each sample the larger of a = -1 and a = +1.
at::Tensor adaptive_alpha_loss(const at::Tensor& student, const at::Tensor& teacher);

}  // namespace ballast::codesign
