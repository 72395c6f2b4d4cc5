// A context: the KV memory of several sequences and the computation of one batch of tokens over them.
//
//   Context context(model, {.cells = 8192, .sequences = 8, .batch = 512, .threads = 2});
//   Batch batch(context.batch_capacity());
//   batch.add(token, position, sequence, /*want_logits=*/true);
//   if (context.decode(batch) == DecodeStatus::ok) { auto logits = context.logits(0); ... }
//
// Not safe for use from several threads at once: one owner thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ballast/llama/model.h"

struct llama_context;

namespace ballast::llama {

using SequenceId = std::int32_t;

/// Tokens of many sequences, mixed freely. The tokens of a sequence stand in the order of their positions,
/// each position exactly one after the last that the context holds.
class Batch {
 public:
  explicit Batch(int capacity);

  /// Throws InvalidInput when the batch is full.
  void add(Token token, int position, SequenceId sequence, bool want_logits);
  void clear();
  int size() const { return static_cast<int>(tokens_.size()); }
  int capacity() const { return capacity_; }

 private:
  friend class Context;
  int capacity_;
  std::vector<Token> tokens_;
  std::vector<std::int32_t> positions_;
  std::vector<SequenceId> sequences_;
  std::vector<std::int8_t> wants_logits_;
};

/// How the KV memory is divided. `streams`: every sequence has its own cells/sequences cells, attention reads
/// only these; `unified`: one pool, where attention walks all cells up to the highest used one, and prefixes
/// are shared.
enum class KvPool { streams, unified };

struct ContextOptions {
  int cells = 4096;  ///< KV capacity in tokens, over all sequences; rounded up to a multiple of 256 a stream
  int sequences = 1;
  int batch = 512;  ///< most tokens of one decode()
  int outputs = 0;  ///< most tokens of one decode() that want logits; 0: as many as fit in a batch
  int threads = 1;
  KvPool pool = KvPool::streams;
  bool embeddings = false;  ///< compute embeddings (pooled over each sequence) in place of logits
  bool exact = false;       ///< keys and values in f32, no fused attention: for comparing with other software
};

enum class DecodeStatus {
  ok,
  no_room,  ///< the KV memory is full; nothing was changed
  aborted,  ///< request_abort() was called; ask last_position() what is left
  failed    ///< the library failed; ask last_position() what is left
};

class Context {
 public:
  /// Throws InvalidInput (impossible sizes) or Unavailable (no memory).
  Context(const Model& model, const ContextOptions& options);

  const Model& model() const { return *model_; }
  int cells() const;               ///< KV capacity in tokens, over all sequences
  int cells_per_sequence() const;  ///< the longest sequence that fits
  int sequences() const;
  int batch_capacity() const;

  /// Computes the batch. Throws InvalidInput for a batch that breaks the rules above (position not
  /// consecutive, unknown sequence or token, too many tokens or outputs), before anything is computed.
  DecodeStatus decode(const Batch& batch);
  /// After decode(): the logits of batch entry `index`, which must have wanted them. Valid until the next
  /// decode().
  std::span<const float> logits(int index) const;
  Token greedy(int index) const;  ///< the token of the highest logit; the lowest token among equals
  /// After decode() with ContextOptions::embeddings: the pooled embedding of the sequence.
  std::span<const float> embedding(SequenceId sequence) const;

  int last_position(SequenceId sequence) const;  ///< -1 when the sequence is empty
  /// Forgets positions from `from` on. False: the model cannot forget a part (then only 0 works).
  bool drop(SequenceId sequence, int from);
  /// Makes `to` a copy of the first `tokens` positions of `from`; `to` must be empty.
  void share_prefix(SequenceId from, SequenceId to, int tokens);
  void clear();
  /// The KV content of a sequence, for restoring it later, also under another id.
  std::vector<std::byte> save(SequenceId sequence) const;
  /// False: no room or a damaged state; the sequence is then empty.
  bool restore(SequenceId sequence, std::span<const std::byte> state);

  void set_threads(int threads);
  /// May be called from any thread: ends a running decode() at its next operation (CPU only).
  void request_abort() { abort_->store(true); }
  void clear_abort() { abort_->store(false); }

  llama_context* raw() const { return context_.get(); }

 private:
  struct Free {
    void operator()(llama_context* context) const;
  };
  void check(const Batch& batch) const;
  const Model* model_;
  KvPool pool_;
  int outputs_;
  std::unique_ptr<std::atomic<bool>> abort_;
  std::unique_ptr<llama_context, Free> context_;
};

}  // namespace ballast::llama
