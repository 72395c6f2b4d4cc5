// The PQ tree and the memory planner against all permutations.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/dynamic/compiler/compile.h"
#include "ballast/dynamic/models.h"
#include "ballast/dynamic/plan/memory_plan.h"
#include "ballast/dynamic/plan/pq_tree.h"

namespace ballast::dynamic {
namespace {

std::vector<std::vector<int>> permutations(int n) {
  std::vector<int> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  std::vector<std::vector<int>> all;
  do all.push_back(order);
  while (std::next_permutation(order.begin(), order.end()));
  return all;
}

bool consecutive(const std::vector<int>& order, const std::vector<int>& set) {
  int low = 1000, high = -1;
  for (const int v : set) {
    const auto at = static_cast<int>(std::find(order.begin(), order.end(), v) - order.begin());
    low = std::min(low, at);
    high = std::max(high, at);
  }
  return high - low + 1 == static_cast<int>(set.size());
}

TEST(PqTree, AllowsExactlyTheOrdersThatKeepEverySetTogether) {
  const std::uint64_t seed = 5;
  RecordProperty("seed", static_cast<int>(seed));
  Random random(seed);
  int refused = 0;
  for (int trial = 0; trial < 300; ++trial) {
    const int n = 2 + static_cast<int>(random.below(6));
    PqTree tree(n);
    auto left = permutations(n);
    for (int step = 0; step < 5; ++step) {
      std::vector<int> set;
      for (int v = 0; v < n; ++v)
        if (random.below(2) == 1) set.push_back(v);
      if (set.size() < 2) continue;
      auto after = left;
      std::erase_if(after, [&](const auto& order) { return !consecutive(order, set); });
      const bool possible = !after.empty();
      ASSERT_EQ(tree.reduce(set), possible) << "trial " << trial << ", seed " << seed;
      if (possible)
        left = after;
      else
        ++refused;
      ASSERT_EQ(all_orders(tree), left) << "trial " << trial << ", step " << step << ", seed " << seed;
    }
  }
  EXPECT_GT(refused, 20);
}

TEST(MemoryPlan, TheSpecificationsExample) {
  // Variables 1..8 as 0..7: 1 3 5 4 2 8 7 6 needs no copy, the declared order needs 2.
  const BlockBatches block{.variables = 8, .batches = {{{4, 3}, {{0, 2}}}, {{7, 6, 5}, {{4, 3, 1}}}}};
  EXPECT_EQ(declaration_plan(block).copies, 2);
  EXPECT_EQ(count_copies(block, {0, 2, 4, 3, 1, 7, 6, 5}).copies, 0);
  EXPECT_EQ(plan_memory(block).copies, 0);
  int zero = 0;
  for (const auto& order : permutations(8)) zero += count_copies(block, order).copies == 0 ? 1 : 0;
  EXPECT_EQ(zero, 24);
}

TEST(MemoryPlan, FindsAnOrderWithoutCopiesWhereverThereIsOne) {
  const std::uint64_t seed = 9;
  Random random(seed);
  int possible = 0, found = 0;
  for (int trial = 0; trial < 250; ++trial) {
    const int n = 4 + static_cast<int>(random.below(4));
    BlockBatches block{.variables = n, .batches = {}};
    std::vector<int> names(static_cast<std::size_t>(n));
    std::iota(names.begin(), names.end(), 0);
    random.shuffle(names);
    for (int at = 2; at + 2 <= n;) {
      const int lanes = std::min<int>(2 + static_cast<int>(random.below(2)), n - at);
      BlockBatches::Batch batch{{names.begin() + at, names.begin() + at + lanes}, {}};
      for (int o = 0; o < 2; ++o) {
        std::vector<int> earlier(names.begin(), names.begin() + at);
        if (static_cast<int>(earlier.size()) < lanes) continue;
        random.shuffle(earlier);
        batch.operands.emplace_back(earlier.begin(), earlier.begin() + lanes);
      }
      block.batches.push_back(batch);
      at += lanes;
    }
    int best = 1000;
    for (const auto& order : permutations(n)) best = std::min(best, count_copies(block, order).copies);
    const MemoryPlan plan = plan_memory(block);
    EXPECT_EQ(count_copies(block, plan.order).copies, plan.copies);
    EXPECT_LE(plan.copied_bytes, declaration_plan(block).copied_bytes) << "trial " << trial;
    if (best > 0) continue;
    ++possible;
    found += plan.copies == 0 ? 1 : 0;
    EXPECT_EQ(plan.copies, 0) << "trial " << trial << ", seed " << seed;
  }
  EXPECT_GT(possible, 30);
}

TEST(MemoryPlan, MalformedProblemsAreRefused) {
  const auto refuse = [](const char* text, const char* sentence) {
    EXPECT_THAT([&] { BlockBatches::from_json(Json::parse(text), "p.json"); },
                testing::ThrowsMessage<InvalidInput>(testing::HasSubstr(sentence)));
  };
  refuse(R"({"variables": 2, "batches": [{"results": [2]}]})", "batch 0: variable 2");
  refuse(R"({"variables": 3, "batches": [{"results": [0, 1], "operands": [[2]]}]})",
         "an operand of 1 lanes for 2 results");
  refuse(R"({"variables": 3, "batches": [{"results": [0]}, {"results": [0]}]})", "is a result twice");
  refuse(R"({"batches": []})", "no layout problem");
}

}  // namespace
}  // namespace ballast::dynamic
