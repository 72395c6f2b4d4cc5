// The bounds of TD-Orch as inequalities on counters, and the bytes model against the engine, to the byte.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <mutex>
#include <set>

#include "ballast/cluster/cluster.h"
#include "ballast/data/zipf.h"
#include "ballast/orch/bytes_model.h"
#include "ballast/orch/orch.h"

namespace ballast::orch {
namespace {

using cluster::Machine;

template <std::size_t B>
struct Fetch {
  using Key = std::uint64_t;
  struct Context {
    std::uint64_t a, b;
  };
  struct Item {
    std::array<std::uint64_t, B / 8> words;
  };
  using Update = None;
  using Reply = std::uint64_t;
  static Reply run(const Context& c, const Item& x, Emit<Fetch>&) { return x.words[0] + c.a; }
};

struct Run {
  StageReport report;
  std::vector<KeyDemand> demands;
  RecordSizes sizes;
};

// One stage of n tasks a machine; machines with `idle` have none.
template <std::size_t B>
Run run_stage(int machines, double theta, std::uint64_t keys, std::size_t n, const Options& options,
              std::uint64_t seed, bool all_on_one = false) {
  Run result;
  std::mutex mutex;
  std::map<std::uint64_t, KeyDemand> demands;
  auto cluster = cluster::Cluster::open({.machines = machines, .seed = seed});
  cluster.run([&](Machine& me) {
    using Class = Fetch<B>;
    Store<Class> store(me);
    store.load_owned(keys, [](std::uint64_t key) { return typename Class::Item{{key * 3}}; });
    Batch<Class> batch;
    const data::Zipf zipf(keys, theta);
    Random random(seed, static_cast<std::uint64_t>(me.id()));
    std::map<std::uint64_t, std::uint64_t> mine;
    if (!all_on_one || me.id() == machines / 2) {
      for (std::size_t i = 0; i < n; ++i) {
        const std::uint64_t key = zipf(random);
        batch.add(key, {i, 0});
        ++mine[key];
      }
    }
    auto report = run(me, store, batch, options);
    for (std::size_t i = 0; i < batch.size(); ++i) ASSERT_EQ(batch.reply(i), batch.key(i) * 3 + i);
    const std::lock_guard lock(mutex);
    for (const auto& [key, count] : mine) {
      demands[key].owner = store.owner(key);
      demands[key].by_machine.emplace_back(me.id(), count);
    }
    if (me.is_first()) result.report = std::move(report);
  });
  for (auto& [key, demand] : demands) result.demands.push_back(std::move(demand));
  result.sizes = {.task = 32, .item = 1 + B, .reply = 16, .meta = 16};
  return result;
}

TEST(BytesModel, IsTheEngineToTheByte) {
  for (int machines : {1, 2, 5, 16}) {
    for (double theta : {0.0, 1.0, 1.8}) {
      for (const char* fanout : {"flat", "2", "3", "4"}) {
        for (const char* limit : {"", "0", "2", "2 by hops", "2 unfused"}) {
          for (bool one : {false, true}) {
            Options options{.fanout = fanout, .push_limit = std::string(limit).substr(0, 1)};
            options.direct_pull = std::string(limit) != "2 by hops";
            options.fuse = std::string(limit) != "2 unfused";
            const auto got = run_stage<256>(machines, theta, 300, 400, options, 7, one);
            const Forest forest = make_forest(options, machines);
            const Limits limits = make_limits(options, got.sizes, forest);
            const auto model = model_td_orch(machines, got.demands, got.sizes, forest, limits).busy();
            for (int m = 0; m < machines; ++m) {
              EXPECT_EQ(
                  static_cast<double>(got.report.machine[static_cast<std::size_t>(m)].busy_payload_bytes),
                  model[static_cast<std::size_t>(m)])
                  << "machine " << m << " of " << machines << " theta=" << theta << " F=" << fanout
                  << " C=" << limit;
            }
          }
        }
      }
      const auto push = run_stage<256>(machines, theta, 300, 400, {.method = Method::push}, 7);
      EXPECT_EQ(static_cast<double>(push.report.busiest_payload_bytes()),
                model_push(machines, push.demands, push.sizes).busiest());
      const auto pull = run_stage<256>(machines, theta, 300, 400, {.method = Method::pull_dedup}, 7);
      EXPECT_EQ(static_cast<double>(pull.report.busiest_payload_bytes()),
                model_pull_dedup(machines, pull.demands, pull.sizes).busiest());
    }
  }
}

// Bound 1: work stays level whatever the skew. Small items keep C small, as the bound's premise wants.
TEST(Bounds, WorkIsLevel) {
  for (int machines : {2, 3, 7, 16, 64}) {
    for (double theta : {0.0, 0.99, 1.5, 3.0}) {
      for (const char* fanout : {"flat", "4", "auto"}) {
        const std::size_t n = machines >= 64 ? 3000 : 6000;
        const auto got = run_stage<64>(machines, theta, 100'000, n, {.fanout = fanout}, 11);
        EXPECT_LE(got.report.imbalance(), 1.25) << "P=" << machines << " theta=" << theta << " F=" << fanout;
      }
    }
  }
  // 256 machines, with just enough tasks for the premise: 64 F C log2 P = 64 * 4 * 2 * 8.
  const auto got = run_stage<64>(256, 1.5, 20'000, 4096, {.fanout = "4"}, 12);
  EXPECT_EQ(got.report.push_limit_leaf, 2u);
  EXPECT_LE(got.report.imbalance(), 1.25);
}

// Bounds 3 to 7 over random inputs and forests.
TEST(Bounds, OfTheForest) {
  Random random(31);
  for (int trial = 0; trial < 40; ++trial) {
    const int machines = 2 + static_cast<int>(random.below(20));
    const int fanout = 2 + static_cast<int>(random.below(4));
    const double theta = random.uniform(0, 2.5);
    const std::uint64_t keys = 1 + random.below(2000), seed = random();
    const std::size_t n = 50 + random.below(500);
    const Options forest_options{.fanout = std::to_string(fanout)};
    const Forest forest = make_forest(forest_options, machines);
    SCOPED_TRACE(testing::Message() << "P=" << machines << " F=" << fanout << " theta=" << theta
                                    << " keys=" << keys << " n=" << n << " seed=" << seed);
    const auto got = run_stage<256>(machines, theta, keys, n, forest_options, seed);
    const auto sum = got.report.total();
    // 7: every task once; the counts at the roots are exact.
    EXPECT_EQ(sum.executed, n * static_cast<std::size_t>(machines));
    EXPECT_EQ(sum.root_tasks + sum.root_meta_count, sum.executed);
    // 6
    EXPECT_LE(got.report.supersteps, 3 * forest.height());
    EXPECT_LE(got.report.pull_levels, forest.height());
    // 5
    EXPECT_LE(sum.most_tasks_of_key, std::max(got.report.push_limit_leaf, got.report.push_limit_inner));
    EXPECT_LE(sum.most_metas_of_key, got.report.meta_limit);
    // 4: F children bring at most M each, and a pile parked at this very node is one more.
    EXPECT_LE(sum.most_item_sends, static_cast<std::uint64_t>(fanout) * got.report.meta_limit + 1);
    // 3: against the flat form with the same limit at the leaf.
    const auto flat =
        run_stage<256>(machines, theta, keys, n,
                       {.fanout = "flat", .push_limit = std::to_string(got.report.push_limit_leaf)}, seed)
            .report.total();
    const double h = forest.height(), m = static_cast<double>(got.report.meta_limit), slot = 4, item = 257;
    EXPECT_LE(static_cast<double>(sum.task_bytes + sum.meta_bytes + sum.item_bytes),
              h * static_cast<double>(flat.task_bytes + flat.meta_bytes) +
                  m / (m - 1) * static_cast<double>(flat.item_bytes) * (item + slot) / item +
                  (item + slot) * static_cast<double>(sum.inner_slots));
  }
}

// Bound 4 at its hardest: everyone asks for the same key.
TEST(Bounds, OneKeyForAll) {
  constexpr int kMachines = 64;
  const auto flat = run_stage<1024>(kMachines, 0, 1, 100, {.fanout = "flat"}, 3);
  EXPECT_EQ(flat.report.total().most_item_sends, kMachines - 1u);
  const auto forest = run_stage<1024>(kMachines, 0, 1, 100, {.fanout = "4"}, 3);
  EXPECT_LE(forest.report.total().most_item_sends, 4u * 4u);
  for (const auto* got : {&flat, &forest}) {
    for (const auto& machine : got->report.machine) EXPECT_EQ(machine.executed, 100u);
    ASSERT_FALSE(got->report.hot_keys.empty());
    EXPECT_EQ(got->report.hot_keys[0].tasks, 6400u);
  }
  EXPECT_LT(forest.report.busiest_bytes() * 2, flat.report.busiest_bytes());
}

// The sketch of `auto` must stay small beside the stage it serves; where no owner sends much more than the
// mean, there is none.
TEST(Auto, TheSketchIsSmallAndOnlyWhereAForestCouldPay) {
  const auto large = run_stage<8192>(16, 1.5, 100'000, 10'000, {.fanout = "auto"}, 5).report.total();
  EXPECT_GT(large.request_bytes, 0u);
  EXPECT_LT(static_cast<double>(large.request_bytes), 0.01 * static_cast<double>(large.payload_sent()));
  const auto small = run_stage<64>(16, 0.5, 100'000, 10'000, {.fanout = "auto"}, 5).report.total();
  EXPECT_EQ(small.request_bytes, 0u);
}

TEST(Auto, TakesAForestWhereOneKeyWouldDrownItsOwner) {
  const RecordSizes sizes{.task = 32, .item = 8193, .reply = 16, .meta = 16};
  std::vector<std::pair<int, std::uint64_t>> hot;
  for (int k = 0; k < 20; ++k) hot.emplace_back(k * 37 % 256, 400'000 / (k + 1));
  EXPECT_NE(choose_fanout(256, hot, 100'000, sizes, {}), "flat");
  EXPECT_EQ(choose_fanout(16, {}, 800'000, sizes, {}), "flat");
}

TEST(Forest, EveryPathEndsAtTheRootAndTreesSpreadEvenly) {
  for (int machines : {1, 2, 3, 7, 16, 60, 256}) {
    for (int fanout : {2, 3, 4, 16}) {
      for (auto placement : {Placement::butterfly, Placement::hash}) {
        const Forest forest = Forest::with_fanout(machines, fanout, placement);
        for (int level = 1; level <= forest.height(); ++level) {
          std::map<int, std::set<int>> trees;  // machine -> roots whose node it carries
          for (int root = 0; root < machines; ++root) {
            for (int m = 0; m < machines; ++m) {
              const int at = forest.next_hop(root, level, m);
              ASSERT_GE(at, 0);
              ASSERT_LT(at, machines);
              if (level == forest.height()) {
                ASSERT_EQ(at, root);
              }
              trees[at].insert(root);
              // Members of one group meet at one node.
              if (placement == Placement::butterfly) {
                ASSERT_EQ(at,
                          forest.next_hop(root, level,
                                          static_cast<int>(m / forest.width(level) * forest.width(level))));
              }
            }
          }
          if (placement == Placement::hash || machines % forest.width(level) != 0) continue;
          for (const auto& [machine, roots] : trees)
            EXPECT_EQ(static_cast<std::int64_t>(roots.size()), machines / forest.width(level));
        }
      }
    }
  }
}

}  // namespace
}  // namespace ballast::orch
