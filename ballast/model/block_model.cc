#include "ballast/model/block_model.h"

#include "ballast/base/errors.h"

namespace ballast::model {

at::Tensor BlockModel::hidden(const TokenBatch& batch) {
  at::Tensor x = embed(batch);
  for (std::int64_t index = 0; index < block_count(); ++index) x = block(index, x, batch);
  return finish(x, batch);
}

at::Tensor BlockModel::logits(const TokenBatch& batch) {
  return at::linear(hidden(batch), head_weight());
}

std::int64_t BlockModel::parameter_count() const {
  std::int64_t count = 0;
  for (const at::Tensor& parameter : parameters()) count += parameter.numel();
  return count;
}

void BlockModel::set_sequence_head(const SequenceHeadOptions& options) {
  sequence_head = register_module("sequence_head", SequenceHead(hidden_size(), options));
}

void BlockModel::require_context(std::int64_t tokens) const {
  if (tokens <= context()) return;
  throw InvalidInput("sequence", std::to_string(tokens) + " tokens",
                     "at most the model's context of " + std::to_string(context()));
}

}  // namespace ballast::model
