// Eight machines pass a number around a ring; the account says what it cost.
#include <cstdio>

#include "ballast/cluster/cluster.h"

int main() {
  using namespace ballast::cluster;
  constexpr int kMachines = 8;
  auto cluster = Cluster::open({.machines = kMachines});
  cluster.run([](Machine& me) {
    me.begin_stage("ring");
    std::uint64_t token = me.is_first() ? 1 : 0;
    for (int step = 0; step < kMachines; ++step) {
      Outbox out = me.outbox();
      if (step == me.id()) out.to((me.id() + 1) % kMachines).put(token * 3);
      const Inbox in = me.exchange(std::move(out));
      Reader reader = in.from((me.id() + kMachines - 1) % kMachines);
      if (!reader.empty()) token = reader.get<std::uint64_t>();
    }
    if (me.is_first()) {
      std::printf("the token came back as %llu\n", static_cast<unsigned long long>(token));
      if (token != 6561) throw ballast::Unavailable("3^8 is 6561");
    }
  });
  superstep_table(cluster.accounts(), "One message of 8 bytes a superstep (counted)").print(stdout);
}
