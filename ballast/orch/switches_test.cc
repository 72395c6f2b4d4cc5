// What each switch of td-orch does: the result never changes (stage_test.cc), these are the effects.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <mutex>

#include "ballast/base/file.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/cluster/cluster.h"
#include "ballast/data/zipf.h"
#include "ballast/orch/orch.h"
#include "ballast/orch/workload.h"

// oneTBB's own tasks are beyond what a thread sanitizer sees of the library.
extern "C" const char* __tsan_default_suppressions() {
  return "race:tbb::detail\n";
}

namespace ballast::orch {
namespace {

using cluster::Machine;

StageReport report_of(const Cell& cell, const Options& options) {
  auto cluster = cluster::Cluster::open({.machines = cell.machines, .seed = 5});
  const auto both = run_cell(cluster, cell, {"push", "td-orch"}, options, 5);  // throws if answers differ
  return both[1].report;
}

TEST(Switches, FusedRepliesSaveASuperstep) {
  const Cell cell{.theta = 1.2, .item_bytes = 256, .machines = 8, .tasks = 2000, .keys = 1000};
  const auto fused = report_of(cell, {.fanout = "flat"}),
             apart = report_of(cell, {.fanout = "flat", .fuse = false});
  EXPECT_EQ(fused.supersteps, 2);
  EXPECT_EQ(apart.supersteps, 3);
  EXPECT_LE(fused.busiest_payload_bytes(), apart.busiest_payload_bytes() + 16 * 8);
}

// With butterfly placement a transit machine is one of the machines that want the item: retracing the tree
// moves no more bytes than going straight, and takes one superstep for each level.
TEST(Switches, DirectPullSparesSupersteps) {
  const Cell cell{.theta = 1.5, .item_bytes = 1024, .machines = 27, .tasks = 500, .keys = 1000};
  const auto direct = report_of(cell, {.fanout = "3"}),
             hops = report_of(cell, {.fanout = "3", .direct_pull = false});
  EXPECT_GT(hops.supersteps, direct.supersteps);
  EXPECT_GE(hops.total().item_bytes, direct.total().item_bytes);
  EXPECT_EQ(hops.total().executed, direct.total().executed);
}

TEST(Switches, SpillLevelsTheWorkOfAnOwner) {
  // Items so large that nothing is pulled: all work falls to the owners of the hot keys.
  const Cell cell{.theta = 1.2, .item_bytes = 65536, .machines = 8, .tasks = 1000, .keys = 500};
  const Options plain{.fanout = "flat"};
  Options spilling = plain;
  spilling.spill = 0.1;
  const auto before = report_of(cell, plain), after = report_of(cell, spilling);
  EXPECT_GT(before.imbalance(), 1.5);
  // What an owner asks of itself stays, and groups leave whole.
  EXPECT_LT(after.imbalance() - 1, 0.6 * (before.imbalance() - 1));
  EXPECT_GT(after.total().spilled, 0u);
  EXPECT_GT(after.busiest_bytes(), before.busiest_bytes()) << "balance is bought with bytes";
}

// What a stage takes where machines wait for each other: the busiest machine of every superstep, summed.
std::uint64_t critical_bytes(const Cell& cell, const Options& options, std::uint64_t* items) {
  auto cluster = cluster::Cluster::open({.machines = cell.machines, .seed = 5});
  *items = run_cell(cluster, cell, {"td-orch"}, options, 5)[0].report.total().item_bytes;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint64_t> most;
  for (const auto& account : cluster.accounts()) {
    for (const auto& s : account.supersteps) {
      auto& h = most[{s.stage, s.superstep}];
      h = std::max(h, s.payload_h());
    }
  }
  std::uint64_t sum = 0;
  for (const auto& [where, h] : most) sum += h;
  return sum;
}

TEST(Switches, LargeItemsFlowInPieces) {
  const Cell cell{.theta = 0, .item_bytes = 100'000, .machines = 16, .tasks = 8000, .keys = 1};
  std::uint64_t whole_items = 0, piece_items = 0;
  const auto whole =
      critical_bytes(cell, {.fanout = "2", .meta_limit = "1", .segment_bytes = 1 << 20}, &whole_items);
  const auto pieces =
      critical_bytes(cell, {.fanout = "2", .meta_limit = "1", .segment_bytes = 10'000}, &piece_items);
  // Machines in the middle pass a piece on while the next one comes.
  EXPECT_LT(static_cast<double>(pieces), 0.8 * static_cast<double>(whole));
  EXPECT_NEAR(static_cast<double>(piece_items) / static_cast<double>(whole_items), 1, 0.01);
}

// A merge that keeps the first: neither order-free nor an error of any single run.
struct First {
  using Key = std::uint64_t;
  using Context = std::uint64_t;
  using Item = std::uint64_t;
  using Update = std::uint64_t;
  using Reply = None;
  static Reply run(const Context& c, const Item&, Emit<First>& out) {
    out.self(c);
    return {};
  }
  static Update merge(Update a, Update) { return a; }
  static void apply(Item& x, Update u) { x = u; }
};
// Commutative, not associative.
struct Mean : First {
  using Update = std::uint64_t;
  static Reply run(const Context& c, const Item&, Emit<Mean>& out) {
    out.self(c);
    return {};
  }
  static Update merge(Update a, Update b) { return (a + b) / 2; }
};
struct Doubles {
  using Key = std::uint64_t;
  using Context = double;
  using Item = double;
  using Update = double;
  using Reply = None;
  static Reply run(const Context& c, const Item&, Emit<Doubles>& out) {
    out.self(c);
    return {};
  }
  static Update merge(Update a, Update b) { return a + b; }
  static void apply(Item& x, Update u) { x += u; }
};

template <typename C>
std::string failure_of(bool checking) {
  std::string text;
  try {
    auto cluster = cluster::Cluster::open({.machines = 3});
    cluster.run([&](Machine& me) {
      Store<C> store(me);
      store.load_owned(4, [](auto) { return typename C::Item{}; });
      Batch<C> batch;
      for (int i = 0; i < 40; ++i)
        batch.add(static_cast<std::uint64_t>(i % 4),
                  static_cast<typename C::Context>(3 + i * 17 + me.id()) / 7);
      run(me, store, batch, {.check_merge = checking});
    });
  } catch (const StageFailed& error) {
    text = error.what();
  }
  return text;
}

TEST(CheckMerge, NamesTheClassThatDependsOnTheOrder) {
  EXPECT_THAT(failure_of<First>(true),
              testing::AllOf(testing::HasSubstr("First"), testing::HasSubstr("not commutative")));
  EXPECT_THAT(failure_of<Mean>(true),
              testing::AllOf(testing::HasSubstr("Mean"), testing::HasSubstr("not associative")));
  EXPECT_EQ(failure_of<First>(false), "");
  EXPECT_EQ(failure_of<Doubles>(true), "") << "sums of doubles differ by rounding only";
}

// A network so fast that tests do not wait for it, by which tasks travel in chunks.
std::string fast_network(const TemporaryFolder& folder) {
  write_file(folder.file("fast.yaml"), "bytes_per_s: 1e9\nper_message_s: 1e-7\nlatency_s: 1e-6\n");
  return folder.file("fast.yaml");
}

// Threads change nothing, not even the bits of a sum of doubles, in any method; nor does it matter whether
// tasks run while others still travel.
TEST(Threads, GiveTheSameBits) {
  const TemporaryFolder folder;
  struct Way {
    int threads;
    std::string net;
    bool overlap;
  };
  const Way ways[] = {{1, "", true},
                      {2, "", true},
                      {5, "", true},
                      {1, fast_network(folder), true},
                      {3, fast_network(folder), true},
                      {1, fast_network(folder), false}};
  for (const Options& how :
       {Options{.fanout = "2", .push_limit = "3"}, Options{.fanout = "flat"}, Options{.method = Method::push},
        Options{.method = Method::pull}, Options{.method = Method::pull_dedup},
        Options{.method = Method::sort}, Options{.method = Method::hot_replicate}}) {
    std::vector<std::vector<double>> results;
    for (const Way& way : ways) {
      std::vector<double> all(16);
      std::mutex mutex;
      auto cluster = cluster::Cluster::open({.machines = 4, .net = way.net});
      cluster.run([&](Machine& me) {
        Store<Doubles> store(me);
        store.load_owned(16, [](auto key) { return 0.1 * static_cast<double>(key); });
        Batch<Doubles> batch;
        const data::Zipf zipf(16, 1.1);
        Random random(3, static_cast<std::uint64_t>(me.id()));
        for (int i = 0; i < 5000; ++i) batch.add(zipf(random), random.uniform());
        Options options = how;
        options.threads = way.threads;
        options.overlap = way.overlap;
        run(me, store, batch, options);
        const std::lock_guard lock(mutex);
        for (const auto& [key, value] : store.all()) all[key] = value;
      });
      results.push_back(all);
    }
    for (std::size_t w = 1; w < results.size(); ++w)
      EXPECT_EQ(results[0], results[w]) << to_string(how.method) << " by way " << w;
  }
}

// What a store remembers of its last stage spares an allreduce and changes no result.
TEST(Memory, SparesACollectiveAndChangesNothing) {
  std::vector<std::uint64_t> collectives;
  for (bool remember : {true, false}) {
    auto cluster = cluster::Cluster::open({.machines = 6});
    cluster.run([&](Machine& me) {
      Store<Doubles> store(me);
      store.load_owned(50, [](auto) { return 0.0; });
      for (int stage = 0; stage < 3; ++stage) {
        Batch<Doubles> batch;
        for (int i = 0; i < 100; ++i)
          batch.add(static_cast<std::uint64_t>(i * i % (stage == 1 ? 3 : 50)), 1.0);
        run(me, store, batch, {.hot_keys = 0, .remember = remember});
      }
      double sum = 0;
      for (const auto& [key, value] : store.all()) sum += value;
      EXPECT_EQ(me.allreduce(sum, std::plus<>()), 6 * 3 * 100.0);
    });
    collectives.push_back(cluster.accounts()[0].collectives);
  }
  EXPECT_EQ(collectives[0] + 2, collectives[1]);
}

}  // namespace
}  // namespace ballast::orch
