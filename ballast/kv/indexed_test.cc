// The ordered mode on the index answers as the one with splitters does, whatever the operations.
#include "ballast/kv/indexed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "ballast/base/random.h"
#include "ballast/cluster/cluster.h"
#include "ballast/kv/ycsb.h"

namespace ballast::kv {
namespace {

using cluster::Machine;

std::string key(std::uint64_t n) {
  return "k" + std::to_string(n);
}

Operation random_operation(Random& random, bool only_puts) {
  switch (only_puts ? random.below(3) : random.below(9)) {
    case 0:
      return put(std::to_string(random.below(1000)));
    case 1:
      return get();
    case 2:
      return exists();
    case 3:
      return erase();
    case 4:
      return add(static_cast<std::int64_t>(random.below(100)));
    case 5:
      return at_most(static_cast<std::int64_t>(random.below(1000)));
    case 6:
      return at_least(static_cast<std::int64_t>(random.below(1000)));
    case 7:
      return append("x");
    default:
      return put("no number");
  }
}

TEST(Indexed, AnswersAsTheStoreWithSplittersDoes) {
  for (int machines : {1, 3, 4}) {
    SCOPED_TRACE("P=" + std::to_string(machines));
    auto cluster = cluster::Cluster::open({.machines = machines});
    cluster.run([&](Machine& me) {
      std::vector<std::string> keys;
      std::vector<Row> rows;
      for (std::uint64_t n = static_cast<std::uint64_t>(me.id()); n < 300;
           n += static_cast<std::uint64_t>(machines)) {
        keys.push_back(key(n));
        rows.emplace_back(key(n), std::to_string(n));
      }
      OrderedStore cells(me, Ranges::from_sample(me, keys, 9));
      for (std::uint64_t n = 0; n < 300; ++n) cells.load(key(n), std::to_string(n));
      IndexedStore indexed(me, {.chunk = 8});
      indexed.load(rows);
      for (int round = 0; round < 8; ++round) {
        OrderedBatch a, b;
        Random random(5, mix64(static_cast<std::uint64_t>(me.id() * 100 + round)));
        for (int i = 0; i < 50; ++i) {
          const std::string k = key(random.below(330));
          if (random.below(4) == 0) {
            const auto count = 1 + static_cast<std::uint32_t>(random.below(30));
            a.scan(k, count);
            b.scan(k, count);
          } else {
            // Rounds of puts take the short way: no write meets another before the index.
            const Operation operation = random_operation(random, round % 2 == 0);
            a.add(k, operation);
            b.add(k, operation);
          }
        }
        run_ordered(me, cells, a, {});
        run_ordered(me, indexed, b);
        for (std::size_t i = 0; i < a.size(); ++i) {
          EXPECT_EQ(a.answer(i), b.answer(i)) << "round " << round << ", operation " << i;
          EXPECT_EQ(a.rows(i), b.rows(i)) << "round " << round << ", operation " << i;
        }
        EXPECT_EQ(me.allreduce(cells.entries(), std::plus<>()), indexed.entries());
        EXPECT_EQ(indexed.map().verify(), "");
      }
    });
  }
}

TEST(Indexed, ScansReachTheLastKeyThereIs) {
  auto cluster = cluster::Cluster::open({.machines = 2});
  cluster.run([&](Machine& me) {
    IndexedStore store(me);
    const std::string last(255, '\xff');
    if (me.is_first()) {
      store.load(std::vector<Row>{{"a", "1"}, {last, "2"}});
    } else {
      store.load({});
    }
    OrderedBatch batch;
    batch.scan("b", 10);
    batch.scan("", 1);
    run_ordered(me, store, batch);
    EXPECT_EQ(batch.rows(0), (std::vector<Row>{{last, "2"}}));
    EXPECT_EQ(batch.rows(1), (std::vector<Row>{{"a", "1"}}));
  });
}

TEST(Indexed, YcsbEIsTheSameWithIt) {
  auto cluster = cluster::Cluster::open({.machines = 3});
  Workload workload = Workload::named("E");
  workload.records = 2000;
  workload.field_bytes = 10;
  const auto results =  // throws when digests differ
      run_workload(cluster, workload, {"push", "td-orch", "index"}, 100, 2, 9);
  EXPECT_EQ(results.size(), 3u);
  EXPECT_GT(results[2].busiest_bytes, 0u);
}

TEST(Indexed, IsRefusedForWorkloadsWithoutScans) {
  auto cluster = cluster::Cluster::open({.machines = 2});
  EXPECT_THROW(run_workload(cluster, Workload::named("A"), {"index"}, 10, 1, 9), InvalidInput);
}

}  // namespace
}  // namespace ballast::kv
