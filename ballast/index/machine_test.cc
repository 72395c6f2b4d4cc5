#include "ballast/index/pim/machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "ballast/base/random.h"
#include "ballast/index/baseline/range_partition.h"
#include "ballast/index/batcher.h"
#include "ballast/index/fuzz_feed.h"
#include "ballast/index/host_map.h"
#include "ballast/index/oracle.h"
#include "ballast/index/pim/drivers.h"
#include "ballast/index/pim/timing.h"
#include "ballast/index/pim_tree.h"
#include "ballast/index/program_generator.h"
#include "ballast/index/workload.h"

namespace ballast::index {
namespace {

// Hand-worked: two puts to module 1 (2 x 3 words) and one question to module 0 (1 word): one round, 7 words
// sent, the replies 1 + 1 (offsets) and 2 (found, value).
TEST(Machine, CountsEveryWord) {
  pim::Machine machine({.modules = 2});
  pim::Round& round = machine.begin("test");
  round.add(1, TASK_NEW_DATA, {7, 70, 1});
  round.add(1, TASK_NEW_DATA, {8, 80, 1});
  round.add(0, TASK_GET, {7});
  machine.run(round);
  ASSERT_EQ(machine.cost().rounds.size(), 1u);
  const auto& record = machine.cost().rounds[0];
  EXPECT_EQ(record.sent_words, 7u);
  EXPECT_EQ(record.most_sent, 6u);
  EXPECT_EQ(record.received_words, 4u);
  EXPECT_EQ(record.most_received, 2u);
  EXPECT_EQ(record.header_words, 2u + 2u);  // two block headers, two reply lengths
  EXPECT_EQ(machine.cost().io_time(), 8u);
  EXPECT_EQ(machine.cost().padded_words(), 16u);
  EXPECT_EQ(record.busiest, 1u);
  EXPECT_GT(record.most_work, 0u);
  EXPECT_EQ(round.next(0, 2)[0], 0u);  // key 7 lies on module 1 only
}

TEST(Machine, BroadcastIsCountedOnEveryModule) {
  pim::Machine machine({.modules = 5});
  pim::Round& round = machine.begin("test");
  round.broadcast(TASK_L3_PUT, {1, 2});
  machine.run(round);
  EXPECT_EQ(machine.cost().rounds[0].sent_words, 10u);
  EXPECT_EQ(machine.cost().rounds[0].broadcast_words, 2u);
  EXPECT_EQ(machine.cost().io_time(), 2u);
}

// The same program on 1 and 2 threads, with and without memory protection: the same answers and the same
// counts.
TEST(Machine, ThreadsAndGuardChangeNothing) {
  std::vector<std::uint64_t> words[3];
  for (int variant = 0; variant < 3; ++variant) {
    pim::Machine machine(
        {.modules = 9, .memory = Bytes::mib(1), .threads = variant == 1 ? 2 : 1, .guard = variant == 2});
    PimTree tree(machine, {.chunk = 4, .levels = 3, .seed = 5});
    Oracle oracle;
    ProgramGenerator program(3, KeySpace::wide);
    for (int step = 0; step < 25; ++step) {
      ASSERT_EQ(program.step(tree, oracle), "");
      words[variant].push_back(tree.cost().words());
      words[variant].push_back(tree.cost().io_time());
      words[variant].push_back(tree.cost().pim_time());
    }
    ASSERT_EQ(tree.verify(), "");
  }
  EXPECT_EQ(words[0], words[1]);
  EXPECT_EQ(words[0], words[2]);
}

TEST(MachineDeathTest, GuardKeepsTheCpuSideOut) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  pim::Machine open({.modules = 1});
  EXPECT_NE(open.memory_for_tests(0), nullptr);
  EXPECT_EQ(open.memory_for_tests(0)[1 << 20], 0);
  pim::Machine guarded({.modules = 1, .guard = true});
  EXPECT_DEATH((void)*const_cast<volatile std::uint8_t*>(guarded.memory_for_tests(0) + 64), "");
}

TEST(Machine, RefusesWhatIsNoMachine) {
  EXPECT_THROW(pim::Machine({.modules = 0}), InvalidInput);
  EXPECT_THROW(pim::Machine({.modules = 100'000}), InvalidInput);
  EXPECT_THROW(pim::Machine({.modules = 1, .memory = Bytes::kib(4)}), InvalidInput);
  pim::Machine machine({.modules = 2});
  EXPECT_THROW(PimTree(machine, {.chunk = 3}), InvalidInput);
  EXPECT_THROW(PimTree(machine, {.levels = 4}), InvalidInput);
}

// A bulk load that does not fit leaves an empty tree that works.
TEST(Space, BulkLoadThatDoesNotFitLeavesTheTreeEmpty) {
  pim::Machine machine({.modules = 2, .memory = Bytes::kib(64)});
  PimTree tree(machine, {.chunk = 4});
  try {
    tree.bulk_load(uniform_entries(20'000, 1));
    FAIL();
  } catch (const pim::ModuleFull& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("64 KiB"));
  }
  EXPECT_EQ(tree.size(), 0u);
  EXPECT_EQ(tree.verify(), "");
  const auto few = uniform_entries(100, 2);
  tree.bulk_load(few);
  EXPECT_EQ(tree.get(std::vector<Key>{few[7].key})[0], few[7].value);
  EXPECT_EQ(tree.verify(), "");
}

// Batches until the memory is full, of all shapes: one that is refused changes nothing, one that is accepted
// never meets a full module; deletes make room again; and what is refused was indeed nearly full.
TEST(Space, ARefusedBatchChangesNothing) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Random random(seed, 4);
    pim::Machine machine({.modules = 4, .memory = Bytes::kib(128)});
    PimTree tree(machine, {.chunk = 4, .levels = seed % 2 == 0 ? 3u : 2u, .seed = seed});
    Oracle oracle;
    int refused = 0, deletes = 0, refused_deletes = 0;
    std::uint64_t most = 0;
    for (int step = 0; step < 120; ++step) {
      std::vector<Entry> entries;
      const Key from = random();
      const std::size_t size = 1 + random.below(step % 7 == 0 ? 400 : 60);
      for (std::size_t i = 0; i < size; ++i)
        entries.push_back({seed % 3 == 0 ? from + i : random(), random()});
      if (step % 5 == 0 && oracle.size() > 0) entries.push_back({oracle.map().begin()->first, random()});
      try {
        const InsertReport report = tree.insert(entries);
        EXPECT_EQ(report, oracle.insert(entries));
      } catch (const pim::ModuleFull&) {
        ++refused;
        most = std::max(most, oracle.size());
        std::vector<Key> keys, gone;
        for (const auto& [key, value] : entries) keys.push_back(key);
        ASSERT_EQ(tree.get(keys), oracle.get(keys));
        for (const auto& [key, value] : oracle.map())
          if (random.below(3) == 0) gone.push_back(key);
        // Deletes have a reserve of their own; one that joins many chunks may still need smaller batches.
        for (std::size_t begin = 0, take = 20; begin < gone.size();) {
          const auto some = std::span(gone).subspan(begin, std::min(take, gone.size() - begin));
          try {
            const std::vector<bool> found = tree.erase(some);
            ASSERT_EQ(found, oracle.erase(some));
          } catch (const pim::ModuleFull&) {
            ++refused_deletes;
            ASSERT_EQ(tree.get(some), oracle.get(some));
            if (take > 1) {
              take /= 2;
              continue;
            }
          }
          begin += some.size();
          take = 20;
          ++deletes;
        }
      }
      ASSERT_FALSE(machine.broken());
      ASSERT_EQ(tree.size(), oracle.size());
      if (step % 10 == 9) {
        ASSERT_EQ(tree.verify(), "");
      }
    }
    EXPECT_GT(refused, 0);
    EXPECT_LT(refused_deletes, deletes / 4);
    EXPECT_GT(most, 1500u);  // 4 x 128 KiB at about 100 bytes a key with chunks of 4: not refused too early
    const KeyRange all{0, ~Key{0}};
    EXPECT_EQ(tree.scan(std::span(&all, 1)).entries, oracle.scan(std::span(&all, 1)).entries);
  }
}

// A baseline that plans nothing is broken by a full module, and says so from then on.
TEST(Machine, FullMemoryOfABaselineIsNamed) {
  pim::Machine machine({.modules = 2, .memory = Bytes::kib(64)});
  baseline::RangePartition index(machine);
  EXPECT_THROW(index.bulk_load(uniform_entries(20'000, 1)), pim::ModuleFull);
  const Key question[] = {1};
  try {
    index.get(question);
    FAIL() << "an index that a full module broke must not answer";
  } catch (const Unavailable& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("a module was full"));
  }
}

// Malformed tasks end in a fault, never in a crash: random words, and sound buffers with damage.
TEST(Tasks, MalformedOnesAreRefused) {
  Random random(21);
  int faults = 0;
  for (int i = 0; i < 30'000; ++i) {
    std::string bytes;
    const auto put = [&](std::uint64_t word) { bytes.append(reinterpret_cast<const char*>(&word), 8); };
    for (std::uint64_t block = 1 + random.below(4); block > 0; --block) {
      const std::uint64_t words = random.below(12);
      put(random.below(TASK_TYPES + 2) | random.below(4) << 8 | words << 32);
      for (std::uint64_t w = 0; w < words; ++w)
        put(random.below(3) == 0   ? random()
            : random.below(3) == 0 ? random.below(8) << 32 | 8 * random.below(200)
                                   : 8 * random.below(200));
    }
    faults += feed_tasks(bytes) != FAULT_NONE;
  }
  EXPECT_GT(faults, 10'000);
}

TEST(Timing, MoreOfAnythingTakesLonger) {
  const auto one = [](std::uint64_t sent, std::uint64_t received, std::uint64_t work) {
    pim::Cost cost{64, {}};
    cost.rounds.push_back({.phase = "x", .most_sent = sent, .most_received = received, .most_work = work});
    return pim::modelled_seconds(cost, pim::Profile::upmem_p21());
  };
  const double base = one(1000, 1000, 100'000);
  EXPECT_GT(one(100'000, 1000, 100'000), base);
  EXPECT_GT(one(1000, 100'000, 100'000), base);
  EXPECT_GT(one(1000, 1000, 10'000'000), base);
  // A rank of 64 modules, 10^6 words each at 6.68 GB/s: 76.6 ms, and launch and set-up.
  EXPECT_NEAR(one(1'000'000, 0, 0), 64e6 * 8 / 6.68e9 + 25e-6, 1e-9);
  pim::Cost cost{64, {}};
  cost.rounds.push_back({.phase = "x", .most_sent = 1000, .most_received = 1000, .most_work = 100'000});
  const auto modelled = pim::modelled(cost, 64'000, pim::Profile::upmem_p21());
  EXPECT_LT(modelled.low, modelled.operations_per_s);
  EXPECT_GT(modelled.high, modelled.operations_per_s);
}

// Two drivers: the answers and the counts of one, whatever overlaps; changes keep their order.
TEST(Drivers, OverlappingBatchesGiveTheSameAnswersAndCounts) {
  std::vector<std::uint64_t> words[2];
  for (const std::uint32_t drivers : {1u, 3u}) {
    pim::Machine machine({.modules = 8, .memory = Bytes::mib(4), .drivers = drivers});
    PimTree tree(machine, {.chunk = 4, .levels = 3, .seed = 5});
    Oracle oracle;
    const auto entries = uniform_entries(20'000, 6);
    tree.bulk_load(entries);
    oracle.bulk_load(entries);
    std::vector<pim::DrivenBatch> batches;
    std::vector<std::vector<Key>> keys;
    std::vector<std::vector<std::optional<Entry>>> found(24);
    for (std::uint64_t b = 0; b < 24; ++b) keys.push_back(piece_zipf(500, 8, 1.2, 9, b));
    for (std::size_t b = 0; b < 24; ++b) {
      if (b % 6 == 5) {
        batches.push_back({.reads = false, .work = [&, b] { tree.erase(keys[b - 1]); }});
      } else {
        batches.push_back({.reads = true, .work = [&, b] { found[b] = tree.predecessor(keys[b]); }});
      }
    }
    const auto costs = pim::run_batches(machine, batches);
    for (std::size_t b = 0; b < 24; ++b) {
      if (b % 6 == 5) {
        oracle.erase(keys[b - 1]);
      } else {
        EXPECT_EQ(found[b], oracle.predecessor(keys[b])) << b;
      }
      words[drivers > 1].push_back(costs[b].words());
    }
    EXPECT_EQ(tree.verify(), "");
  }
  EXPECT_EQ(words[0], words[1]);
  pim::Machine machine({.modules = 2, .drivers = 2});
  EXPECT_THROW(pim::run_batches(machine, {{.work = [] { throw InvalidInput("no"); }}, {.work = [] {}}}),
               InvalidInput);
  EXPECT_THROW(pim::Machine({.modules = 2, .drivers = 0}), InvalidInput);
}

// By hand: two batches of one round, CPU 19.2 s of thread time (1 s on 32 cores at 0.6), modules 3 s each:
// one driver 8 s; two overlap the second's CPU work with the first's round: 1 + 3 + 3.
TEST(Timing, TwoDriversOverlap) {
  pim::Profile profile = pim::Profile::upmem_p21();
  profile.launch_s = 3;
  profile.transfer_s = 0;
  std::vector<pim::Cost> batches(2, pim::Cost{1, {}});
  for (auto& batch : batches) batch.rounds.push_back({.phase = "x", .cpu_ns = 19'200'000'000});
  EXPECT_NEAR(pim::pipelined_seconds(batches, profile, 1), 8, 1e-9);
  EXPECT_NEAR(pim::pipelined_seconds(batches, profile, 2), 7, 1e-9);
  EXPECT_NEAR(pim::pipelined_seconds(batches, profile, 5), 7, 1e-9);
}

TEST(Batcher, CallsOfManyThreadsGetTheirAnswers) {
  HostMap map({.threads = 1});
  {
    Batcher batcher(map, {.most = 64, .max_delay = std::chrono::microseconds(200)});
    std::vector<std::thread> threads;
    std::atomic<int> wrong{0};
    for (std::uint64_t t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (std::uint64_t i = 0; i < 300; ++i) {
          const Key key = t * 1000 + i;
          auto stored = batcher.insert(key, key + 1);
          auto found = batcher.get(key);  // sees the insert before it
          stored.get();
          wrong += found.get() != std::optional<Value>(key + 1);
          wrong += batcher.predecessor(key).get() != std::optional(Entry{key, key + 1});
          if (i % 10 == 0) wrong += !batcher.erase(key).get();
        }
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(batcher.counters().calls, 4u * 300 * 3 + 4 * 30);
  }
  EXPECT_EQ(map.size(), 4u * 270);
  EXPECT_THROW(Batcher(map, {.most = 0}), InvalidInput);
}

TEST(Batcher, AFailedBatchFailsItsCallers) {
  pim::Machine machine({.modules = 1, .memory = Bytes::kib(64)});
  PimTree tree(machine, {.chunk = 4});
  Batcher batcher(tree, {.most = 20'000, .max_delay = std::chrono::seconds(5)});
  std::vector<std::future<void>> all;
  for (Key key = 0; key < 20'000; ++key) all.push_back(batcher.insert(key, key));
  EXPECT_THROW(all.front().get(), Unavailable);
  EXPECT_THROW(all.back().get(), Unavailable);
}

}  // namespace
}  // namespace ballast::index
