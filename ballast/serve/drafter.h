// Guesses of the next tokens, to be verified by the model in one step (speculative decoding).
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "ballast/llama/context.h"
#include "ballast/llama/model.h"

namespace ballast::serve {

/// One request that wants guesses.
struct DraftWish {
  int slot = 0;                           ///< its sequence id in the executor
  std::span<const llama::Token> history;  ///< prompt and output so far
  int most = 0;                           ///< guesses at most
};

class Drafter {
 public:
  virtual ~Drafter() = default;
  /// For each wish at most `most` tokens that may follow its history; fewer or none where there is no guess.
  virtual std::vector<std::vector<llama::Token>> propose(std::span<const DraftWish> wishes) = 0;
};

/// Prompt lookup: the tokens that followed the last earlier occurrence of the history's suffix, of 4 tokens
/// down to 2. No model; useful where the output repeats the input (code, summaries), near nothing on random
/// text.
class NgramDrafter final : public Drafter {
 public:
  std::vector<std::vector<llama::Token>> propose(std::span<const DraftWish> wishes) override;
  static std::vector<llama::Token> look_up(std::span<const llama::Token> history, int most);
};

/// A smaller model guesses greedily, all wishes in one batch a token. Its KV memory follows the histories:
/// what it has computed of a slot is kept as far as the next history agrees with it.
class ModelDrafter final : public Drafter {
 public:
  /// Throws InvalidInput when the vocabulary is not that of `target`.
  ModelDrafter(const llama::Model& draft, const llama::Model& target, int slots, int slot_tokens,
               int threads);
  std::vector<std::vector<llama::Token>> propose(std::span<const DraftWish> wishes) override;
  /// Time of one step of the draft model on a short context (the performance model's draft_ms); leaves it
  /// empty.
  double measure_step_ms();

 private:
  const llama::Model& model_;
  llama::Context context_;
  llama::Batch batch_;
  std::vector<std::vector<llama::Token>> known_;  ///< [slot]: tokens in its KV memory
};

}  // namespace ballast::serve
