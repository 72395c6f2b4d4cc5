// The real executor: one llama.cpp context whose sequences are the replica's slots. One step is one
// llama_decode().
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "ballast/llama/context.h"
#include "ballast/llama/sampler.h"

namespace ballast::serve {

struct ExecutorOptions {
  int slots = 8;           ///< sequences that live at once
  int slot_tokens = 1024;  ///< the longest sequence
  int batch = 512;         ///< tokens of one step
  int threads = 2;
  int max_speculation = 6;
  llama::KvPool pool = llama::KvPool::streams;
};

/// A run of consecutive tokens of one slot. The sampler is asked for the last token's successor; with drafted
/// tokens behind `confirmed`, each drafted token is verified first.
struct ExecutorItem {
  int slot = 0;
  int position = 0;
  std::span<const llama::Token> tokens;
  int drafted = 0;                    ///< the last `drafted` of the tokens are guesses
  llama::Sampler* sampler = nullptr;  ///< nullptr: an unfinished chunk, no output
  int top_logprobs = -1;              ///< report the log-probability of every new token, and so many others
};

struct ExecutorResult {
  llama::DecodeStatus status = llama::DecodeStatus::ok;
  /// Per item: the new tokens, the accepted drafts first and then one drawn by the sampler; empty for a
  /// chunk. Rejected drafts are already forgotten.
  std::vector<std::vector<llama::Token>> tokens;
  std::vector<std::vector<llama::TokenLogprob>> logprobs;  ///< per item, where they were asked for
};

class LlamaExecutor {
 public:
  LlamaExecutor(const llama::Model& model, const ExecutorOptions& options);

  const llama::Model& model() const { return context_.model(); }
  int slots() const { return context_.sequences(); }
  int slot_tokens() const { return context_.cells_per_sequence(); }
  int batch() const { return context_.batch_capacity(); }

  ExecutorResult step(std::span<const ExecutorItem> items);
  void drop(int slot, int from = 0) { context_.drop(slot, from); }
  llama::Context& context() { return context_; }

 private:
  llama::Context context_;
  llama::Batch batch_;
};

}  // namespace ballast::serve
