#include "ballast/kv/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <mutex>

#include "ballast/base/random.h"
#include "ballast/cluster/cluster.h"
#include "ballast/kv/ycsb.h"

namespace ballast::kv {
namespace {

using cluster::Machine;

// Random batches against a map that applies the rules of the header, one key after another.
TEST(Store, BatchesFollowTheSnapshotRule) {
  const auto operations_of = [](int m, int round) {
    Random random(8, mix64(static_cast<std::uint64_t>(m * 100 + round)));
    std::vector<std::pair<std::string, Operation>> list(m == 2 ? 0 : 60);
    for (auto& [key, operation] : list) {
      key = std::to_string(random.below(9));
      switch (random.below(8)) {
        case 0:
          operation = put(std::to_string(random.below(100)));
          break;
        case 1:
          operation = erase();
          break;
        case 2:
          operation = add(static_cast<std::int64_t>(random.below(50)) - 20);
          break;
        case 3:
          operation = at_most(static_cast<std::int64_t>(random.below(50)));
          break;
        case 4:
          operation = at_least(static_cast<std::int64_t>(random.below(50)));
          break;
        case 5:
          operation = append(std::to_string(random.below(10)));
          break;
        case 6:
          operation = exists();
          break;
        default:
          operation = get();
      }
    }
    return list;
  };
  for (auto method :
       {orch::Method::td_orch, orch::Method::push, orch::Method::pull_dedup, orch::Method::sort}) {
    for (const char* fanout : {"flat", "2"}) {
      constexpr int kMachines = 4;
      std::map<std::string, std::string> oracle{{"0", "17"}, {"1", "text"}};
      std::vector<std::map<std::string, std::string>> before;
      for (int round = 0; round < 4; ++round) {
        before.push_back(oracle);
        std::map<std::string, std::vector<std::pair<orch::TaskId, Operation>>> by_key;
        for (int m = 0; m < kMachines; ++m) {
          const auto list = operations_of(m, round);
          for (std::size_t i = 0; i < list.size(); ++i)
            by_key[list[i].first].emplace_back(orch::task_id(m, i), list[i].second);
        }
        for (auto& [key, list] : by_key) {
          const auto old = before.back().find(key);
          std::optional<std::string> value;
          if (old != before.back().end()) value = old->second;
          const bool numeric = !value || number_of(*value);
          for (const auto& [id, o] : list) {  // in the order of ids: the last one stands
            if (o.kind == Kind::put) value = o.value;
            if (o.kind == Kind::erase) value.reset();
          }
          std::optional<std::int64_t> sum, least, greatest;
          for (const auto& [id, o] : list) {
            if (!numeric) break;  // such operations answer not_a_number and write nothing
            if (o.kind == Kind::add) sum = sum.value_or(0) + o.number;
            if (o.kind == Kind::min) least = least ? std::min(*least, o.number) : o.number;
            if (o.kind == Kind::max) greatest = greatest ? std::max(*greatest, o.number) : o.number;
          }
          if ((sum || least || greatest) && (!value || number_of(*value))) {
            std::optional<std::int64_t> number;
            if (value) number = number_of(*value);
            if (sum) number = number.value_or(0) + *sum;
            if (least) number = number ? std::min(*number, *least) : *least;
            if (greatest) number = number ? std::max(*number, *greatest) : *greatest;
            value = std::to_string(*number);
          }
          for (const auto& [id, o] : list) {
            if (o.kind == Kind::append) value = value.value_or("") + o.value;
          }
          if (value) {
            oracle[key] = *value;
          } else {
            oracle.erase(key);
          }
        }
      }
      std::mutex mutex;
      std::map<std::string, std::string> got;
      cluster::Cluster::run(kMachines, [&](Machine& me) {
        Store store(me);
        for (const auto& [key, value] : before[0]) {
          if (store.owns(key)) store.put(key, {value});
        }
        for (int round = 0; round < 4; ++round) {
          orch::Batch<Access> batch;
          const auto list = operations_of(me.id(), round);
          for (const auto& [key, operation] : list) batch.add(key, operation);
          orch::run(me, store, batch, {.method = method, .fanout = fanout});
          const auto& was = before[static_cast<std::size_t>(round)];
          for (std::size_t i = 0; i < list.size(); ++i) {
            const auto old = was.find(list[i].first);
            const auto& answer = batch.reply(i);
            if (answer.status != Status::not_a_number) {
              ASSERT_EQ(answer.status, old == was.end() ? Status::absent : Status::found);
            }
            if (list[i].second.kind == Kind::get) {
              ASSERT_EQ(answer.value, old == was.end() ? "" : old->second);
            }
          }
        }
        const std::lock_guard lock(mutex);
        for (const auto& [key, value] : store.all()) got[key] = value.bytes;
      });
      EXPECT_EQ(got, oracle) << to_string(method) << " " << fanout;
    }
  }
}

TEST(Serial, EveryIncrementSeesTheOthersAndCompareAndSetHasOneWinner) {
  constexpr int kMachines = 5, kEach = 40;
  std::mutex mutex;
  std::vector<std::int64_t> seen;
  int winners = 0;
  cluster::Cluster::run(kMachines, [&](Machine& me) {
    Store store(me);
    if (store.owns("lock")) store.put("lock", {"free"});
    orch::SerialBatch<Serial> batch;
    for (int i = 0; i < kEach; ++i) batch.add("visits", add(1));
    batch.add("lock", compare_and_set("free", std::to_string(me.id())));
    batch.add("text", put("x"));
    batch.add("text", add(1));
    batch.add("text", get());
    orch::run_serial(me, store, batch);
    const std::lock_guard lock(mutex);
    for (int i = 0; i < kEach; ++i)
      seen.push_back(*number_of(batch.reply(static_cast<std::size_t>(i)).value));
    winners += batch.reply(kEach).status == Status::found;
    EXPECT_EQ(batch.reply(kEach + 2).status, Status::not_a_number);
    EXPECT_EQ(batch.reply(kEach + 3), (Answer{Status::found, "x"}));
  });
  std::sort(seen.begin(), seen.end());
  for (std::size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(seen[i], static_cast<std::int64_t>(i + 1));
  EXPECT_EQ(winners, 1);
}

TEST(Store, GoesToBytesAndBack) {
  cluster::Cluster::run(2, [](Machine& me) {
    Store store(me), other(me);
    for (int i = 0; i < 100; ++i)
      store.put("k" + std::to_string(i), {std::string(static_cast<std::size_t>(i), 'v')});
    other.put("old", {"old"});
    other.from_bytes(store.to_bytes());
    EXPECT_EQ(other.to_bytes(), store.to_bytes());
    EXPECT_EQ(other.find("old"), nullptr);
    EXPECT_EQ(other.find("k99")->bytes.size(), 99u);
    EXPECT_THROW(other.from_bytes("\x05"
                                  "ab"),
                 InvalidInput);
  });
}

TEST(Batch, RefusesWhatIsTooLargeAtOnce) {
  orch::Batch<Access> batch;
  EXPECT_THROW(batch.add(std::string(256, 'k'), get()), InvalidInput);
  EXPECT_THROW(put(std::string(kMostValueBytes + 1, 'v')), InvalidInput);
}

TEST(Ycsb, AllMethodsLeaveTheSameStore) {
  for (const char* letter : {"A", "B", "C", "D", "F"}) {
    auto cluster = cluster::Cluster::open({.machines = 4});
    auto workload = Workload::named(letter);
    workload.records = 500;
    workload.exponent = 1.2;
    // Throws when digests differ.
    const auto results = run_workload(
        cluster, workload,
        {"reference", "push", "pull-dedup", "sort", "hot-replicate", "td-orch:flat", "td-orch:2"}, 300, 2,
        42);
    EXPECT_EQ(results.size(), 7u);
    EXPECT_GT(results[0].top100_share, results[0].hottest_share);
  }
  EXPECT_THROW(Workload::named("Z"), InvalidInput);
}

}  // namespace
}  // namespace ballast::kv
