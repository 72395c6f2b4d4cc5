#include "ballast/index/host_map.h"

#include <gtest/gtest.h>

#include <map>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/index/oracle.h"
#include "ballast/index/program_generator.h"
#include "ballast/index/workload.h"

namespace ballast::index {
namespace {

TEST(HostMap, RandomProgramsEqualTheOracle) {
  for (const int threads : {1, 2}) {
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
      SCOPED_TRACE(testing::Message() << threads << " threads, seed " << seed);
      HostMap map({.threads = threads});
      Oracle oracle;
      ProgramGenerator program(seed, seed % 2 == 0 ? KeySpace::dense : KeySpace::wide);
      for (int step = 0; step < 60; ++step) {
        ASSERT_EQ(program.step(map, oracle), "") << "step " << step;
        ASSERT_EQ(map.verify(), "") << "step " << step << " after " << program.last();
        ASSERT_EQ(map.size(), oracle.size());
      }
    }
  }
}

// Single operations, in every order that grows or empties chains of leaves, mixed with batches.
TEST(HostMap, SingleOperationsEqualStdMap) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Random random(seed);
    HostMap map({.threads = 1});
    std::map<Key, Value> oracle;
    Key ascending = 1'000'000;
    for (int step = 0; step < 12'000; ++step) {
      const Key key = seed % 3 == 0 ? ascending++ : seed % 3 == 1 ? random.below(4000) : random();
      const std::uint64_t kind = random.below(10);
      if (kind < 6) {
        ASSERT_EQ(map.put(key, step), oracle.insert_or_assign(key, step).second);
      } else if (kind < 8) {
        const Key gone = seed % 3 == 0 ? 1'000'000 + random.below(ascending - 1'000'000 + 1) : key;
        ASSERT_EQ(map.remove(gone), oracle.erase(gone) == 1);
      } else {
        const auto found = oracle.find(key);
        ASSERT_EQ(map.find(key), found == oracle.end() ? std::nullopt : std::optional(found->second));
        const auto above = oracle.upper_bound(key);
        const auto expected = above == oracle.begin()
                                  ? std::nullopt
                                  : std::optional(Entry{std::prev(above)->first, std::prev(above)->second});
        ASSERT_EQ(map.find_before(key), expected);
        const Key questions[] = {key, key + 1};
        ASSERT_EQ(map.predecessor(questions)[0], expected);
      }
      if (step % 500 == 0) {
        ASSERT_EQ(map.verify(), "") << step;
      }
    }
    ASSERT_EQ(map.verify(), "");
    ASSERT_EQ(map.size(), oracle.size());
  }
}

TEST(HostMap, BulkLoadRefusesWhatDoesNotAscend) {
  HostMap map;
  const std::vector<Entry> twice{{1, 1}, {5, 2}, {5, 3}};
  try {
    map.bulk_load(twice);
    FAIL();
  } catch (const InvalidInput& error) {
    EXPECT_STREQ(error.what(),
                 "bulk load: key 5 at position 2 does not follow key 5; accepted: strictly ascending keys");
  }
  EXPECT_EQ(map.size(), 0u);
  map.bulk_load(std::vector<Entry>{{1, 1}});
  EXPECT_THROW(map.bulk_load(std::vector<Entry>{{2, 1}}), InvalidInput);
}

TEST(HostMap, MemoryStaysWithinItsBounds) {
  const auto entries = uniform_entries(300'000, 3);
  HostMap loaded;
  loaded.bulk_load(entries);
  EXPECT_LE(static_cast<double>(loaded.memory_bytes()) / 300'000, 22);
  HostMap inserted;
  Random random(1);
  std::vector<Entry> shuffled = entries;
  random.shuffle(shuffled);
  for (std::size_t begin = 0; begin < shuffled.size(); begin += 10'000)
    inserted.insert(std::span(shuffled).subspan(begin, 10'000));
  EXPECT_EQ(inserted.verify(), "");
  EXPECT_LE(static_cast<double>(inserted.memory_bytes()) / 300'000, 30);
}

}  // namespace
}  // namespace ballast::index
