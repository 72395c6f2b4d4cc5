// A head for tasks on whole sequences: pools the hidden states and maps them to classes or to one value.
//
//   model->set_sequence_head({.outputs = 20, .pooling = Pooling::mean});
//   SequenceLoss loss = model->sequence_head->loss(hidden, batch);       // batch.classes holds the truth
#pragma once

#include <torch/torch.h>

#include <string>

#include "ballast/model/linear.h"

namespace ballast::model {

struct TokenBatch;

/// What stands for a sequence: its first token (BERT), the mean of its real tokens (sentence encoders), or
/// its last real token (causal decoders).
enum class Pooling { first, mean, last };
Pooling pooling_from_string(const std::string& word);

struct SequenceHeadOptions {
  std::int64_t outputs = 2;  ///< classes; 1 with `regression`
  Pooling pooling = Pooling::first;
  bool regression = false;
};

struct SequenceLoss {
  at::Tensor sum;            ///< scalar with its graph: cross-entropy in nats, or squared errors, summed
  at::Tensor predictions;    ///< [batch] int64 classes or f32 values, without a graph
  std::int64_t count = 0;    ///< sequences
  std::int64_t correct = 0;  ///< classification only
};

class SequenceHeadImpl : public torch::nn::Module {
 public:
  SequenceHeadImpl(std::int64_t hidden, const SequenceHeadOptions& options);
  /// [batch, tokens, hidden] to [batch, outputs].
  at::Tensor forward(const at::Tensor& hidden, const TokenBatch& batch);
  /// Throws InvalidInput for a class that is not below `outputs`.
  SequenceLoss loss(const at::Tensor& hidden, const TokenBatch& batch);

  SequenceHeadOptions options;
  Linear classify{nullptr};
};
TORCH_MODULE(SequenceHead);

}  // namespace ballast::model
