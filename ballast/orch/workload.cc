#include "ballast/orch/workload.h"

#include <algorithm>
#include <concepts>
#include <deque>

#include "ballast/data/zipf.h"
#include "ballast/orch/orch.h"

namespace ballast::orch {
namespace {

// An item of any size, held as its first 8 bytes: on the wire it has its full size.
struct Blob {
  std::uint64_t value = 0;
  std::uint32_t bytes = 12;

  std::size_t encoded_size() const { return bytes; }
  void encode(Buffer& out) const {
    std::byte* place = out.extend(bytes);
    std::memcpy(place, &value, 8);
    std::memcpy(place + 8, &bytes, 4);
    std::memset(place + 12, 0, bytes - 12);
  }
  static Blob decode(Reader& in) {
    Blob blob{in.get<std::uint64_t>(), in.get<std::uint32_t>()};
    if (blob.bytes < 12) throw InvalidInput("an item of less than 12 bytes arrived");
    in.take(blob.bytes - 12);
    return blob;
  }
};

struct Read {
  using Key = std::uint64_t;
  struct Context {
    std::uint64_t salt, other;  // other - 1: the key to add to; 0: the task's own
  };
  using Item = Blob;
  using Update = None;
  using Reply = std::uint64_t;
  static Reply run(const Context& c, const Item& x, Emit<Read>&) { return mix64(x.value ^ c.salt); }
};

struct Add {
  using Key = std::uint64_t;
  using Context = Read::Context;
  using Item = Blob;
  using Update = std::uint64_t;
  using Reply = std::uint64_t;
  static Reply run(const Context& c, const Item& x, Emit<Add>& out) {
    if (c.other == 0) {
      out.self(c.salt);
    } else {
      out.to(c.other - 1, c.salt);
    }
    return mix64(x.value ^ c.salt);
  }
  static Update merge(Update a, Update b) { return a + b; }
  static void apply(Item& x, Update u) { x.value += u; }
};

// A store with an item under every key, made when it is first asked for.
template <typename C>
class MadeStore {
 public:
  using Key = std::uint64_t;
  MadeStore(const cluster::Machine& me, Ownership ownership, std::uint32_t item_bytes)
      : owners_(me.machines(), me.shared_seed(), ownership), item_bytes_(item_bytes) {}

  int owner(Key key) const { return owners_(key); }
  const Blob* find(Key key) const { return &const_cast<MadeStore*>(this)->make(key); }
  Blob& make(Key key) {
    const auto [found, is_new] = place_.try_emplace(key, items_.size());
    if (is_new) items_.push_back({mix64(key), item_bytes_});
    return items_[found->second];
  }
  void erase(Key) {}
  std::uint64_t items() const { return 1; }
  std::uint64_t item_bytes() const { return item_bytes_; }
  StageMemory& memory() { return memory_; }

 private:
  Owners<Key> owners_;
  std::uint32_t item_bytes_;
  absl::flat_hash_map<Key, std::size_t> place_;
  std::deque<Blob> items_;  // their addresses stay
  StageMemory memory_;
};

template <typename C>
class FullStore : public Store<C> {
 public:
  FullStore(const cluster::Machine& me, const Cell& cell, Ownership ownership) : Store<C>(me, ownership) {
    this->load_owned(cell.keys, [&](std::uint64_t key) { return Blob{mix64(key), cell.item_bytes}; });
  }
};

template <typename C, typename S>
void run_methods(cluster::Machine& me, const Cell& cell, const std::vector<Options>& methods,
                 std::uint64_t seed, int rounds, std::vector<Outcome>& outcomes) {
  std::optional<S> store;
  const auto fill = [&] {
    const auto ownership = cell.rank_order ? Ownership::modulo : Ownership::hashed;
    if constexpr (std::same_as<S, MadeStore<C>>) {
      store.emplace(me, ownership, cell.item_bytes);
    } else {
      store.emplace(me, cell, ownership);
    }
  };
  fill();
  Batch<C> batch;
  batch.reserve(cell.tasks);
  const data::Zipf zipf(cell.keys, cell.theta);
  std::vector<std::uint64_t> ranks(cell.tasks);
  zipf.fill(seed, static_cast<std::uint64_t>(me.id()), 0, ranks);
  for (std::uint64_t i = 0; i < cell.tasks; ++i)
    batch.add(ranks[i], {mix64(seed + i), cell.scatter ? ranks[(i * 7 + 1) % cell.tasks] + 1 : 0});
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t m = 0; m < methods.size(); ++m) {
      if (cell.write && (round > 0 || m > 0)) fill();  // every method meets the same items
      me.barrier();
      auto report = run(me, *store, batch, methods[m]);
      const double seconds = report.seconds();
      std::uint64_t digest = 0;
      for (std::size_t i = 0; i < batch.size(); ++i) digest += mix64(batch.reply(i) + i);
      const std::uint64_t answer = me.allreduce(digest, std::plus<>());
      if (!me.is_first()) continue;
      Outcome outcome{
          .method = {}, .report = std::move(report), .seconds = seconds, .cpu_seconds = 0, .answer = answer};
      outcome.cpu_seconds = static_cast<double>(outcome.report.total().cpu_ns) * 1e-9;
      outcomes.push_back(std::move(outcome));
    }
  }
}

}  // namespace

Options options_from_name(const std::string& name, const Options& base) {
  Options options = base;
  const auto colon = name.find(':');
  options.method = method_from_string(name.substr(0, colon));
  if (colon != std::string::npos) options.fanout = name.substr(colon + 1);
  make_forest(options, 2);  // refuses a bad fan-out
  return options;
}

std::vector<Outcome> run_cell(cluster::Cluster& cluster, const Cell& cell,
                              const std::vector<std::string>& methods, const Options& base,
                              std::uint64_t seed, int rounds) {
  if (cell.item_bytes < 12)
    throw InvalidInput("--item", std::to_string(cell.item_bytes), "at least 12 bytes");
  if (cell.keys < 1 || cell.tasks < 1) throw InvalidInput("--keys and --tasks must be at least 1");
  std::vector<Options> options;
  for (const auto& name : methods) options.push_back(options_from_name(name, base));
  std::vector<Outcome> outcomes;
  cluster.run([&](cluster::Machine& me) {
    std::vector<Outcome> mine;
    const auto run_class = [&]<typename C>(C) {
      if (cell.made_on_demand) {
        run_methods<C, MadeStore<C>>(me, cell, options, seed, rounds, mine);
      } else {
        run_methods<C, FullStore<C>>(me, cell, options, seed, rounds, mine);
      }
    };
    if (cell.write) {
      run_class(Add{});
    } else {
      run_class(Read{});
    }
    if (me.is_first()) outcomes = std::move(mine);
  });
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    outcomes[i].method = methods[i % methods.size()];
    if (outcomes[i].answer != outcomes[0].answer)
      throw StageFailed(outcomes[i].method + " and " + outcomes[0].method + " give different answers");
  }
  return outcomes;
}

}  // namespace ballast::orch
