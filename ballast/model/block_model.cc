#include "ballast/model/block_model.h"

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

}  // namespace ballast::model
