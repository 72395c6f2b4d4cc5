#include "ballast/dynamic/tree_lstm.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/dynamic/fsm.h"

namespace ballast::dynamic {
namespace {

std::vector<Tree> draw(std::uint64_t seed, std::uint64_t count) {
  std::vector<Tree> trees;
  for (std::uint64_t i = 0; i < count; ++i) trees.push_back(draw_tree(seed, i));
  return trees;
}

TEST(TreeLstm, EqualsThePlainLoops) {
  TreeLstm model({.embedding = 20, .hidden = 24, .vocabulary = 20000}, 5);
  const TreeBatch batch(draw(2, 6));
  const auto result = model.run(batch, schedule_by_name(Structure(batch.graph()), "agenda"));
  const auto expected = model.reference(batch);
  ASSERT_EQ(result.logits.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(result.logits[i], expected[i], 1e-5 * (1 + std::abs(expected[i])));
}

// The schedule decides what runs together, never what comes out.
TEST(TreeLstm, SameBitsUnderEveryPolicyAndNumberOfThreads) {
  const TreeBatch batch(draw(4, 9));
  const Structure structure(batch.graph());
  TreeLstm one({.embedding = 16, .hidden = 32}, 7), two({.embedding = 16, .hidden = 32, .threads = 2}, 7);
  const auto expected = one.run(batch, schedule_unbatched(structure)).logits;
  for (const char* name : {"depth", "agenda", "suff"}) {
    EXPECT_EQ(one.run(batch, schedule_by_name(structure, name)).logits, expected) << name;
    EXPECT_EQ(two.run(batch, schedule_by_name(structure, name)).logits, expected) << name;
  }
}

TEST(TreeLstm, OneLeafAndNoTrees) {
  TreeLstm model({.embedding = 8, .hidden = 8}, 1);
  Tree leaf;
  leaf.nodes.push_back({-1, -1, 3});
  const TreeBatch single({leaf});
  EXPECT_TRUE(model.run(single, schedule_by_name(Structure(single.graph()), "agenda")).logits.empty());
  const TreeBatch none({});
  EXPECT_EQ(model.run(none, schedule_by_name(Structure(none.graph()), "agenda")).batches, 0u);
  EXPECT_THROW(TreeLstm({.hidden = 0}, 1), InvalidInput);
}

}  // namespace
}  // namespace ballast::dynamic
