#include "ballast/index/plan.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "ballast/base/errors.h"
#include "ballast/cluster/cluster.h"
#include "ballast/cluster/cost_model.h"
#include "ballast/cost/nnls.h"
#include "ballast/index/distributed/distributed_map.h"
#include "ballast/index/pim_tree.h"
#include "ballast/index/workload.h"

namespace ballast::index {
namespace {

/// y = sum of x * unknown with unknowns >= 0, on relative errors.
class Line {
 public:
  void add(const std::vector<double>& x, double y) {
    width_ = x.size();
    for (const double value : x) values_.push_back(value / y);
    ones_.push_back(1);
  }
  void fit() { x_ = cost::nnls({ones_.size(), width_, values_}, ones_).x; }
  double at(const std::vector<double>& x) const {
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) sum += x[i] * x_[i];
    return sum;
  }

 private:
  std::size_t width_ = 0;
  std::vector<double> values_, ones_, x_;
};

struct PimSize {
  std::uint32_t modules;
  double keys, batch;
};

struct PimCounts {
  double rounds, padded, work, memory_words, transfers, bytes_per_key;
};

PimCounts count(const PimSize& size, std::uint32_t levels, double alpha, std::uint64_t seed) {
  pim::Machine machine({.modules = size.modules});
  PimTree tree(machine, {.levels = levels, .seed = seed});
  tree.bulk_load(uniform_entries(static_cast<std::uint64_t>(size.keys), seed));
  PimCounts out{};
  std::uint64_t words = 0;
  for (const auto& module : tree.usage()) words += module.words;
  out.bytes_per_key = 8 * static_cast<double>(words) / size.keys;
  tree.predecessor(piece_zipf(static_cast<std::uint64_t>(size.batch), size.modules, alpha, seed, 1));
  const pim::Cost& cost = tree.cost();
  const double share = size.modules / size.batch;  // a sum over rounds of the busiest module's, an operation
  out.rounds = static_cast<double>(cost.rounds.size());
  out.padded = static_cast<double>(cost.io_time()) * share;
  out.work = static_cast<double>(cost.pim_time()) * share;
  for (const auto& round : cost.rounds) {
    out.memory_words += static_cast<double>(round.most_memory_words) * share;
    out.transfers += static_cast<double>(round.most_transfers) * share;
  }
  return out;
}

/// The busiest module's surplus over the mean falls with the root of its share of the batch.
std::vector<double> of_operations(const PimSize& size) {
  return {1, std::sqrt(size.modules / size.batch), std::log2(size.keys / size.batch + 1)};
}
/// A replica of L3 on every module.
std::vector<double> of_memory(const PimSize& size, std::uint32_t levels) {
  return {1, size.modules / std::pow(16.0, levels)};
}

double off(double model, double counted) {
  return std::abs(model / counted - 1);
}

}  // namespace

PimPlan plan_pim(const PimWish& wish, const pim::Profile& profile, std::uint64_t seed) {
  if (!(wish.keys >= 1 && wish.keys <= 1e13))
    throw InvalidInput("--keys", std::to_string(wish.keys), "1 to 10^13");
  if (wish.modules < 1 || wish.modules > 65'536)
    throw InvalidInput("--modules", std::to_string(wish.modules), "1 to 65536");
  if (!(wish.batch >= 1 && wish.batch <= 1e10))
    throw InvalidInput("--batch", std::to_string(wish.batch), "1 to 10^10");
  PimPlan plan{.levels = automatic_levels(wish.modules, 16)};
  const std::vector<PimSize> sizes = {
      {16, 1 << 15, 16 * 64},  {16, 1 << 15, 16 * 512}, {16, 1 << 17, 16 * 64},  {16, 1 << 17, 16 * 512},
      {32, 1 << 16, 32 * 128}, {32, 1 << 18, 32 * 512}, {64, 1 << 17, 64 * 128}, {64, 1 << 18, 64 * 512}};
  const PimSize largest{128, 1 << 20, 128 * 512};
  Line padded, work, memory_words, transfers, bytes;
  double rounds = 0;
  for (const auto& size : sizes) {
    const PimCounts counts = count(size, plan.levels, wish.alpha, seed);
    padded.add(of_operations(size), counts.padded);
    work.add(of_operations(size), counts.work);
    memory_words.add(of_operations(size), counts.memory_words);
    transfers.add(of_operations(size), counts.transfers);
    bytes.add(of_memory(size, plan.levels), counts.bytes_per_key);
    rounds = std::max(rounds, counts.rounds);
  }
  for (Line* line : {&padded, &work, &memory_words, &transfers, &bytes}) line->fit();
  const PimCounts truth = count(largest, plan.levels, wish.alpha, seed);
  plan.held_out_error = std::max({off(padded.at(of_operations(largest)), truth.padded),
                                  off(work.at(of_operations(largest)), truth.work),
                                  off(bytes.at(of_memory(largest, plan.levels)), truth.bytes_per_key)});
  const PimSize size{wish.modules, wish.keys, wish.batch};
  plan.rounds = rounds;
  plan.padded_words = padded.at(of_operations(size));
  // Rounds alike: words half up, half down.
  const double share = wish.batch / wish.modules / rounds;
  pim::Cost cost{.modules = wish.modules, .rounds = {}};
  pim::RoundRecord round;
  const auto whole = [](double value) { return static_cast<std::uint64_t>(std::llround(value)); };
  round.most_sent = round.most_received = whole(plan.padded_words * share / 2);
  round.most_work = whole(work.at(of_operations(size)) * share);
  round.most_memory_words = whole(memory_words.at(of_operations(size)) * share);
  round.most_transfers = round.most_row_misses = whole(transfers.at(of_operations(size)) * share);
  cost.rounds.assign(static_cast<std::size_t>(rounds), round);
  const pim::Modelled time = pim::modelled(cost, wish.batch, profile);
  plan.batch_seconds = time.seconds;
  plan.operations_per_s = time.operations_per_s;
  plan.low = time.low;
  plan.high = time.high;
  const auto module_bytes = [&](double modules) {
    const PimSize one{static_cast<std::uint32_t>(modules), wish.keys, wish.batch};
    return wish.keys / modules * bytes.at(of_memory(one, plan.levels));
  };
  plan.module_bytes = module_bytes(wish.modules);
  // Data nodes spread like balls in bins: six deviations above the mean are left free.
  for (double modules = 1; modules <= 65'536 && plan.least_modules == 0; modules *= 2) {
    const double need = module_bytes(modules) * (1 + 6 / std::sqrt(std::max(1.0, wish.keys / modules)));
    if (need <= 64.0 * 1024 * 1024) plan.least_modules = static_cast<std::uint32_t>(modules);
  }
  return plan;
}

namespace {

struct ClusterSize {
  int machines;
  double value_bytes, batch;
};

/// Counted bytes of the busiest machine, an operation of its own.
double bytes_of(const ClusterSize& size, std::uint64_t seed) {
  double out = 0;
  // Twice as many keys as questions: chunks are as contended whatever the size.
  const auto entries = uniform_entries(static_cast<std::uint64_t>(2 * size.machines * size.batch), seed);
  cluster::Cluster::run(size.machines, [&](cluster::Machine& me) {
    DistributedMap<Key> map(me, {.engine = ClusterEngine::sorted, .seed = seed});
    std::vector<std::pair<Key, std::string>> rows;
    for (auto i = static_cast<std::size_t>(me.id()); i < entries.size();
         i += static_cast<std::size_t>(me.machines()))
      rows.emplace_back(entries[i].key, std::string(static_cast<std::size_t>(size.value_bytes), 'v'));
    map.insert(rows);
    const auto each = static_cast<std::uint64_t>(size.batch);
    const auto all = piece_zipf(each * static_cast<std::uint64_t>(me.machines()),
                                static_cast<std::uint64_t>(me.machines()), 0.99, seed, 1);
    const auto mine = std::span(all).subspan(static_cast<std::uint64_t>(me.id()) * each, each);
    me.account() = {};
    map.predecessor(mine);
    const std::uint64_t most =
        me.allreduce(me.account().busy_bytes(), [](auto a, auto b) { return std::max(a, b); });
    if (me.is_first()) out = static_cast<double>(most) / size.batch;
  });
  return out;
}

/// Of a machine's bytes, the part that stays with it (1/P) is no traffic.
std::vector<double> of_cluster(const ClusterSize& size) {
  const double away = 1 - 1.0 / size.machines;
  return {away, away * size.value_bytes, size.machines / size.batch};
}

}  // namespace

ClusterPlan plan_cluster(const ClusterWish& wish, std::uint64_t seed) {
  if (!(wish.keys >= 1 && wish.value_bytes >= 0 && wish.rate > 0 && wish.batch >= 1 && wish.memory_gib > 0))
    throw InvalidInput("a size of the plan is not above 0");
  const cluster::Profile net = cluster::find_profile(wish.net);
  Line bytes;
  for (const int machines : {2, 4, 8})
    for (const double value : {8.0, 100.0, 400.0})
      for (const double batch : {512.0, 2048.0})
        bytes.add(of_cluster({machines, value, batch}), bytes_of({machines, value, batch}, seed));
  bytes.fit();
  const ClusterSize largest{16, 100, 4096};
  ClusterPlan plan;
  plan.held_out_error = off(bytes.at(of_cluster(largest)), bytes_of(largest, seed));
  constexpr double kSupersteps = 8;  // sample, sort, ask, answer, and what is pulled (reads.cc)
  for (int machines = 2; machines <= 4096 && plan.machines == 0; machines *= 2) {
    const double per_op = bytes.at(of_cluster({machines, wish.value_bytes, wish.batch}));
    const double seconds =
        wish.batch * per_op * net.g() + kSupersteps * (net.latency_s + machines * net.per_message_s);
    const double rate = wish.batch * machines / seconds;
    // Keys, values and their strings' heads; heads and ids of all chunks on every machine.
    const double memory = wish.keys / machines * (8 + 32 + wish.value_bytes) + wish.keys / 64 * 16;
    plan.bytes_per_op = per_op;
    plan.operations_per_s = rate;
    plan.memory_bytes = memory;
    if (rate >= wish.rate && memory <= wish.memory_gib * 1073741824.0) plan.machines = machines;
  }
  return plan;
}

}  // namespace ballast::index
