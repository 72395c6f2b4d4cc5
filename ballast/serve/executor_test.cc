// Oracle (h): what is sampled with speculation has the law of what is sampled without.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <map>
#include <vector>

#include "ballast/serve/llama_executor.h"
#include "ballast/serve/model_test.h"

namespace ballast::serve {
namespace {

class Executor : public ModelTest<Executor> {};

// Pearson's statistic of these draws against the law; bins that expect fewer than 5 are merged.
struct ChiSquare {
  double statistic = 0;
  int freedom = -1;
};
ChiSquare chi_square(const std::map<llama::Token, int>& draws,
                     const std::vector<llama::TokenProbability>& law) {
  int all = 0;
  for (const auto& [token, count] : draws) all += count;
  ChiSquare result;
  double expected = 0, observed = 0;
  int seen = 0;
  auto close = [&] {
    if (expected <= 0) return;
    result.statistic += (observed - expected) * (observed - expected) / expected;
    ++result.freedom;
    expected = observed = 0;
  };
  for (const llama::TokenProbability& entry : law) {
    const auto found = draws.find(entry.token);
    const int count = found == draws.end() ? 0 : found->second;
    expected += all * static_cast<double>(entry.probability);
    observed += count;
    seen += count;
    if (expected >= 5) close();
  }
  close();
  EXPECT_EQ(seen, all) << "tokens outside of the law";
  return result;
}

// Beyond this with a chance of about one in a thousand (Wilson and Hilferty's approximation).
double critical(int freedom) {
  const double k = freedom, part = 1 - 2 / (9 * k) + 3.09 * std::sqrt(2 / (9 * k));
  return k * part * part * part;
}

TEST_F(Executor, SpeculationLeavesTheLawOfSamplingUnchanged) {
  std::printf("seeds 100 to 115\n");
  constexpr int kSlots = 16, kSteps = 60;
  LlamaExecutor executor(*model_, {.slots = kSlots, .slot_tokens = 64, .batch = 256, .threads = 1});
  const std::vector<llama::Token> prompt = model_->tokenize("My favourite animal is the");
  const int last = static_cast<int>(prompt.size()) - 1;
  const llama::SamplerSettings toy{.temperature = 1.5, .top_k = 16};
  for (int slot = 0; slot < kSlots; ++slot)
    executor.step(std::vector<ExecutorItem>{
        {.slot = slot, .position = 0, .tokens = std::span(prompt).first(static_cast<std::size_t>(last))}});
  std::vector<llama::Sampler> samplers;
  for (std::uint32_t slot = 0; slot < kSlots; ++slot) {
    auto settings = toy;
    settings.seed = 100 + slot;
    samplers.emplace_back(*model_, settings);
  }
  // The guess is the likeliest token, so that it is often right.
  std::vector<llama::Token> guess{prompt.back(), 0};
  auto step = [&] {
    std::vector<ExecutorItem> items;
    for (int slot = 0; slot < kSlots; ++slot)
      items.push_back({.slot = slot,
                       .position = last,
                       .tokens = guess,
                       .drafted = 1,
                       .sampler = &samplers[static_cast<std::size_t>(slot)]});
    ExecutorResult result = executor.step(items);
    for (int slot = 0; slot < kSlots; ++slot) executor.drop(slot, last);
    return result;
  };
  llama::Sampler reader(*model_, toy);
  ASSERT_EQ(step().status, llama::DecodeStatus::ok);
  const auto first_law = reader.distribution(executor.context().logits(0));
  guess[1] = first_law.front().token;
  std::map<llama::Token, int> first, second;
  std::vector<llama::TokenProbability> second_law;
  for (int i = 0; i < kSteps; ++i) {
    const ExecutorResult result = step();
    ASSERT_EQ(result.status, llama::DecodeStatus::ok);
    if (i == 0) second_law = reader.distribution(executor.context().logits(1));
    for (const auto& tokens : result.tokens) {
      ASSERT_GE(tokens.size(), 1u);
      ++first[tokens[0]];
      ASSERT_EQ(tokens.size(), tokens[0] == guess[1] ? 2u : 1u)
          << "a guess is right when it is what was drawn";
      if (tokens.size() == 2) ++second[tokens[1]];
    }
  }
  ASSERT_EQ(first_law.size(), 16u);
  const ChiSquare all = chi_square(first, first_law), after = chi_square(second, second_law);
  EXPECT_LT(all.statistic, critical(all.freedom)) << all.freedom << " degrees of freedom";
  ASSERT_GT(after.freedom, 3);
  EXPECT_LT(after.statistic, critical(after.freedom)) << after.freedom << " degrees of freedom";
}

}  // namespace
}  // namespace ballast::serve
