// Every method against a sequential oracle that shares no code with the stages: random programs over methods,
// machines, fan-outs, limits, placements, hash widths and transports.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <mutex>
#include <numeric>

#include "ballast/base/random.h"
#include "ballast/cluster/cluster.h"
#include "ballast/data/zipf.h"
#include "ballast/orch/orch.h"

namespace ballast::orch {
namespace {

using cluster::Machine;

// Sums, with the value before the stage as reply; a third of the tasks also write to another key.
struct Sum {
  using Key = std::uint64_t;
  struct Context {
    std::int64_t delta;
    std::uint64_t other;
  };
  using Item = std::int64_t;
  using Update = std::int64_t;
  using Reply = std::int64_t;
  static Reply run(const Context& c, const Item& x, Emit<Sum>& out) {
    out.self(c.delta);
    if (c.delta % 3 == 0) out.to(c.other, c.delta + x);
    return x;
  }
  static Update merge(Update a, Update b) { return a + b; }
  static void apply(Item& x, Update u) { x += u; }
};

// Byte strings: the last writer wins, absent keys are made, nullptr tells that a key is new.
struct Write {
  using Key = std::string;
  using Context = std::string;
  using Item = std::string;
  using Update = LastWriter<std::string>;
  using Reply = std::string;
  static constexpr Absent kAbsent = Absent::create;
  static Reply run(const Context& c, const Item* x, Emit<Write>& out) {
    if (!c.empty()) out.self({out.id(), c});
    return x == nullptr ? "(new)" : *x;
  }
  static Update merge(Update a, Update b) { return Update::merge(std::move(a), std::move(b)); }
  static void apply(Item& x, Update u) { x = std::move(u.value); }
};

}  // namespace

template <>
struct Wire<LastWriter<std::string>> {
  static constexpr bool kFixed = false;
  static std::size_t size(const LastWriter<std::string>& u) { return 8 + Wire<std::string>::size(u.value); }
  static void put(Buffer& out, const LastWriter<std::string>& u) {
    out.put(u.id);
    Wire<std::string>::put(out, u.value);
  }
  static LastWriter<std::string> get(Reader& in) {
    const auto id = in.get<TaskId>();
    return {id, Wire<std::string>::get(in)};
  }
};

namespace {

// Appends to other keys only, and wants no reply: what a graph's edge does.
struct Edge {
  using Key = std::uint32_t;
  using Context = std::uint32_t;  // the target
  using Item = std::uint64_t;
  using Update = std::uint64_t;
  using Reply = None;
  static Reply run(const Context& target, const Item& x, Emit<Edge>& out) {
    out.to(target, x + 1);
    return {};
  }
  static Update merge(Update a, Update b) { return std::min(a, b); }
  static void apply(Item& x, Update u) { x = std::min(x, u); }
};

struct Setting {
  int machines;
  Options options;
  std::string name;
};

std::vector<Setting> settings() {
  std::vector<Setting> list;
  for (int machines : {1, 2, 3, 7, 16}) {
    const auto add = [&](Options options, const std::string& what) {
      list.push_back(
          {machines, options, to_string(options.method) + " " + what + " P=" + std::to_string(machines)});
    };
    for (auto method : {Method::push, Method::pull, Method::pull_dedup, Method::reference, Method::sort,
                        Method::hot_replicate, Method::td_orch})
      add({.method = method}, "default");
    add({.method = Method::push, .merge_updates = false}, "no merging");
    add({.method = Method::tree_combine, .fanout = "2"}, "F=2");
    add({.fanout = "flat"}, "flat");
    for (const char* fanout : {"2", "3", "4", "theory"}) {
      for (auto placement : {Placement::butterfly, Placement::hash}) {
        for (const char* limit : {"0", "1", "3", "theory", ""}) {
          add({.fanout = fanout,
               .placement = placement,
               .push_limit = limit,
               .meta_limit = *limit == '1' ? "1" : ""},
              std::string("F=") + fanout + " C=" + limit + (placement == Placement::hash ? " hashed" : ""));
        }
      }
    }
    add({.fanout = "2", .push_limit = "1", .merge_updates = false}, "no merging");
    add({.fanout = "2", .push_limit = "1", .hash_mask = 0xff}, "weak hash");
    add({.method = Method::hot_aware}, "default");
    for (const char* fanout : {"flat", "2", "3"}) {
      const auto with = [&](const char* what, auto change) {
        Options options{.fanout = fanout, .push_limit = "2"};
        change(options);
        add(options, std::string("F=") + fanout + " " + what);
      };
      with("no parking", [](Options& o) { o.park = false; });
      with("always pull", [](Options& o) { o.always_pull = true; });
      with("no direct pull", [](Options& o) { o.direct_pull = false; });
      with("no fusing", [](Options& o) { o.fuse = false; });
      with("spill", [](Options& o) { o.spill = 0; });
      with("pieces of 4 bytes", [](Options& o) { o.segment_bytes = 4; });
      with("pieces, no direct pull, spill", [](Options& o) {
        o.segment_bytes = 4;
        o.direct_pull = false;
        o.spill = 0.1;
      });
      with("three threads", [](Options& o) { o.threads = 3; });
      with("merges checked", [](Options& o) { o.check_merge = true; });
    }
    for (auto method : {Method::push, Method::pull, Method::pull_dedup, Method::sort, Method::hot_replicate})
      add({.method = method, .threads = 2}, "two threads");
    add({.method = Method::pull_dedup, .hash_mask = 0xff}, "weak hash");
  }
  return list;
}

// Tasks of machine m, skewed; empty for some machines.
std::vector<std::pair<std::uint64_t, Sum::Context>> sum_tasks(int m, std::uint64_t seed) {
  Random random(seed, static_cast<std::uint64_t>(m));
  std::vector<std::pair<std::uint64_t, Sum::Context>> tasks(m % 5 == 3 ? 0 : 200 + random.below(200));
  const data::Zipf zipf(60, 1.3);
  for (auto& [key, context] : tasks) {
    key = zipf(random);  // 50 to 59 are not in the store
    context = {static_cast<std::int64_t>(random.below(1000)) - 500, random.below(55)};
  }
  return tasks;
}

TEST(Stage, SumsAndForeignUpdatesAreThoseOfTheOracle) {
  std::uint64_t seed = 4711;
  for (const auto& setting : settings()) {
    SCOPED_TRACE(setting.name + " seed=" + std::to_string(++seed));
    std::map<std::uint64_t, std::int64_t> before, after;
    for (std::uint64_t key = 0; key < 50; ++key) before[key] = static_cast<std::int64_t>(key * 7);
    after = before;
    std::uint64_t n = 0;
    for (int m = 0; m < setting.machines; ++m) {
      for (const auto& [key, c] : sum_tasks(m, seed)) {
        ++n;
        if (!before.count(key)) continue;
        after[key] += c.delta;
        if (c.delta % 3 == 0 && before.count(c.other)) after[c.other] += c.delta + before[key];
      }
    }
    auto cluster = cluster::Cluster::open({.machines = setting.machines, .seed = seed});
    std::mutex mutex;
    std::map<std::uint64_t, std::int64_t> got;
    cluster.run([&](Machine& me) {
      Store<Sum> store(me, Ownership::hashed, setting.options.hash_mask);
      store.load_owned(50, [](std::uint64_t key) { return static_cast<std::int64_t>(key * 7); });
      Batch<Sum> batch;
      const auto tasks = sum_tasks(me.id(), seed);
      for (const auto& [key, context] : tasks) batch.add(key, context);
      const auto report = run(me, store, batch, setting.options);
      ASSERT_EQ(batch.replies().size(), tasks.size());
      for (std::size_t i = 0; i < tasks.size(); ++i) {
        ASSERT_EQ(batch.absent(i), tasks[i].first >= 50);
        ASSERT_EQ(batch.reply(i), batch.absent(i) ? 0 : before[tasks[i].first]);
      }
      EXPECT_EQ(report.total().executed, n);
      EXPECT_EQ(report.total().tasks, n);
      const auto& counters = report.machine[static_cast<std::size_t>(me.id())];
      EXPECT_EQ(counters.payload_sent(), me.account().total().bytes_out);
      const std::lock_guard lock(mutex);
      for (const auto& [key, item] : store.all()) {
        EXPECT_TRUE(got.emplace(key, item).second);
        EXPECT_TRUE(store.owns(key));
      }
    });
    EXPECT_EQ(got, after);
    std::uint64_t sent = 0, received = 0;
    for (const auto& account : cluster.accounts()) {
      sent += account.total().bytes_out;
      received += account.total().bytes_in;
    }
    EXPECT_EQ(sent, received);
  }
}

TEST(Stage, TheLastWriterWinsOnByteStrings) {
  const auto tasks_of = [](int m) {
    Random random(99, static_cast<std::uint64_t>(m));
    std::vector<std::pair<std::string, std::string>> tasks(m == 1 ? 0 : 150);
    for (auto& [key, value] : tasks) {
      key = "key" + std::string(random.below(4), 'x') + std::to_string(random.below(12));
      if (random.below(2) == 0) value = std::string(random.below(60), static_cast<char>('a' + m)) + "!";
    }
    return tasks;
  };
  for (const auto& setting : settings()) {
    SCOPED_TRACE(setting.name);
    std::map<std::string, std::string> before{{"key0", "zero"}, {"keyx1", "one"}}, after = before;
    for (int m = 0; m < setting.machines; ++m) {
      for (const auto& [key, value] : tasks_of(m)) {
        if (!value.empty()) after[key] = value;
      }
    }
    std::mutex mutex;
    std::map<std::string, std::string> got;
    cluster::Cluster::run(setting.machines, [&](Machine& me) {
      Store<Write> store(me);
      for (const auto& [key, item] : before) {
        if (store.owns(key)) store.put(key, item);
      }
      Batch<Write> batch;
      const auto tasks = tasks_of(me.id());
      for (const auto& [key, value] : tasks) batch.add(key, value);
      run(me, store, batch, setting.options);
      for (std::size_t i = 0; i < tasks.size(); ++i) {
        const auto found = before.find(tasks[i].first);
        ASSERT_EQ(batch.reply(i), found == before.end() ? "(new)" : found->second);
      }
      const std::lock_guard lock(mutex);
      for (const auto& [key, item] : store.all()) got[key] = item;
    });
    EXPECT_EQ(got, after);
  }
}

TEST(Stage, EdgesRelaxVerticesInAnArray) {
  constexpr std::uint32_t kVertices = 97;
  const auto edges_of = [](int m) {
    Random random(5, static_cast<std::uint64_t>(m));
    std::vector<std::pair<std::uint32_t, std::uint32_t>> edges(300);
    for (auto& [u, v] : edges) {
      u = static_cast<std::uint32_t>(random.below(3) == 0 ? 0 : random.below(kVertices));
      v = static_cast<std::uint32_t>(random.below(kVertices));
    }
    return edges;
  };
  for (const auto& setting : settings()) {
    SCOPED_TRACE(setting.name);
    std::vector<std::uint64_t> before(kVertices), after;
    for (std::uint32_t v = 0; v < kVertices; ++v) before[v] = mix64(v) % 1000;
    after = before;
    for (int m = 0; m < setting.machines; ++m) {
      for (const auto& [u, v] : edges_of(m)) after[v] = std::min(after[v], before[u] + 1);
    }
    cluster::Cluster::run(setting.machines, [&](Machine& me) {
      ArrayStore<Edge> store(me, kVertices);
      for (std::uint64_t v = store.first(); v < store.end(); ++v) {
        store.local()[v - store.first()] = before[v];
        ASSERT_EQ(store.owner(static_cast<std::uint32_t>(v)), me.id());
      }
      Batch<Edge> batch;
      for (const auto& [u, v] : edges_of(me.id())) batch.add(u, v);
      run(me, store, batch, setting.options);
      for (std::uint64_t v = store.first(); v < store.end(); ++v)
        ASSERT_EQ(store.local()[v - store.first()], after[v]) << "vertex " << v;
    });
  }
}

// Every group takes the cheaper way: not more than push, not more than pull-dedup and the surplus of its
// meta-tasks, for every input (bound 2 of the specification). Headers of bundles and frames count on no side.
TEST(Bounds, FlatIsNeverAboveTheBetterOfPushAndPull) {
  Random random(2026);
  for (int trial = 0; trial < 60; ++trial) {
    const int machines = 1 + static_cast<int>(random.below(9));
    const double theta = random.uniform(0, 2.5);
    const std::uint64_t keys = 1 + random.below(400), seed = random();
    const std::size_t tasks = random.below(600);
    cluster::Cluster::run(machines, [&](Machine& me) {
      const auto bytes = [&](Method method) {
        Store<Sum> store(me);
        store.load_owned(keys, [](std::uint64_t) { return 0; });
        Batch<Sum> batch;
        const data::Zipf zipf(keys, theta);
        Random draws(seed, static_cast<std::uint64_t>(me.id()));
        for (std::size_t i = 0; i < tasks; ++i) batch.add(zipf(draws), {1, 0});
        return run(me, store, batch, {.method = method, .fanout = "flat"}).total();
      };
      const auto of = [](const StageCounters& c) {
        return c.task_bytes + c.meta_bytes + c.request_bytes + c.item_bytes + c.reply_bytes;
      };
      const auto td = bytes(Method::td_orch), push = bytes(Method::push), pull = bytes(Method::pull_dedup);
      constexpr std::uint64_t kMeta = 16, kKey = 8;
      EXPECT_LE(of(td), of(push)) << "P=" << machines << " theta=" << theta << " keys=" << keys;
      EXPECT_LE(of(td), of(pull) + (kMeta - kKey) * pull.groups) << "P=" << machines << " theta=" << theta;
      EXPECT_EQ(td.groups, pull.groups);
    });
  }
}

}  // namespace
}  // namespace ballast::orch
