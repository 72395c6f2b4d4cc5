#include "ballast/llama/sampler.h"

#include <fmt/format.h>
#include <llama.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "ballast/base/errors.h"

namespace ballast::llama {
namespace {

void require(bool good, const char* name, double value, const char* accepted) {
  if (!good || !std::isfinite(value)) throw InvalidInput(name, fmt::format("{}", value), accepted);
}

void check(const SamplerSettings& s) {
  require(s.temperature >= 0 && s.temperature <= 10, "temperature", s.temperature, "0 to 10");
  require(s.top_k >= 0, "top_k", s.top_k, "0 (off) or a positive count");
  require(s.top_p > 0 && s.top_p <= 1, "top_p", s.top_p, "above 0, up to 1");
  require(s.min_p >= 0 && s.min_p <= 1, "min_p", s.min_p, "0 to 1");
  require(s.repeat_penalty > 0, "repeat_penalty", s.repeat_penalty, "above 0");
  require(std::abs(s.frequency_penalty) <= 2, "frequency_penalty", s.frequency_penalty, "-2 to 2");
  require(std::abs(s.presence_penalty) <= 2, "presence_penalty", s.presence_penalty, "-2 to 2");
}

bool has_penalties(const SamplerSettings& s) {
  return s.repeat_penalty != 1 || s.frequency_penalty != 0 || s.presence_penalty != 0;
}

}  // namespace

bool SamplerSettings::plain_greedy() const {
  return greedy() && !has_penalties(*this) && !ignore_end && bias.empty() && grammar.empty();
}

void Sampler::Free::operator()(llama_sampler* chain) const {
  llama_sampler_free(chain);
}

Sampler::Sampler(const Model& model, const SamplerSettings& settings) : settings_(settings) {
  check(settings);
  llama_sampler_chain_params parameters = llama_sampler_chain_default_params();
  parameters.no_perf = true;
  chain_.reset(llama_sampler_chain_init(parameters));
  auto add = [this](llama_sampler* step) { llama_sampler_chain_add(chain_.get(), step); };
  std::vector<llama_logit_bias> bias;
  if (settings.ignore_end) {
    for (const Token token : model.end_tokens())
      bias.push_back({token, -std::numeric_limits<float>::infinity()});
  }
  for (const auto& [token, value] : settings.bias) bias.push_back({token, static_cast<float>(value)});
  if (!bias.empty())
    add(llama_sampler_init_logit_bias(model.vocabulary(), static_cast<int>(bias.size()), bias.data()));
  if (!settings.grammar.empty()) {
    if (settings.ignore_end) throw InvalidInput("a grammar ends its text, so the end cannot be ignored");
    grammar_.reset(llama_sampler_init_grammar(model.vocab(), settings.grammar.c_str(), "root"));
    if (!grammar_) throw InvalidInput("the grammar cannot be parsed as GBNF with a rule 'root'");
  }
  if (has_penalties(settings))
    add(llama_sampler_init_penalties(
        model.vocabulary(), settings.penalty_window, static_cast<float>(settings.repeat_penalty),
        static_cast<float>(settings.frequency_penalty), static_cast<float>(settings.presence_penalty)));
  if (settings.greedy()) {
    draw_.reset(llama_sampler_init_greedy());
    return;
  }
  if (settings.top_k > 0) add(llama_sampler_init_top_k(settings.top_k));
  if (settings.top_p < 1) add(llama_sampler_init_top_p(static_cast<float>(settings.top_p), 1));
  if (settings.min_p > 0) add(llama_sampler_init_min_p(static_cast<float>(settings.min_p), 1));
  add(llama_sampler_init_temp(static_cast<float>(settings.temperature)));
  draw_.reset(llama_sampler_init_dist(settings.seed));
}

Sampler::Sampler(const Sampler& other)
    : settings_(other.settings_),
      grammar_(other.grammar_ ? llama_sampler_clone(other.grammar_.get()) : nullptr),
      chain_(llama_sampler_clone(other.chain_.get())),
      draw_(llama_sampler_clone(other.draw_.get())) {}

namespace {

std::vector<llama_token_data> candidates_of(std::span<const float> logits) {
  std::vector<llama_token_data> candidates(logits.size());
  for (std::size_t i = 0; i < logits.size(); ++i) candidates[i] = {static_cast<Token>(i), logits[i], 0};
  return candidates;
}

}  // namespace

std::vector<TokenProbability> Sampler::distribution(std::span<const float> logits) {
  auto candidates = candidates_of(logits);
  llama_token_data_array array{candidates.data(), candidates.size(), -1, false};
  if (grammar_) llama_sampler_apply(grammar_.get(), &array);
  llama_sampler_apply(chain_.get(), &array);
  std::vector<TokenProbability> result(array.size);
  const auto highest = std::max_element(array.data, array.data + array.size,
                                        [](const auto& a, const auto& b) { return a.logit < b.logit; });
  double sum = 0;
  for (std::size_t i = 0; i < array.size; ++i) {
    const double weight = settings_.greedy()
                              ? (array.data + i == highest ? 1.0 : 0.0)
                              : std::exp(static_cast<double>(array.data[i].logit - highest->logit));
    result[i] = {array.data[i].id, static_cast<float>(weight)};
    sum += weight;
  }
  for (auto& entry : result) entry.probability = static_cast<float>(entry.probability / sum);
  std::stable_sort(result.begin(), result.end(),
                   [](const auto& a, const auto& b) { return a.probability > b.probability; });
  return result;
}

Token Sampler::draw(std::span<const float> logits, bool with_grammar) {
  auto candidates = candidates_of(logits);
  llama_token_data_array array{candidates.data(), candidates.size(), -1, false};
  if (with_grammar) llama_sampler_apply(grammar_.get(), &array);
  llama_sampler_apply(chain_.get(), &array);
  llama_sampler_apply(draw_.get(), &array);
  BALLAST_CHECK(array.selected >= 0, "the sampler chain selected no token");
  return array.data[array.selected].id;
}

bool Sampler::allowed(Token token) {
  llama_token_data one{token, 1, 0};
  llama_token_data_array array{&one, 1, -1, false};
  llama_sampler_apply(grammar_.get(), &array);
  return !std::isinf(one.logit);
}

// The grammar costs milliseconds over a whole vocabulary and nothing on one token. So a token is drawn
// without it first; if it is not allowed, another is drawn with it. Both ways together give p(t) + (1 - P)
// p(t) / P = p(t) / P for an allowed t, P the probability of all allowed tokens: the same law as drawing with
// the grammar at once.
Token Sampler::sample(std::span<const float> logits) {
  Token token = draw(logits, false);
  if (grammar_ && !allowed(token)) token = draw(logits, true);
  accept(token);
  return token;
}

Token Sampler::sample(const Context& context, int index) {
  if (settings_.plain_greedy()) return context.greedy(index);
  return sample(context.logits(index));
}

void Sampler::accept(Token token) {
  if (grammar_) {
    if (!allowed(token)) throw InvalidInput(fmt::format("the grammar does not allow token {} here", token));
    llama_sampler_accept(grammar_.get(), token);
  }
  llama_sampler_accept(chain_.get(), token);
}

TokenLogprob logprob_of(std::span<const float> logits, Token token, int most) {
  const float highest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit - highest));
  const double shift = highest + std::log(sum);
  TokenLogprob result;
  result.token = token;
  result.logprob = logits[static_cast<std::size_t>(token)] - shift;
  std::vector<Token> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto count = std::min(static_cast<std::size_t>(std::max(0, most)), order.size());
  std::partial_sort(
      order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(), [&](Token a, Token b) {
        const float x = logits[static_cast<std::size_t>(a)], y = logits[static_cast<std::size_t>(b)];
        return x != y ? x > y : a < b;
      });
  for (std::size_t i = 0; i < count; ++i)
    result.top.emplace_back(order[i], logits[static_cast<std::size_t>(order[i])] - shift);
  return result;
}

}  // namespace ballast::llama
