#include "ballast/codesign/distil.h"

namespace ballast::codesign {

at::Tensor label_loss(const at::Tensor& logits, const at::Tensor& labels, double smoothing) {
  return at::cross_entropy_loss(logits, labels, {}, at::Reduction::Mean, -100, smoothing);
}

at::Tensor kl_loss(const at::Tensor& student, const at::Tensor& teacher) {
  const at::Tensor p = at::softmax(teacher.detach(), 1);
  return (p * (at::log_softmax(teacher.detach(), 1) - at::log_softmax(student, 1))).sum(1).mean();
}

at::Tensor alpha_divergence(const at::Tensor& student, const at::Tensor& teacher, double alpha) {
  const at::Tensor log_q = at::log_softmax(student, 1), log_p = at::log_softmax(teacher, 1);
  if (alpha == 1) return (log_p.exp() * (log_p - log_q)).sum(1);
  if (alpha == 0) return (log_q.exp() * (log_q - log_p)).sum(1);
  return ((log_q + alpha * (log_p - log_q)).exp().sum(1) - 1) / (alpha * (alpha - 1));
}

at::Tensor alpha_surrogate(const at::Tensor& student, const at::Tensor& teacher, double alpha, double clip) {
  // With t = p/q and f(t) = (t^a - 1) / (a (a - 1)), the gradient of sum q f(t) is -sum q (t f'(t) - f(t))
  // grad log q; t f' - f is t^a / a up to a constant, whose term vanishes because sum q grad log q = 0.
  const at::Tensor log_q = at::log_softmax(student, 1);
  const at::Tensor q = log_q.detach().exp(), log_t = at::log_softmax(teacher.detach(), 1) - log_q.detach();
  const at::Tensor weight = alpha == 0 ? log_t : (alpha * log_t).exp().clamp_max(clip) / alpha;
  return -(q * weight * log_q).sum(1);
}

at::Tensor adaptive_alpha_loss(const at::Tensor& student, const at::Tensor& teacher) {
  at::Tensor low_is_larger;
  {
    torch::NoGradGuard no_grad;
    low_is_larger = alpha_divergence(student, teacher, -1).gt(alpha_divergence(student, teacher, 1));
  }
  return at::where(low_is_larger, alpha_surrogate(student, teacher, -1), alpha_surrogate(student, teacher, 1))
      .mean();
}

}  // namespace ballast::codesign
