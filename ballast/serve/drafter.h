// Guesses of the next tokens, to be verified by the model in one step (speculative decoding).
#pragma once

#include <span>
#include <vector>

#include "ballast/llama/model.h"

namespace ballast::serve {

class Drafter {
 public:
  virtual ~Drafter() = default;
  /// At most `most` tokens that may follow `history` (prompt and output so far); fewer or none where it has
  /// no guess.
  virtual std::vector<llama::Token> propose(std::span<const llama::Token> history, int most) = 0;
};

/// Prompt lookup: the tokens that followed the last earlier occurrence of the history's suffix, of 4 tokens
/// down to 2. No model; useful where the output repeats the input (code, summaries), near nothing on random
/// text.
class NgramDrafter final : public Drafter {
 public:
  std::vector<llama::Token> propose(std::span<const llama::Token> history, int most) override;
};

}  // namespace ballast::serve
