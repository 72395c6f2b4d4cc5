#include "ballast/model/sequence_head.h"

#include "ballast/base/errors.h"
#include "ballast/model/block_model.h"

namespace ballast::model {

Pooling pooling_from_string(const std::string& word) {
  if (word == "first") return Pooling::first;
  if (word == "mean") return Pooling::mean;
  if (word == "last") return Pooling::last;
  throw InvalidInput("pooling", word, "first, mean or last");
}

SequenceHeadImpl::SequenceHeadImpl(std::int64_t hidden, const SequenceHeadOptions& given) : options(given) {
  if (options.regression) options.outputs = 1;
  if (options.outputs < 1) throw InvalidInput("classes", std::to_string(options.outputs), "at least 1");
  classify = register_module("classify", Linear(hidden, options.outputs, true));
}

at::Tensor SequenceHeadImpl::forward(const at::Tensor& hidden, const TokenBatch& batch) {
  at::Tensor pooled;
  if (options.pooling == Pooling::first) {
    pooled = hidden.select(1, 0);
  } else {
    const at::Tensor seen = batch.seen.defined() ? batch.seen : torch::ones_like(batch.ids, torch::kBool);
    if (options.pooling == Pooling::mean) {
      const at::Tensor weight = seen.to(hidden.scalar_type()).unsqueeze(-1);
      pooled = (hidden * weight).sum(1) / weight.sum(1).clamp_min(1);
    } else {
      const at::Tensor last = (seen.to(torch::kInt64).sum(1) - 1).clamp_min(0);
      pooled = hidden.gather(1, last.view({-1, 1, 1}).expand({-1, 1, hidden.size(2)})).squeeze(1);
    }
  }
  return classify(pooled);
}

SequenceLoss SequenceHeadImpl::loss(const at::Tensor& hidden, const TokenBatch& batch) {
  const at::Tensor output = forward(hidden, batch);
  SequenceLoss result;
  result.count = output.size(0);
  if (options.regression) {
    const at::Tensor value = output.squeeze(1);
    result.sum = (value - batch.classes.to(value.scalar_type())).square().sum();
    result.predictions = value.detach();
    return result;
  }
  const std::int64_t largest = batch.classes.max().item<std::int64_t>();
  const std::int64_t smallest = batch.classes.min().item<std::int64_t>();
  if (smallest < 0 || largest >= options.outputs) {
    throw InvalidInput("class", std::to_string(smallest < 0 ? smallest : largest),
                       "0 to " + std::to_string(options.outputs - 1));
  }
  result.sum = at::cross_entropy_loss(output, batch.classes, {}, at::Reduction::Sum);
  result.predictions = output.detach().argmax(-1);
  result.correct = result.predictions.eq(batch.classes).sum().item<std::int64_t>();
  return result;
}

}  // namespace ballast::model
