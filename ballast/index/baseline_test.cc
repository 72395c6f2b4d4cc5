#include <gtest/gtest.h>

#include "ballast/index/baseline/hash_broadcast.h"
#include "ballast/index/baseline/jump_push.h"
#include "ballast/index/baseline/range_partition.h"
#include "ballast/index/oracle.h"
#include "ballast/index/pim_tree.h"
#include "ballast/index/program_generator.h"
#include "ballast/index/workload.h"

namespace ballast::index {
namespace {

class RangePrograms : public testing::TestWithParam<bool> {};

TEST_P(RangePrograms, EqualTheOracle) {
  for (const std::uint32_t modules : {1u, 3u, 16u}) {
    for (std::uint64_t seed = 1; seed <= 12; ++seed) {
      SCOPED_TRACE(testing::Message() << modules << " modules, seed " << seed);
      pim::Machine machine({.modules = modules, .memory = Bytes::mib(4)});
      baseline::RangePartition index(machine, {.rebalance = GetParam()});
      Oracle oracle;
      ProgramGenerator program(seed, seed % 2 == 0 ? KeySpace::dense : KeySpace::wide);
      for (int step = 0; step < 40; ++step) {
        ASSERT_EQ(program.step(index, oracle), "") << "step " << step;
        ASSERT_EQ(index.size(), oracle.size());
      }
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Rebalance, RangePrograms, testing::Values(false, true));

TEST(HashBroadcast, EqualsTheOracle) {
  for (const std::uint32_t modules : {1u, 7u}) {
    for (std::uint64_t seed = 1; seed <= 6; ++seed) {
      SCOPED_TRACE(testing::Message() << modules << " modules, seed " << seed);
      pim::Machine machine({.modules = modules, .memory = Bytes::mib(4)});
      baseline::HashBroadcast index(machine, seed);
      Oracle oracle;
      ProgramGenerator program(seed, seed % 2 == 0 ? KeySpace::dense : KeySpace::wide);
      for (int step = 0; step < 40; ++step) {
        ASSERT_EQ(program.step(index, oracle), "") << "step " << step;
        ASSERT_EQ(index.size(), oracle.size());
      }
    }
  }
}

TEST(JumpPush, FindsWhatTheOracleFinds) {
  for (const bool push_pull : {false, true})
    for (const std::uint32_t modules : {1u, 5u, 64u}) {
      for (const std::uint64_t keys : {0u, 1u, 50u, 5000u}) {
        pim::Machine machine({.modules = modules, .memory = Bytes::mib(4)});
        baseline::JumpPush index(machine, 3, push_pull);
        Oracle oracle;
        const auto entries = uniform_entries(keys, 4);
        index.bulk_load(entries);
        oracle.bulk_load(entries);
        for (const double alpha : {0.0, 1.2, -1.0}) {
          auto questions = piece_zipf(700, 16, alpha, 5, 1);
          questions.insert(questions.end(), {0, ~Key{0}});
          for (std::size_t i = 0; i < entries.size() && i < 300; ++i) questions.push_back(entries[i].key);
          EXPECT_EQ(index.predecessor(questions), oracle.predecessor(questions)) << modules << " " << keys;
          EXPECT_EQ(index.get(questions), oracle.get(questions));
        }
      }
    }
}

// What the paper is about: with all questions in one piece, the range partition's busiest module gets
// everything.
TEST(Skew, RangeDrownsAndThePimTreeDoesNot) {
  const auto entries = uniform_entries(1 << 17, 1);
  const std::uint32_t modules = 64;
  pim::Machine one({.modules = modules}), two({.modules = modules});
  PimTree tree(one);
  baseline::RangePartition range(two);
  tree.bulk_load(entries);
  range.bulk_load(entries);
  for (const double alpha : {0.0, 0.99, 1.2, -1.0}) {
    const auto questions = piece_zipf(1 << 14, modules, alpha, 9, 0);
    ASSERT_EQ(tree.predecessor(questions), range.predecessor(questions));
    EXPECT_LE(tree.cost().io_imbalance(), 2.0) << "alpha " << alpha;
    EXPECT_LE(tree.cost().rounds.size(), 5u);
    if (alpha < 0) {
      EXPECT_GT(range.cost().io_imbalance(), 0.9 * modules / 2);
      EXPECT_GT(range.cost().io_time(), 4 * tree.cost().io_time());
    }
  }
}

}  // namespace
}  // namespace ballast::index
