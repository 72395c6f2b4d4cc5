// Sixteen machines count visits to pages, some of which are far more popular than others: the first program
// that one would write with `orch`.
#include <cstdio>

#include "ballast/cluster/cluster.h"
#include "ballast/data/zipf.h"
#include "ballast/orch/orch.h"

namespace {

struct Visit {
  using Key = std::uint64_t;
  struct Context {
    std::int64_t visits;
  };
  using Item = std::int64_t;
  using Update = std::int64_t;
  using Reply = std::int64_t;
  static Reply run(const Context& c, const Item& count, ballast::orch::Emit<Visit>& out) {
    out.self(c.visits);
    return count;
  }
  static Update merge(Update a, Update b) { return a + b; }
  static void apply(Item& count, Update visits) { count += visits; }
};

}  // namespace

int main() {
  using namespace ballast;
  constexpr std::uint64_t kPages = 10'000, kVisits = 5'000;
  auto cluster = cluster::Cluster::open({.machines = 16});
  cluster.run([&](cluster::Machine& me) {
    orch::Store<Visit> store(me);
    store.load_owned(kPages, [](std::uint64_t) { return std::int64_t{0}; });
    orch::Batch<Visit> batch;
    const data::Zipf popularity(kPages, 1.2);
    Random random(me.seed());
    for (std::uint64_t i = 0; i < kVisits; ++i) batch.add(popularity(random), {.visits = 1});

    const orch::StageReport report = orch::run(me, store, batch, {.method = orch::Method::td_orch});

    std::int64_t counted = 0;
    for (const auto& [page, count] : store.all()) counted += count;
    counted = me.allreduce(counted, std::plus<>());
    if (me.is_first()) {
      report.print(stdout);
      std::printf("visits counted: %lld of %lld\n", static_cast<long long>(counted),
                  static_cast<long long>(kVisits) * me.machines());
    }
    if (counted != static_cast<std::int64_t>(kVisits) * me.machines()) throw Unavailable("visits were lost");
  });
}
