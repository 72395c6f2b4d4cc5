// A batch of mixed operations on the key-value store: what each sees, and what is left.
#include <cstdio>

#include "ballast/cluster/cluster.h"
#include "ballast/kv/store.h"

int main() {
  using namespace ballast;
  cluster::Cluster::run(4, [](cluster::Machine& me) {
    kv::Store store(me);
    orch::Batch<kv::Access> batch;
    batch.add("visits", kv::add(me.id() + 1));             // 1 + 2 + 3 + 4
    batch.add("best", kv::at_least(100 * (me.id() + 1)));  // the greatest stays
    batch.add("log", kv::append(std::to_string(me.id())));
    orch::run(me, store, batch);

    orch::Batch<kv::Access> reads;
    for (const char* key : {"visits", "best", "log", "nothing"}) reads.add(key, kv::get());
    orch::run(me, store, reads);
    if (!me.is_first()) return;
    for (std::size_t i = 0; i < reads.size(); ++i) {
      const kv::Answer& answer = reads.reply(i);
      std::printf("%-8s %s\n", reads.key(i).c_str(),
                  answer.status == kv::Status::found ? answer.value.c_str() : "(absent)");
    }
    if (reads.reply(0).value != "10" || reads.reply(1).value != "400" || reads.reply(2).value != "0123")
      throw Unavailable("the batch left something else");
  });
}
