// The PQ tree and the memory planner against all permutations.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/dynamic/compiler/compile.h"
#include "ballast/dynamic/instances.h"
#include "ballast/dynamic/language/reference.h"
#include "ballast/dynamic/models.h"
#include "ballast/dynamic/plan/block_executor.h"
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

/// Cells in the plain form that the layout is about: every gate an operator of its own.
const char* const kLstm =
    "const H = 8;\nparam Wi: Tensor[f32, H, H] = xavier; param Wf: Tensor[f32, H, H] = xavier;\n"
    "param Wo: Tensor[f32, H, H] = xavier; param Wu: Tensor[f32, H, H] = xavier;\n"
    "param Ui: Tensor[f32, H, H] = xavier; param Uf: Tensor[f32, H, H] = xavier;\n"
    "param Uo: Tensor[f32, H, H] = xavier; param Uu: Tensor[f32, H, H] = xavier;\n"
    "@block fn cell(x: Tensor[f32, H], h: Tensor[f32, H], c: Tensor[f32, H]) -> (Tensor[f32, H], Tensor[f32, "
    "H]) {\n"
    "  let n = sigmoid(dense(x, Wi) + dense(h, Ui)) * tanh(dense(x, Wu) + dense(h, Uu)) + sigmoid(dense(x, "
    "Wf) + "
    "dense(h, Uf)) * c;\n  (sigmoid(dense(x, Wo) + dense(h, Uo)) * tanh(n), n) }\n"
    "@entry fn main(x: Tensor[f32, H], h: Tensor[f32, H], c: Tensor[f32, H]) -> (Tensor[f32, H], Tensor[f32, "
    "H]) "
    "{ cell(x, h, c) }";

TEST(BlockExecutor, GivesTheReferencesNumbersOnEveryLevel) {
  const Module module = Module::from_text(kLstm);
  const Parameters parameters = initial_parameters(module, 3);
  const Executable exe = compile(module, {.hfuse = false, .native = false});
  ASSERT_EQ(exe.unit.types.size(), 1u);
  const OpType& type = exe.unit.types[0];
  const std::vector<Instance> batch = draw_instances(module, 5, 2);
  std::vector<std::vector<float>> weights, inputs;
  std::size_t argument = 0;
  for (std::size_t i = 0; i < type.cell.inputs.size(); ++i) {
    weights.emplace_back();
    inputs.emplace_back();
    if (type.cell.inputs[i].mode == Cell::Input::Mode::shared)
      weights.back() = parameters.at(exe.program.globals[static_cast<std::size_t>(type.globals[i])].name);
    else
      for (const Instance& one : batch)
        inputs.back().insert(inputs.back().end(), one[argument].elements.begin(),
                             one[argument].elements.end());
    argument += type.cell.inputs[i].mode == Cell::Input::Mode::shared ? 0 : 1;
  }
  const Reference reference(module, parameters);
  // The block gives its results in the order of its nodes: the cell's state comes before what is made of it.
  ASSERT_EQ(type.cell.outputs.size(), 2u);
  const std::size_t state = type.cell.outputs[0] < type.cell.outputs[1] ? 0 : 1;
  std::vector<int> copies;
  for (int level = 0; level <= 5; ++level) {
    BlockExecutor executor(type.cell, weights, level);
    for (int round = 0; round < 2; ++round) executor.run(5, inputs);
    copies.push_back(executor.copies());
    for (std::size_t lane = 0; lane < batch.size(); ++lane) {
      const std::vector<double> expected = reference.numbers(batch[lane]);
      for (std::size_t out = 0; out < 2; ++out)
        for (std::size_t i = 0; i < 8; ++i)
          ASSERT_NEAR(executor.output(static_cast<int>(out))[lane * 8 + i],
                      expected[(out == state ? 8 : 0) + i], 1e-5)
              << "level " << level << " lane " << lane << " output " << out;
    }
  }
  EXPECT_EQ(copies[1], 0);
  EXPECT_EQ(copies[1], copies[3]);
  EXPECT_EQ(copies[1], copies[5]);
  EXPECT_GT(copies[0], 0);
  EXPECT_THROW(BlockExecutor(type.cell, weights, 6), InvalidInput);
}

}  // namespace
}  // namespace ballast::dynamic
