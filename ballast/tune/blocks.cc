#include "ballast/tune/blocks.h"

#include <cmath>
#include <vector>

#include "ballast/tune/device.h"

namespace ballast::tune {
namespace {

at::Tensor leaf(const at::Tensor& x) {
  return x.detach().requires_grad_();
}

}  // namespace

std::int64_t trained_positions(const model::TokenBatch& batch) {
  return batch.classes.defined() ? batch.ids.size(0)
                                 : batch.labels.ne(model::kIgnored).sum().item<std::int64_t>();
}

PassResult forward_backward(model::BlockModel& model, const model::TokenBatch& batch,
                            const PassOptions& options, const PassHooks& hooks) {
  PassResult result;
  double in_hooks = 0;
  const auto call = [&](const std::function<void(std::int64_t)>& hook, std::int64_t block) {
    if (!hook) return;
    const double start = now();
    hook(block);
    in_hooks += now() - start;
  };
  const std::int64_t blocks = model.block_count();
  std::vector<at::Tensor> inputs(static_cast<std::size_t>(blocks)), outputs(static_cast<std::size_t>(blocks));

  result.block_forward.resize(static_cast<std::size_t>(blocks));
  result.block_backward.resize(static_cast<std::size_t>(blocks));
  double mark = thread_seconds();
  const auto lap = [&](double& sum) {
    const double at = thread_seconds();
    sum += at - mark;
    mark = at;
  };
  double in_hooks_cpu = 0;

  double start = now();
  at::Tensor embedded;
  {
    const at::AutoGradMode mode(options.train_embeddings);
    embedded = model.embed(batch);
  }
  at::Tensor x = embedded;
  lap(result.ends);
  for (std::int64_t block = 0; block < blocks; ++block) {
    call(hooks.before_forward, block);
    lap(in_hooks_cpu);
    const auto index = static_cast<std::size_t>(block);
    inputs[index] = leaf(x);
    if (options.checkpointing) {
      const at::NoGradGuard no_grad;
      x = model.block(block, inputs[index], batch);
    } else {
      x = outputs[index] = model.block(block, inputs[index], batch);
    }
    lap(result.block_forward[index]);
  }
  at::Tensor last = leaf(x);
  x.reset();
  const at::Tensor finished = model.finish(last, batch);
  result.forward_seconds = now() - start - in_hooks;

  start = now();
  in_hooks = 0;
  if (model.sequence_head) {
    const model::SequenceLoss loss = model.sequence_head->loss(finished, batch);
    result.loss_sum = loss.sum.item<double>();
    result.count = loss.count;
    result.correct = loss.correct;
    result.predictions = loss.predictions;
    result.finite = std::isfinite(result.loss_sum);
    if (!result.finite) return result;
    (loss.sum / static_cast<double>(options.normaliser > 0 ? options.normaliser : loss.count)).backward();
  } else {
    const at::Tensor head = model.head_weight();
    const model::HeadLoss loss = model::head_loss(finished, head, batch.labels,
                                                  {.rows = options.logit_rows,
                                                   .head_gradient = options.train_embeddings,
                                                   .normaliser = options.normaliser});
    result.loss_sum = loss.sum;
    result.count = loss.count;
    result.correct = loss.correct;
    result.finite = std::isfinite(loss.sum);
    if (!result.finite) return result;
    if (options.train_embeddings) {
      at::Tensor weight = head;
      weight.mutable_grad() = weight.grad().defined() ? weight.grad() + loss.weight_grad : loss.weight_grad;
    }
    finished.backward(loss.hidden_grad);
  }
  at::Tensor gradient = last.grad();
  last.reset();
  lap(result.ends);
  for (std::int64_t block = blocks; block-- > 0;) {
    call(hooks.before_backward, block);
    lap(in_hooks_cpu);
    const auto index = static_cast<std::size_t>(block);
    if (options.checkpointing) {
      const at::AutoGradMode mode(true);
      outputs[index] = model.block(block, inputs[index], batch);
    }
    outputs[index].backward(gradient);
    outputs[index].reset();
    gradient = inputs[index].grad();
    inputs[index].reset();
    lap(result.block_backward[index]);
    call(hooks.after_backward, block);
    lap(in_hooks_cpu);
  }
  if (options.train_embeddings) embedded.backward(gradient);
  result.backward_seconds = now() - start - in_hooks;
  return result;
}

PassResult forward_only(model::BlockModel& model, const model::TokenBatch& batch) {
  const at::NoGradGuard no_grad;
  PassResult result;
  const double start = now();
  if (model.sequence_head) {
    const model::SequenceLoss loss = model.sequence_head->loss(model.hidden(batch), batch);
    result.loss_sum = loss.sum.item<double>();
    result.count = loss.count;
    result.correct = loss.correct;
    result.predictions = loss.predictions;
    result.forward_seconds = now() - start;
    return result;
  }
  const model::HeadLoss loss =
      model::head_loss(model.hidden(batch), model.head_weight(), batch.labels, {.gradient = false});
  result.loss_sum = loss.sum;
  result.count = loss.count;
  result.correct = loss.correct;
  result.forward_seconds = now() - start;
  return result;
}

}  // namespace ballast::tune
