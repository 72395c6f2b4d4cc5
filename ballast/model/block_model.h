// A language model as a chain of blocks that can be driven one at a time.
//
// libtorch's C++ interface has neither checkpointing nor hooks on accumulated gradients, so those who need
// them (fine-tuning beyond device memory) run the chain themselves: embed, block 0 ... block L-1, finish,
// head.
//
//   TokenBatch batch{.ids = ids, .labels = labels};
//   at::Tensor x = model->embed(batch);
//   for (int64_t l = 0; l < model->block_count(); ++l) x = model->block(l, x, batch);
//   at::Tensor hidden = model->finish(x, batch);                  // [batch, tokens, hidden]
//   HeadLoss loss = head_loss(hidden, model->head_weight(), batch.labels, {});   // loss.h
#pragma once

#include <torch/torch.h>

#include <string>
#include <vector>

#include "ballast/model/linear.h"
#include "ballast/model/sequence_head.h"

namespace ballast::model {

struct TokenBatch {
  at::Tensor ids;          ///< [batch, tokens] int64
  at::Tensor labels = {};  ///< [batch, tokens] int64: the *next* token of each position; -100 is not trained
  at::Tensor seen = {};    ///< [batch, tokens] bool, false for padding; undefined: no padding
  at::Tensor segments = {};  ///< [batch, tokens] int64 of BERT's sentence pairs; undefined: all 0
  at::Tensor classes = {};   ///< [batch] int64 classes or f32 values, for tasks on whole sequences

  std::int64_t tokens() const { return ids.numel(); }
};

/// A trainable matrix of a block and its name within the block, such as "attn_q" or "ffn_down".
struct NamedLinear {
  std::string name;
  Linear layer;
};

class BlockModel : public torch::nn::Module {
 public:
  /// "llama", "gpt2", "bert" or "roberta".
  virtual std::string architecture() const = 0;
  virtual std::int64_t block_count() const = 0;
  virtual std::int64_t hidden_size() const = 0;
  virtual std::int64_t vocabulary() const = 0;
  virtual std::int64_t context() const = 0;

  /// Token ids to [batch, tokens, hidden].
  virtual at::Tensor embed(const TokenBatch& batch) = 0;
  virtual at::Tensor block(std::int64_t index, const at::Tensor& hidden, const TokenBatch& batch) = 0;
  /// What stands between the last block and the head (the final norm).
  virtual at::Tensor finish(const at::Tensor& hidden, const TokenBatch& batch) = 0;
  /// [vocabulary, hidden]; the embedding itself when `tied()`.
  virtual at::Tensor head_weight() = 0;
  virtual bool tied() const = 0;

  /// The matrices of a block in the order in which the forward pass meets them.
  virtual std::vector<NamedLinear> linears(std::int64_t block) = 0;
  /// The module of a block, whose parameters beside the matrices are norms and biases.
  virtual torch::nn::Module& block_module(std::int64_t block) = 0;

  /// The whole chain: [batch, tokens, hidden] after `finish`, and logits [batch, tokens, vocabulary].
  at::Tensor hidden(const TokenBatch& batch);
  at::Tensor logits(const TokenBatch& batch);

  std::int64_t parameter_count() const;

  /// Gives the model a head for a task on whole sequences, as the submodule "sequence_head". Its weights are
  /// random (torch's generator).
  void set_sequence_head(const SequenceHeadOptions& options);
  /// Null: the model is trained to predict tokens.
  SequenceHead sequence_head{nullptr};

 protected:
  /// Throws InvalidInput when a sequence of `tokens` is longer than the model's context.
  void require_context(std::int64_t tokens) const;
};

}  // namespace ballast::model
