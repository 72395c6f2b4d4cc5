// What each switch of the tree is worth (specification 3.8), the range partition that rebalances (9.2), and
// how words grow with batches and modules. Counted, and modelled from the counts.
#include <fmt/format.h>

#include <memory>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/index/baseline/range_partition.h"
#include "ballast/index/bench_pim.h"
#include "ballast/index/methods.h"
#include "ballast/index/pim/timing.h"
#include "ballast/index/workload.h"

namespace ballast::index {
namespace {

struct Sizes {
  std::uint32_t modules;
  std::uint64_t batch;
};

using Work = std::function<void(PimTree&)>;

double padded_per_op(const pim::Cost& cost, std::uint64_t operations) {
  return static_cast<double>(cost.padded_words()) / static_cast<double>(operations);
}

class Switches {
 public:
  Switches(Bench& bench, std::span<const Entry> entries, Sizes sizes, std::uint64_t seed)
      : bench_(bench), entries_(entries), sizes_(sizes), seed_(seed) {
    for (const Key key : piece_zipf(sizes.batch, sizes.modules, 0.99, seed, 1)) skewed_.push_back(key);
    uniform_ = piece_zipf(sizes.batch, sizes.modules, 0, seed, 1);
    items_ = item_zipf(entries, sizes.batch, 1.2, seed, 1);
    for (const Key key : skewed_) fresh_.push_back({key, 1});
  }

  void run() {
    const Work predecessor = [&](PimTree& tree) { tree.predecessor(skewed_); };
    const Work without_skew = [&](PimTree& tree) { tree.predecessor(uniform_); };
    const Work insert = [&](PimTree& tree) { tree.insert(fresh_); };
    const Work items = [&](PimTree& tree) { tree.predecessor(items_); };
    const Work update = [&](PimTree& tree) {
      std::vector<Entry> entries;
      for (const Key key : items_) entries.push_back({key, 2});
      tree.update(entries);
    };
    // The default against the switch: above 1 the default moves fewer words.
    row("l3-host", "an L3 on every module against one on the CPU side: predecessor, skew 0.99", predecessor,
        {.levels = 3}, {.levels = 3, .l3_host = true});
    row("leaf-inline", "values in data nodes only against values in chunks too: predecessor, skew 0",
        without_skew, {.levels = 3}, {.levels = 3, .leaf = Leaf::in_line});
    row("leaf-inline.update", "the same: update, item skew 1.2", update, {.levels = 3},
        {.levels = 3, .leaf = Leaf::in_line});
    row("chunking-ab", "geometric chunks against bounded ones: predecessor, skew 0.99", predecessor,
        {.levels = 3}, {.levels = 3, .chunking = Chunking::ab});
    row("chunking-ab.insert", "the same: insert, skew 0.99", insert, {.levels = 3},
        {.levels = 3, .chunking = Chunking::ab});
    row("root-place", "L2 roots on the emptiest of four modules against by hash: predecessor, skew 0",
        without_skew, {.levels = 3}, {.levels = 3, .four_choices = false});
    row("dedup", "duplicates removed against sent: predecessor, item skew 1.2", items, {.levels = 3},
        {.levels = 3, .dedup = false});
    row("record", "paths recorded of tall keys against of all: insert, skew 0.99", insert, {.levels = 3},
        {.levels = 3, .record_all = true});
    scans();
    inline_against_range();
  }

 private:
  pim::Cost cost_of(PimTreeOptions options, const Work& work) const {
    cli::stop_if_interrupted();
    options.seed = seed_;
    pim::Machine machine({.modules = sizes_.modules});
    PimTree tree(machine, options);
    tree.bulk_load(entries_);
    work(tree);
    return tree.cost();
  }

  void row(const std::string& id, const std::string& what, const Work& work, const PimTreeOptions& on,
           const PimTreeOptions& off) {
    const pim::Cost ours = cost_of(on, work), theirs = cost_of(off, work);
    const auto time = pim::modelled_ratio(ours, theirs, pim::Profile::upmem_p21());
    bench_.add(
        {.id = "3.8." + id,
         .what = what,
         .unit = "words",
         .ours = padded_per_op(ours, sizes_.batch),
         .peer = Peer{.name = "switched", .value = padded_per_op(theirs, sizes_.batch)},
         .basis = Basis::counted,
         .note = fmt::format(
             "rounds {} and {}; modelled time of the switched one {:.2f}x ({:.2f} to {:.2f}); "
             "{} modules",
             ours.rounds.size(), theirs.rounds.size(), time.ratio, time.low, time.high, sizes_.modules)});
  }

  // Overlapping ranges, a few of them long: most of them lie in hot pieces.
  void scans() {
    std::vector<KeyRange> ranges;
    const Key width = ~Key{0} / entries_.size() * 100;
    for (std::size_t i = 0; i < skewed_.size() / 64; ++i) {
      const Key low = skewed_[i], reach = i % 128 == 0 ? 200 * width : width;
      ranges.push_back({low, low + reach < low ? ~Key{0} : low + reach});
    }
    const Work scan = [&](PimTree& tree) { tree.scan(ranges); };
    row("merge-ranges", "overlapping ranges joined against sent apart: scan", scan, {.levels = 3},
        {.levels = 3, .merge_ranges = false});
    row("cut-ranges", "long ranges cut against sent whole: scan", scan, {.levels = 3},
        {.levels = 3, .cut_ranges = false});
  }

  // The price of safety where there is no skew.
  void inline_against_range() {
    Method range = make_method("range", {.modules = sizes_.modules}, {.seed = seed_});
    range.index->bulk_load(entries_);
    range.index->predecessor(uniform_);
    const pim::Cost theirs = range.index->cost();
    for (const Leaf leaf : {Leaf::hash, Leaf::in_line}) {
      const pim::Cost ours =
          cost_of({.levels = 3, .leaf = leaf}, [&](PimTree& tree) { tree.predecessor(uniform_); });
      const auto ratio = pim::modelled_ratio(ours, theirs, pim::Profile::upmem_p21());
      bench_.add(
          {.id = fmt::format("9.2.uniform.{}", leaf == Leaf::hash ? "hash" : "inline"),
           .what = fmt::format("modelled throughput against range where nothing is skewed, values {}",
                               leaf == Leaf::hash ? "in data nodes" : "in chunks"),
           .unit = "ratio",
           .ours = ratio.ratio,
           .ratio = ratio.ratio,
           .ratio_low = ratio.low,
           .ratio_high = ratio.high,
           .better = Better::higher,
           .target = leaf == Leaf::hash ? 0.2 : 0.27,
           .basis = Basis::modelled,
           .note = fmt::format("{} modules; spread: each parameter halved and doubled", sizes_.modules)});
    }
  }

  Bench& bench_;
  std::span<const Entry> entries_;
  Sizes sizes_;
  std::uint64_t seed_;
  std::vector<Key> skewed_, uniform_, items_;
  std::vector<Entry> fresh_;
};

// Ranges that are split and moved between batches: skew that stays, skew that moves, inserts at the end.
void against_rebalance(Bench& bench, std::span<const Entry> entries, Sizes sizes, std::uint64_t seed) {
  struct Kind {
    const char* name;
    double target;
  };
  for (const auto& [name, target] : {Kind{"stationary", 0.25}, Kind{"moving", 5}, Kind{"tail", 10}}) {
    Method range = make_method("range-rebalance", {.modules = sizes.modules}, {.seed = seed});
    Method tree = make_method("pim-tree", {.modules = sizes.modules}, {.levels = 3, .seed = seed});
    const bool tail = std::string(name) == "tail";
    // A tail leaves room behind the keys.
    std::vector<Entry> loaded(entries.begin(), entries.end());
    if (tail)
      for (auto& entry : loaded) entry.key /= 2;
    loaded.erase(std::unique(loaded.begin(), loaded.end(), [](auto a, auto b) { return a.key == b.key; }),
                 loaded.end());
    for (Method* method : {&range, &tree}) method->index->bulk_load(loaded);
    constexpr std::uint64_t kWarm = 4, kBatches = 4;
    double ours = 0, theirs = 0;
    for (std::uint64_t batch = 0; batch < kWarm + kBatches; ++batch) {
      cli::stop_if_interrupted();
      std::vector<Entry> fresh;
      std::vector<Key> keys;
      if (tail) {
        for (std::uint64_t i = 0; i < sizes.batch; ++i)
          fresh.push_back({(Key{1} << 63) + ((batch * sizes.batch + i) << 8), i});
      } else {
        keys = piece_zipf(sizes.batch, sizes.modules, 0.99, seed, std::string(name) == "moving" ? batch : 0);
      }
      for (Method* method : {&range, &tree}) {
        tail ? static_cast<void>(method->index->insert(fresh))
             : static_cast<void>(method->index->predecessor(keys));
        if (batch >= kWarm)
          (method == &tree ? ours : theirs) += padded_per_op(method->index->cost(), sizes.batch * kBatches);
      }
    }
    bench.add({.id = fmt::format("9.2.rebalance.{}", name),
               .what = fmt::format("padded words/op against range-rebalance, {} modules, {}", sizes.modules,
                                   tail ? "inserts at a moving tail" : std::string(name) + " skew 0.99"),
               .unit = "words",
               .ours = ours,
               .peer = Peer{.name = "range-rebalance", .value = theirs},
               .target = target,
               .basis = Basis::counted,
               .note = "the first four batches are for adapting; migration is counted"});
  }
}

// Words of a predecessor over batch sizes and numbers of modules: where they stop falling.
void growth(Bench& bench, std::uint64_t keys, bool quick, std::uint64_t seed) {
  const auto entries = uniform_entries(keys, seed);
  const auto words = [&](std::uint32_t modules, std::uint64_t batch) {
    cli::stop_if_interrupted();
    pim::Machine machine({.modules = modules, .memory = Bytes::mib(quick ? 16 : 64)});
    PimTree tree(machine, {.levels = 3, .seed = seed});
    tree.bulk_load(entries);
    tree.predecessor(piece_zipf(batch, modules, 0.99, seed, 1));
    return padded_per_op(tree.cost(), batch);
  };
  Series by_batch{"batch", {1e3, 1e4, 1e5}, {}}, by_modules{"modules", {4, 16, 64, 256}, {}};
  if (!quick) by_batch.xs.push_back(1e6), by_modules.xs.push_back(2048);
  for (const double batch : by_batch.xs) by_batch.ys.push_back(words(64, static_cast<std::uint64_t>(batch)));
  for (const double modules : by_modules.xs)
    by_modules.ys.push_back(
        words(static_cast<std::uint32_t>(modules), static_cast<std::uint64_t>(256 * modules)));
  const auto row = [&](const char* id, const char* what, const Series& series) {
    bench.add(
        {.id = id,
         .what = what,
         .unit = "words",
         .ours = series.ys.back(),
         .peer = Peer{.name = "the smallest size", .value = series.ys.front()},
         .basis = Basis::counted,
         .note = fmt::format("{:g}: {:.1f}", fmt::join(series.xs, " / "), fmt::join(series.ys, " / "))});
    bench.section().chart({.kind = Chart::Kind::line,
                           .title = what,
                           .x_label = series.name,
                           .y_label = "padded words an operation",
                           .series = {series},
                           .basis = Basis::counted});
  };
  row("9.2.sweep.batch", "padded words/op as batches grow, 64 modules, skew 0.99", by_batch);
  row("9.2.sweep.modules", "padded words/op as modules grow, 256 questions each, skew 0.99", by_modules);
}

}  // namespace

void bench_switches(Bench& bench, bool quick, std::uint32_t modules, std::uint64_t seed) {
  if (modules == 0) modules = quick ? 32 : 256;
  const std::uint64_t keys = std::uint64_t{modules} << 13;
  const auto entries = uniform_entries(keys, seed);
  const Sizes sizes{modules, std::uint64_t{modules} << 8};
  Switches(bench, entries, sizes, seed).run();
  against_rebalance(bench, entries, sizes, seed);
  growth(bench, quick ? 1 << 18 : 1 << 22, quick, seed);
}

}  // namespace ballast::index
