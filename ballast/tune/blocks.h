// The block executor: forward and backward over a BlockModel one block at a time, so that weights, gradients
// and graphs come and go block by block. (libtorch's C++ side has neither checkpointing nor hooks on
// accumulated gradients.)
//
//   PassHooks hooks{.before_forward = [&](int64_t l) { apply_updates_of(l); },
//                   .after_backward = [&](int64_t l) { submit_gradients_of(l); }};
//   PassResult result = forward_backward(model, batch, {.checkpointing = true}, hooks);
#pragma once

#include <torch/torch.h>

#include <functional>
#include <vector>

#include "ballast/model/block_model.h"
#include "ballast/model/loss.h"

namespace ballast::tune {

struct PassOptions {
  bool checkpointing = false;     ///< keep only each block's input; recompute the
                                  ///< block in the backward pass
  std::int64_t normaliser = 0;    ///< trained tokens of the whole step; 0: of this batch
  bool train_embeddings = false;  ///< also gradients of the embedding and the head, in their .grad
  std::int64_t logit_rows = 64;
};

struct PassHooks {
  std::function<void(std::int64_t block)> before_forward = {};
  std::function<void(std::int64_t block)> before_backward = {};
  std::function<void(std::int64_t block)> after_backward = {};
};

struct PassResult {
  double loss_sum = 0;
  std::int64_t count = 0, correct = 0;  ///< trained tokens, or sequences of a task on whole ones
  at::Tensor predictions = {};          ///< of a task on whole sequences: [batch]
  bool finite = true;                   ///< false: the loss was not; there was no backward pass
  double forward_seconds = 0,
         backward_seconds = 0;  ///< wall, without the time spent in hooks
  /// Processor seconds of this thread, by block without hooks, and of embedding
  /// and head.
  std::vector<double> block_forward, block_backward;
  double ends = 0;
  double mean() const { return count > 0 ? loss_sum / static_cast<double>(count) : 0; }
};

/// One micro-batch. Gradients of parameters that require one end in their .grad (added); those of trained
/// matrices go to their paths' sinks.
PassResult forward_backward(model::BlockModel& model, const model::TokenBatch& batch,
                            const PassOptions& options, const PassHooks& hooks);

/// What the loss is a mean over: trained tokens, or sequences when the batch has classes.
std::int64_t trained_positions(const model::TokenBatch& batch);

/// Loss only.
PassResult forward_only(model::BlockModel& model, const model::TokenBatch& batch);

}  // namespace ballast::tune
