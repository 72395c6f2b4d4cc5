// The distributed index against std::map: all engines, on any number of machines, whatever the keys; the same
// counters over MPI as over threads; checkpoints onto another number of machines.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <mutex>

#include "ballast/base/file.h"
#include "ballast/base/random.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/base/testing.h"
#include "ballast/index/distributed/distributed_map.h"
#include "ballast/index/snapshot.h"

namespace ballast::index {
namespace {

using cluster::Cluster;
using cluster::Machine;

template <typename K>
K key_of(Random& random, bool dense);
template <>
std::uint64_t key_of(Random& random, bool dense) {
  if (dense) return random.below(1500);
  const std::uint64_t kind = random.below(20);
  return kind == 0 ? 0 : kind == 1 ? ~0ull : random();
}
template <>
std::string key_of(Random& random, bool dense) {
  std::string key(random.below(dense ? 3 : 12), '\0');
  for (char& c : key) c = static_cast<char>(random.below(dense ? 12 : 256));
  return key;
}

/// The whole batch of all machines, in the order in which later entries win.
template <typename K>
struct Program {
  Random random;
  bool dense;
  int machines;
  std::vector<std::vector<K>> keys() {
    std::vector<std::vector<K>> out(static_cast<std::size_t>(machines));
    const std::uint64_t kind = random.below(4);
    const K one = key_of<K>(random, dense);
    for (auto& mine : out)
      for (std::uint64_t i = random.below(120); i > 0; --i)
        mine.push_back(kind == 0 && random.below(8) != 0 ? one : key_of<K>(random, dense));
    return out;
  }
};

// Every machine runs the same generator, and knows the oracle.
template <typename K>
void run_program(Machine& me, ClusterEngine engine, std::uint32_t chunk, std::uint64_t seed, int steps) {
  DistributedMap<K> map(me, {.engine = engine, .chunk = chunk, .seed = seed});
  std::map<K, std::string> oracle;
  Program<K> program{Random(seed, 5), seed % 2 == 0, me.machines()};
  const auto self = static_cast<std::size_t>(me.id());
  const auto near = [&](typename std::map<K, std::string>::iterator at) {
    return at == oracle.end() ? std::nullopt : std::optional(std::pair(at->first, at->second));
  };
  for (int step = 0; step < steps; ++step) {
    SCOPED_TRACE(testing::Message() << "step " << step << ", machine " << me.id());
    const auto all = program.keys();
    const auto& mine = all[self];
    const std::uint64_t kind = program.random.below(8);
    if (kind == 0) {
      const auto found = map.get(mine);
      for (std::size_t i = 0; i < mine.size(); ++i) {
        const auto at = oracle.find(mine[i]);
        EXPECT_EQ(found[i], at == oracle.end() ? std::nullopt : std::optional(at->second));
      }
    } else if (kind == 1) {
      const auto found = map.predecessor(mine);
      for (std::size_t i = 0; i < mine.size(); ++i) {
        const auto at = oracle.upper_bound(mine[i]);
        EXPECT_EQ(found[i], at == oracle.begin() ? std::nullopt : near(std::prev(at)));
      }
    } else if (kind == 2) {
      const auto found = map.successor(mine);
      for (std::size_t i = 0; i < mine.size(); ++i) EXPECT_EQ(found[i], near(oracle.lower_bound(mine[i])));
    } else if (kind == 3) {
      const auto found = map.erase(mine);
      for (std::size_t i = 0; i < mine.size(); ++i) EXPECT_EQ(found[i], oracle.count(mine[i]) == 1);
      for (const auto& part : all)
        for (const K& key : part) oracle.erase(key);
    } else if (kind == 4) {
      std::vector<std::pair<K, K>> ranges;
      for (std::size_t i = 0; i + 1 < mine.size() && i < 12; i += 2)
        ranges.emplace_back(mine[i], mine[i + 1]);
      const std::uint64_t limit = program.random.below(3) * 7;
      const auto rows = map.scan(ranges, limit);
      const auto counts = map.count(ranges);
      for (std::size_t i = 0; i < ranges.size(); ++i) {
        std::vector<std::pair<K, std::string>> expected;
        if (!(ranges[i].second < ranges[i].first))
          expected.assign(oracle.lower_bound(ranges[i].first), oracle.upper_bound(ranges[i].second));
        EXPECT_EQ(counts[i], expected.size());
        if (limit != 0 && expected.size() > limit) expected.resize(limit);
        EXPECT_EQ(rows[i], expected);
      }
    } else {
      const bool update = kind == 5;
      std::vector<std::pair<K, std::string>> entries;
      const auto value = [&](std::size_t m, std::size_t i) {
        return std::to_string(step) + "/" + std::to_string(m) + "/" + std::to_string(i);
      };
      for (std::size_t i = 0; i < mine.size(); ++i) entries.emplace_back(mine[i], value(self, i));
      InsertReport expected;
      for (std::size_t m = 0; m < all.size(); ++m) {
        for (std::size_t i = 0; i < all[m].size(); ++i) {
          if (update && oracle.count(all[m][i]) == 0) continue;
          expected.inserted += oracle.insert_or_assign(all[m][i], value(m, i)).second;
        }
      }
      if (update) {
        const auto found = map.update(entries);
        for (std::size_t i = 0; i < mine.size(); ++i) EXPECT_EQ(found[i], oracle.count(mine[i]) == 1);
      } else {
        EXPECT_EQ(map.insert(entries).inserted, expected.inserted);
      }
    }
    EXPECT_EQ(map.verify(), "");
    EXPECT_EQ(map.size(), oracle.size());
    // All machines stop together: a failure seen by one must not leave the others in an exchange.
    if (me.allreduce(static_cast<int>(testing::Test::HasFailure()), std::plus<>()) > 0) return;
  }
}

TEST(DistributedMap, RandomProgramsEqualStdMap) {
  const ClusterEngine engines[] = {ClusterEngine::sorted, ClusterEngine::orch, ClusterEngine::central,
                                   ClusterEngine::automatic};
  for (const int machines : {1, 2, 5}) {
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
      const ClusterEngine engine = engines[seed % 4];
      SCOPED_TRACE(testing::Message() << machines << " machines, seed " << seed << ", " << to_string(engine));
      Cluster::run(machines, [&](Machine& me) {
        run_program<std::uint64_t>(me, engine, seed < 3 ? 1 : seed < 6 ? 4 : 64, seed, 25);
      });
      Cluster::run(machines, [&](Machine& me) { run_program<std::string>(me, engine, 3, seed + 100, 15); });
      ASSERT_FALSE(HasFailure());
    }
  }
}

// All questions in one chunk of one machine: whatever the engine (but central), no machine sends much more
// than its share.
TEST(DistributedMap, OneHotChunkIsShared) {
  constexpr int kMachines = 8;
  for (const auto engine : {ClusterEngine::sorted, ClusterEngine::orch}) {
    auto cluster = Cluster::open({.machines = kMachines});
    std::uint64_t uniform = 0, hot = 0;
    for (const bool skewed : {false, true}) {
      cluster.run([&](Machine& me) {
        DistributedMap<std::uint64_t> map(me, {.engine = engine, .chunk = 16});
        Random random(7, static_cast<std::uint64_t>(me.id()));
        std::vector<std::pair<std::uint64_t, std::string>> entries;
        for (std::uint64_t i = 0; i < 2000; ++i)
          entries.emplace_back(i << 40 | static_cast<std::uint64_t>(me.id()) << 32, std::string(100, 'v'));
        map.insert(entries);
        std::vector<std::uint64_t> keys;
        for (int i = 0; i < 2000; ++i)
          keys.push_back(skewed ? entries[5].first + random.below(1000) : entries[random.below(2000)].first);
        me.account() = {};
        const auto found = map.predecessor(keys);
        EXPECT_TRUE(std::all_of(found.begin(), found.end(), [](const auto& one) { return one.has_value(); }));
      });
      (skewed ? hot : uniform) = cluster::busiest_machine_bytes(cluster.accounts());
    }
    EXPECT_LT(hot, 1.3 * static_cast<double>(uniform)) << to_string(engine);
  }
}

// A burst of ascending keys is spread over the machines at once.
TEST(DistributedMap, AMovingTailIsShared) {
  constexpr int kMachines = 8;
  auto cluster = Cluster::open({.machines = kMachines});
  cluster.run([&](Machine& me) {
    DistributedMap<std::uint64_t> map(me, {.engine = ClusterEngine::sorted, .chunk = 16});
    const auto batch = [&](std::uint64_t from) {
      std::vector<std::pair<std::uint64_t, std::string>> entries;
      for (std::uint64_t i = 0; i < 2000; ++i)
        entries.emplace_back(from + i * kMachines + static_cast<std::uint64_t>(me.id()),
                             std::string(100, 'v'));
      return entries;
    };
    map.insert(batch(0));
    me.account() = {};
    map.insert(batch(100'000));
    const std::uint64_t mine = me.account().busy_bytes();
    const std::uint64_t all = me.allreduce(mine, std::plus<>());
    EXPECT_LT(static_cast<double>(mine), 1.4 * static_cast<double>(all) / kMachines);
  });
}

std::string answers_and_counters(const std::string& transport, int machines_per_rank) {
  auto cluster = Cluster::open({.machines = transport == "mpi" ? 0 : 4,
                                .transport = transport,
                                .machines_per_rank = machines_per_rank});
  std::mutex mutex;
  std::uint64_t digest = 0;
  cluster.run([&](Machine& me) {
    std::uint64_t mine = 0;
    for (const auto engine : {ClusterEngine::sorted, ClusterEngine::orch, ClusterEngine::central}) {
      DistributedMap<std::uint64_t> map(me, {.engine = engine, .chunk = 8});
      Random random(3, static_cast<std::uint64_t>(me.id()));
      for (int batch = 0; batch < 3; ++batch) {
        std::vector<std::pair<std::uint64_t, std::string>> entries;
        std::vector<std::uint64_t> keys;
        for (int i = 0; i < 500; ++i) {
          entries.emplace_back(random.below(5000), std::string(random.below(40), 'x'));
          keys.push_back(random.below(5000));
        }
        map.insert(entries);
        for (const auto& found : map.successor(keys))
          mine = mix64(mine ^ (found ? found->first + found->second.size() : 1));
        map.erase(std::span(keys).subspan(0, 50));
      }
    }
    const std::uint64_t all = me.allreduce(mine, [](auto a, auto b) { return mix64(a) ^ b; });
    const std::lock_guard lock(mutex);
    digest = all;
  });
  std::string text = std::to_string(digest);
  for (const auto& account : cluster.accounts()) {
    const auto total = account.total();
    text += "\n" + std::to_string(total.bytes_out) + " " + std::to_string(total.bytes_in) + " " +
            std::to_string(total.messages_out) + " " + std::to_string(account.supersteps.size());
  }
  return cluster.is_first() ? text : "";
}

// The body of an MPI job: the next test starts it under mpirun.
TEST(DistributedMap, DISABLED_MpiJob) {
  const char* out = std::getenv("BALLAST_TEST_OUT");
  ASSERT_NE(out, nullptr);
  const std::string text = answers_and_counters("mpi", 2);
  if (!text.empty()) write_file(out, text);
}

TEST(DistributedMap, MpiGivesTheSameAnswersAndCounters) {
  if (std::system("command -v mpirun >/dev/null 2>&1") != 0) GTEST_SKIP() << "mpirun is not installed";
  const TemporaryFolder folder;
  const std::string program = std::filesystem::read_symlink("/proc/self/exe");
  const auto [code, text] =
      run_command("BALLAST_TEST_OUT=" + folder.file("out") +
                  " timeout 120 mpirun --allow-run-as-root --oversubscribe --mca "
                  "btl_vader_single_copy_mechanism none -n 2 " +
                  program + " --gtest_also_run_disabled_tests --gtest_filter=DistributedMap.DISABLED_MpiJob");
  if (code != 0 && text.find("transport") != std::string::npos &&
      text.find("built without MPI") != std::string::npos)
    GTEST_SKIP() << "built without MPI";
  ASSERT_EQ(code, 0) << text;
  EXPECT_EQ(read_file(folder.file("out")), answers_and_counters("threads", 1));
}

TEST(DistributedMap, CheckpointsGoOntoAnotherNumberOfMachines) {
  const TemporaryFolder folder;
  const auto entry = [](std::uint64_t i) { return std::pair(mix64(i), std::string(i % 50, 'a')); };
  Cluster::run(3, [&](Machine& me) {
    DistributedMap<std::uint64_t> map(me, {.chunk = 8});
    for (int round = 0; round < 2; ++round) {  // the second checkpoint takes the place of the first
      std::vector<std::pair<std::uint64_t, std::string>> entries;
      for (std::uint64_t i = 0; i < 1000; ++i)
        entries.push_back(entry(i * 6 + static_cast<std::uint64_t>(me.id() + 3 * round)));
      map.insert(entries);
      map.save(folder.file("c"));
    }
  });
  for (const int machines : {1, 3, 5}) {
    Cluster::run(machines, [&](Machine& me) {
      DistributedMap<std::uint64_t> map(me, {.chunk = 16, .seed = 9});
      map.load(folder.file("c"));
      EXPECT_EQ(map.size(), 6000u);
      EXPECT_EQ(map.verify(), "");
      EXPECT_EQ(map.get(std::vector{entry(5000).first, std::uint64_t{1}}),
                (std::vector<std::optional<std::string>>{entry(5000).second, std::nullopt}));
    });
  }
  const auto refusal = [&]() -> std::string {
    try {
      Cluster::run(2, [&](Machine& me) {
        DistributedMap<std::string> map(me);
        map.load(folder.file("c"));
      });
    } catch (const std::exception& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_THAT(refusal(), testing::HasSubstr("64-bit numbers"));
  write_file(folder.file("c") + "/manifest.json", "{}");
  EXPECT_THAT(refusal(), testing::HasSubstr("manifest"));
}

TEST(DistributedMap, RefusesWhatCannotBe) {
  EXPECT_THROW(cluster_engine("--engine", "sortde"), InvalidInput);
  Cluster::run(1, [](Machine& me) {
    EXPECT_THROW(DistributedMap<std::uint64_t>(me, {.chunk = 0}), InvalidInput);
    EXPECT_THROW(DistributedMap<std::uint64_t>(me, {.profile = "no such network"}), InvalidInput);
  });
}

std::vector<Entry> some_entries() {
  std::vector<Entry> entries;
  for (std::uint64_t i = 0; i < 20'000; ++i) entries.push_back({i * i, mix64(i)});
  return entries;
}

TEST(Snapshot, ReadsWhatItWroteAndRefusesDamage) {
  const TemporaryFolder folder;
  const auto entries = some_entries();
  write_snapshot(folder.file("a.bidx"), entries);
  const std::string bytes = read_file(folder.file("a.bidx"));
  EXPECT_EQ(read_snapshot(data::InputStream::over("a", bytes)), entries);
  Random random(5);
  for (int i = 0; i < 300; ++i) {
    std::string damaged = bytes;
    if (i % 3 == 0) {
      damaged.resize(random.below(bytes.size()));
    } else {
      damaged[random.below(bytes.size())] ^= static_cast<char>(1 << random.below(8));
    }
    // Four bytes of the header are spare; everything else is under a checksum or checked.
    if (damaged.size() == bytes.size() && damaged.substr(16) == bytes.substr(16) &&
        damaged.substr(0, 12) == bytes.substr(0, 12))
      continue;
    EXPECT_THROW(read_snapshot(data::InputStream::over("a", damaged)), InvalidInput) << i;
  }
}

}  // namespace
}  // namespace ballast::index
