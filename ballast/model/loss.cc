#include "ballast/model/loss.h"

#include <algorithm>

#include "ballast/base/errors.h"

namespace ballast::model {

HeadLoss head_loss(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& labels,
                   const HeadLossOptions& options) {
  torch::NoGradGuard no_grad;
  const std::int64_t size = hidden.size(-1);
  const at::Tensor rows = hidden.detach().reshape({-1, size});
  const at::Tensor targets = labels.reshape({-1});
  const at::Tensor head = weight.detach();
  BALLAST_CHECK(rows.size(0) == targets.size(0));

  HeadLoss result;
  result.count = targets.ne(kIgnored).sum().item<std::int64_t>();
  if (options.gradient) result.hidden_grad = at::zeros_like(rows);
  if (options.head_gradient) result.weight_grad = at::zeros_like(head);
  const std::int64_t normaliser =
      options.normaliser > 0 ? options.normaliser : std::max<std::int64_t>(1, result.count);

  for (std::int64_t first = 0; first < rows.size(0); first += options.rows) {
    const std::int64_t count = std::min(options.rows, rows.size(0) - first);
    const at::Tensor trained = targets.narrow(0, first, count).ne(kIgnored);
    const at::Tensor places = trained.nonzero().squeeze(1) + first;
    if (places.size(0) == 0) continue;
    const at::Tensor part = rows.index_select(0, places);
    const at::Tensor label = targets.index_select(0, places);
    at::Tensor logits = at::matmul(part, head.t());
    result.correct += logits.argmax(-1).eq(label).sum().item<std::int64_t>();
    const at::Tensor log_sum = at::logsumexp(logits, -1, /*keepdim=*/true);
    const at::Tensor chosen = logits.gather(-1, label.unsqueeze(1));
    result.sum += (log_sum - chosen).sum(torch::kFloat64).item<double>();
    if (!options.gradient && !options.head_gradient) continue;
    logits.sub_(log_sum).exp_();  // the probabilities, in place
    logits.scatter_add_(-1, label.unsqueeze(1), torch::full({label.size(0), 1}, -1.0, logits.options()));
    logits.div_(static_cast<double>(normaliser));
    if (options.gradient) result.hidden_grad.index_copy_(0, places, at::matmul(logits, head));
    if (options.head_gradient) result.weight_grad.addmm_(logits.t(), part);
  }
  if (options.gradient) result.hidden_grad = result.hidden_grad.view(hidden.sizes());
  return result;
}

}  // namespace ballast::model
