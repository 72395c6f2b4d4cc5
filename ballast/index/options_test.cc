// Every option of the tree against the oracle, with the structure verified after every batch; the loss of
// modules; bounded chunks; the rest of what a flag can switch.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "ballast/base/errors.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/index/oracle.h"
#include "ballast/index/pim_tree.h"
#include "ballast/index/program_generator.h"
#include "ballast/index/recovering.h"
#include "ballast/index/workload.h"

namespace ballast::index {
namespace {

struct Variant {
  const char* name;
  PimTreeOptions options;
};

std::vector<Variant> variants() {
  return {{"l3 host", {.chunk = 4, .levels = 2, .l3_host = true}},
          {"l3 host, shadow", {.chunk = 4, .levels = 3, .l3_host = true}},
          {"inline", {.chunk = 4, .levels = 2, .leaf = Leaf::in_line}},
          {"inline, pull", {.chunk = 4, .levels = 2, .search = Search::pull, .leaf = Leaf::in_line}},
          {"inline, push, shadow", {.chunk = 8, .levels = 3, .search = Search::push, .leaf = Leaf::in_line}},
          {"inline, duplicates", {.chunk = 4, .levels = 2, .dedup = false, .leaf = Leaf::in_line}},
          {"ab, one level", {.chunk = 4, .levels = 1, .chunking = Chunking::ab}},
          {"ab", {.chunk = 4, .levels = 2, .chunking = Chunking::ab}},
          {"ab, shadow", {.chunk = 4, .levels = 3, .chunking = Chunking::ab}},
          {"ab, B = 8, weak hash", {.chunk = 8, .levels = 3, .chunking = Chunking::ab, .hash_bits = 3}},
          {"all of them",
           {.chunk = 4, .levels = 3, .l3_host = true, .leaf = Leaf::in_line, .chunking = Chunking::ab}},
          {"record all", {.chunk = 4, .levels = 3, .record_all = true}},
          {"ranges as they come", {.chunk = 4, .levels = 2, .merge_ranges = false, .cut_ranges = false}},
          {"ranges cut only", {.chunk = 4, .levels = 3, .merge_ranges = false}}};
}

TEST(Options, EveryOneGivesTheOraclesAnswers) {
  for (const auto& [name, options] : variants()) {
    for (const auto space : {KeySpace::wide, KeySpace::dense}) {
      for (const std::uint32_t modules : {1u, 7u}) {
        SCOPED_TRACE(
            fmt::format("{}, P = {}, {}", name, modules, space == KeySpace::wide ? "wide" : "dense"));
        pim::Machine machine({.modules = modules});
        PimTree tree(machine, options);
        Oracle oracle;
        const auto first = uniform_entries(space == KeySpace::wide ? 700 : 0, 3);
        tree.bulk_load(first);
        oracle.bulk_load(first);
        ASSERT_EQ(tree.verify(), "");
        ProgramGenerator program(11, space);
        for (int batch = 0; batch < 40; ++batch) {
          ASSERT_EQ(program.step(tree, oracle), "") << "batch " << batch << ", " << program.last();
          ASSERT_EQ(tree.verify(), "") << "batch " << batch << ", " << program.last();
          ASSERT_EQ(tree.size(), oracle.size());
        }
      }
    }
  }
}

// One key after the other at the end of the key space, then most of them taken away: what stretches chunks
// and what starves them.
TEST(Options, AbKeepsChunksWithinBoundsWhateverComes) {
  for (const std::uint32_t levels : {1u, 2u, 3u}) {
    SCOPED_TRACE(levels);
    pim::Machine machine({.modules = 5});
    PimTree tree(machine, {.chunk = 8, .levels = levels, .chunking = Chunking::ab});
    std::vector<Entry> batch;
    for (Key key = 0; key < 4000; ++key) {
      batch.push_back({key, key});
      if (key % 500 != 499) continue;
      tree.insert(batch);
      batch.clear();
      ASSERT_EQ(tree.verify(), "");  // which looks at the bound
    }
    EXPECT_GE(tree.chunk_counts()[0], 4000u / 16 - 1);
    std::vector<Key> gone;
    for (Key key = 0; key < 4000; ++key)
      if (key % 16 != 0) gone.push_back(key);
    const auto before = tree.chunk_counts()[0];
    for (std::size_t i = 0; i < gone.size(); i += 600)
      tree.erase(std::span(gone).subspan(i, std::min<std::size_t>(600, gone.size() - i)));
    ASSERT_EQ(tree.verify(), "");
    EXPECT_EQ(tree.size(), 250u);
    EXPECT_LT(tree.chunk_counts()[0], before / 4);  // 250 keys need 16 to 125 chunks
  }
}

TEST(Options, InlineValuesSaveTheDataRoundAndItsWords) {
  const auto entries = uniform_entries(1 << 14, 1);
  const auto keys = piece_zipf(1 << 12, 16, 0, 1, 1);
  const auto cost_of = [&](PimTreeOptions options) {
    pim::Machine machine({.modules = 16});
    PimTree tree(machine, options);
    tree.bulk_load(entries);
    tree.predecessor(keys);
    return tree.cost();
  };
  const pim::Cost hashed = cost_of({.levels = 2}), in_line = cost_of({.levels = 2, .leaf = Leaf::in_line});
  EXPECT_EQ(in_line.rounds.size() + 1, hashed.rounds.size());
  EXPECT_LT(in_line.words(), hashed.words());
  const pim::Cost on_host = cost_of({.levels = 2, .l3_host = true});
  EXPECT_EQ(on_host.rounds.size() + 1, hashed.rounds.size());
  EXPECT_EQ(on_host.words() + 2 * keys.size(), hashed.words());  // a question and an answer each
}

TEST(Options, LongRangesAreCutForTheModules) {
  const auto entries = uniform_entries(1 << 14, 1);
  std::vector<KeyRange> ranges{{0, ~Key{0} / 2}};
  for (Key i = 0; i < 63; ++i) ranges.push_back({~Key{0} / 2 + (i << 40), ~Key{0} / 2 + (i << 40) + 1000});
  const auto most_of_l3 = [&](bool cut) {
    pim::Machine machine({.modules = 16});
    PimTree tree(machine, {.chunk = 4, .levels = 2, .cut_ranges = cut});
    tree.bulk_load(entries);
    const Rows rows = tree.scan(ranges);
    EXPECT_GT(rows[0].size(), 7000u);
    return tree.cost().rounds[0].most_received;
  };
  EXPECT_LT(4 * most_of_l3(true), most_of_l3(false));
}

TEST(Recovery, ALostModuleIsRestoredInEveryRoundThatThereIs) {
  const TemporaryFolder folder;
  const auto entries = uniform_entries(300, 2);
  for (std::uint64_t round = 3; round < 120; round += 3) {
    SCOPED_TRACE(round);
    pim::Machine machine({.modules = 4, .kill_module = 2, .kill_round = round});
    RecoveringTree tree(machine, {.chunk = 4, .levels = 3}, {.snapshot = folder.file("s.bidx"), .every = 3});
    Oracle oracle;
    tree.bulk_load(entries);
    oracle.bulk_load(entries);
    ProgramGenerator program(5, KeySpace::wide);
    for (int batch = 0; batch < 40; ++batch) ASSERT_EQ(program.step(tree, oracle), "") << program.last();
    EXPECT_EQ(tree.recoveries(), 1u);
    EXPECT_EQ(tree.tree().verify(), "");
    EXPECT_EQ(tree.size(), oracle.size());
  }
}

TEST(Recovery, WithoutOneTheTreeIsBrokenAndSaysSo) {
  pim::Machine machine({.modules = 4, .kill_module = 1, .kill_round = 8});
  PimTree tree(machine, {.chunk = 4, .levels = 2});
  try {
    tree.bulk_load(uniform_entries(100, 1));
    tree.predecessor(std::vector<Key>{1, 2, 3});
    FAIL() << "no module was lost";
  } catch (const pim::ModuleLost& lost) {
    EXPECT_EQ(lost.module(), 1u);
    EXPECT_EQ(lost.round(), 8u);
    EXPECT_THAT(lost.what(), testing::HasSubstr("module 1 was lost in round 8"));
  }
  EXPECT_TRUE(machine.broken());
  EXPECT_THROW(tree.get(std::vector<Key>{1}), Unavailable);
  tree.restart();
  tree.bulk_load(uniform_entries(100, 1));
  EXPECT_EQ(tree.verify(), "");
  EXPECT_THROW(pim::Machine({.modules = 4, .kill_module = 4, .kill_round = 1}), InvalidInput);
  EXPECT_THROW(RecoveringTree(machine, {}, {}), InvalidInput);
}

}  // namespace
}  // namespace ballast::index
