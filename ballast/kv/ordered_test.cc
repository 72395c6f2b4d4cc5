#include "ballast/kv/ordered.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "ballast/base/random.h"
#include "ballast/cluster/checkpoint.h"
#include "ballast/cluster/cluster.h"
#include "ballast/kv/ycsb.h"

namespace ballast::kv {
namespace {

using cluster::Machine;

std::string key(std::uint64_t n) {
  return "k" + std::to_string(n);
}

// Batches of scans, reads and writes against a std::map.
TEST(Ordered, ScansAndWritesAreThoseOfAMap) {
  for (const char* method : {"push", "pull-dedup", "sort", "td-orch:flat", "td-orch:2"}) {
    for (int machines : {1, 3, 5}) {
      SCOPED_TRACE(std::string(method) + " P=" + std::to_string(machines));
      auto cluster = cluster::Cluster::open({.machines = machines});
      cluster.run([&](Machine& me) {
        std::map<std::string, std::string> oracle;
        for (std::uint64_t n = 0; n < 300; n += 2) oracle[key(n)] = std::to_string(n);
        std::vector<std::string> mine;
        for (const auto& [k, v] : oracle) {
          if (static_cast<int>(k.size() + k.back()) % machines == me.id()) mine.push_back(k);
        }
        OrderedStore store(me, Ranges::from_sample(me, mine, 9));
        EXPECT_GT(store.ranges().cells(), 8u);
        for (const auto& [k, v] : oracle) store.load(k, v);
        const orch::Options options{.method = method[0] == 't'   ? orch::Method::td_orch
                                              : method[0] == 's' ? orch::Method::sort
                                              : method[1] == 'u' && method[2] == 's'
                                                  ? orch::Method::push
                                                  : orch::Method::pull_dedup,
                                    .fanout = method[0] == 't' ? std::string(method).substr(8) : "auto"};
        for (int round = 0; round < 3; ++round) {
          // Every machine knows the batches of all, for the oracle.
          std::map<std::string, std::pair<orch::TaskId, std::optional<std::string>>> last;
          OrderedBatch batch;
          std::vector<std::pair<std::string, std::uint32_t>> asked;  // of this machine; count 0: a get
          for (int m = 0; m < machines; ++m) {
            Random random(77, mix64(static_cast<std::uint64_t>(m * 10 + round)));
            for (int i = 0; i < 60; ++i) {
              const std::string k = key(random.below(320));
              const auto what = random.below(4);
              const auto number = 1 + static_cast<std::uint32_t>(random.below(40));
              if (m == me.id()) {
                if (what == 0) batch.scan(k, number);
                if (what == 1) batch.add(k, get());
                if (what == 2) batch.add(k, put(std::to_string(number)));
                if (what == 3) batch.add(k, erase());
                asked.emplace_back(k, what == 0 ? number : what == 1 ? 0 : 99999);
              }
              // Ids of writes rise with their order among the operations that are no scans, and with
              // machines.
              if (what >= 2) last[k] = {0, what == 2 ? std::optional(std::to_string(number)) : std::nullopt};
            }
          }
          run_ordered(me, store, batch, options);
          for (std::size_t i = 0; i < asked.size(); ++i) {
            const auto& [k, count] = asked[i];
            if (count == 99999) continue;
            if (count == 0) {
              const auto found = oracle.find(k);
              EXPECT_EQ(batch.answer(i).value, found == oracle.end() ? "" : found->second);
              EXPECT_EQ(batch.answer(i).status, found == oracle.end() ? Status::absent : Status::found);
              continue;
            }
            std::vector<Row> rows;
            for (auto it = oracle.lower_bound(k); it != oracle.end() && rows.size() < count; ++it)
              rows.emplace_back(it->first, it->second);
            EXPECT_EQ(batch.rows(i), rows) << "scan of " << count << " from " << k;
          }
          for (const auto& [k, write] : last) {
            if (write.second) {
              oracle[k] = *write.second;
            } else {
              oracle.erase(k);
            }
          }
        }
        EXPECT_EQ(me.allreduce(store.entries(), std::plus<>()), oracle.size());
      });
    }
  }
}

TEST(Ordered, RefusesWhatCannotBe) {
  OrderedBatch batch;
  EXPECT_THROW(batch.scan("a", 0), InvalidInput);
  EXPECT_THROW(batch.scan("a", 10'001), InvalidInput);
  EXPECT_THROW(batch.scan(std::string(256, 'k'), 1), InvalidInput);
  EXPECT_THROW(batch.add("a", compare_and_set("x", "y")), InvalidInput);
  EXPECT_THROW(Ranges({"b", "a"}), InvalidInput);
}

TEST(Ordered, YcsbEIsTheSameByAllMethods) {
  auto cluster = cluster::Cluster::open({.machines = 4});
  Workload workload = Workload::named("E");
  workload.records = 2000;
  workload.field_bytes = 10;
  const auto results =
      run_workload(cluster, workload, {"reference", "push", "pull-dedup", "hot-replicate", "td-orch"}, 200, 2,
                   9);  // throws when digests differ
  EXPECT_EQ(results.size(), 5u);
  EXPECT_EQ(results[0].operations, 1600u);
}

}  // namespace
}  // namespace ballast::kv
