// How the next token is drawn from logits: one chain of the library's samplers a request, with its own seed.
//
//   Sampler sampler(model, {.temperature = 0.8, .top_p = 0.95, .seed = 7});
//   Token token = sampler.sample(context, index);     // draws and remembers the token for its penalties
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ballast/llama/context.h"

struct llama_sampler;

namespace ballast::llama {

struct SamplerSettings {
  double temperature = 0;        ///< 0: greedy
  int top_k = 0;                 ///< 0: off
  double top_p = 1;              ///< 1: off
  double min_p = 0;              ///< 0: off
  double repeat_penalty = 1;     ///< 1: off
  double frequency_penalty = 0;  ///< 0: off
  double presence_penalty = 0;   ///< 0: off
  int penalty_window = 64;       ///< tokens that the penalties look back
  std::uint32_t seed = 1;
  bool ignore_end = false;                          ///< never draw a token that ends the generation
  std::vector<std::pair<Token, double>> bias = {};  ///< added to these tokens' logits
  std::string grammar = {};  ///< GBNF; only texts of its rule `root` are drawn; empty: off

  bool greedy() const { return temperature <= 0; }
  /// Whether the chain is the plain maximum of the logits: then no chain is needed.
  bool plain_greedy() const;
};

struct TokenProbability {
  Token token;
  float probability;
};

class Sampler {
 public:
  /// Throws InvalidInput for settings outside their range or a grammar that does not parse.
  Sampler(const Model& model, const SamplerSettings& settings);
  Sampler(const Sampler& other);
  Sampler(Sampler&&) noexcept = default;

  const SamplerSettings& settings() const { return settings_; }
  /// Draws from entry `index` of the context's last batch and accepts the token.
  Token sample(const Context& context, int index);
  /// What sample() would draw from, most probable first, after all steps of the chain; accepts nothing.
  std::vector<TokenProbability> distribution(std::span<const float> logits);
  Token sample(std::span<const float> logits);
  /// Tells the chain of a token that was chosen elsewhere (a prompt token, a verified draft). Throws
  /// InvalidInput when the grammar does not allow it here.
  void accept(Token token);

 private:
  struct Free {
    void operator()(llama_sampler* chain) const;
  };
  Token draw(std::span<const float> logits, bool with_grammar);
  bool allowed(Token token);

  SamplerSettings settings_;
  std::unique_ptr<llama_sampler, Free> grammar_;  ///< null without one
  std::unique_ptr<llama_sampler, Free> chain_;    ///< all other steps that shape the distribution
  std::unique_ptr<llama_sampler, Free> draw_;     ///< the draw itself: greedy or by seed
};

/// A token with the logarithm of its probability under the model itself (temperature 1, no other step).
struct TokenLogprob {
  Token token = 0;
  double logprob = 0;
  std::vector<std::pair<Token, double>> top;  ///< the most probable tokens, best first
};
/// `most` alternatives at most; one pass over the logits.
TokenLogprob logprob_of(std::span<const float> logits, Token token, int most);

}  // namespace ballast::llama
