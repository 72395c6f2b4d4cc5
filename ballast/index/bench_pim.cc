// Counted costs of every method on the same batches (specification 9.1 and 9.2).
#include "ballast/index/bench_pim.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "ballast/base/errors.h"
#include "ballast/index/methods.h"
#include "ballast/index/pim/timing.h"
#include "ballast/index/workload.h"

namespace ballast::index {
namespace {

struct Measured {
  double padded_per_op = 0, imbalance = 0, rounds = 0, work = 0, seconds = 0;
  pim::Cost cost = {};
};

std::string word_of(double alpha) {
  return alpha < 0 ? "one" : fmt::format("{}", alpha);
}

/// Padded words an operation that the bytes-only model of the specification predicts for predecessor, n =
/// 2^24, H = 3.
std::optional<double> predicted(std::uint32_t modules, double alpha, const std::string& method) {
  struct Prediction {
    std::uint32_t modules;
    double alpha;
    double range, push, pull, push_pull, pim_tree;
  };
  constexpr Prediction kTable[] = {
      {64, 0, 3.2, 16.9, 101, 17.0, 13.1},       {64, 0.8, 27.6, 17.6, 87, 16.5, 14.0},
      {64, 1.2, 56.0, 18.3, 72, 15.3, 14.9},     {256, 0, 3.2, 16.7, 68.5, 15.7, 13.6},
      {256, 0.8, 71.1, 38.0, 55.0, 14.6, 14.0},  {256, 0.99, 121.8, 30.6, 48.5, 13.4, 12.7},
      {256, 1.2, 195.9, 38.2, 39.2, 12.8, 12.0}, {256, -1, 767.8, 175.6, 4.5, 4.6, 8.4}};
  for (const auto& row : kTable) {
    if (row.modules != modules || row.alpha != alpha) continue;
    if (method == "range") return row.range;
    if (method == "push") return row.push;
    if (method == "pull") return row.pull;
    if (method == "push-pull") return row.push_pull;
    if (method == "pim-tree") return row.pim_tree;
  }
  return std::nullopt;
}

void bench_point(Bench& bench, std::uint32_t modules, std::uint64_t keys, std::uint64_t batch,
                 const std::vector<double>& alphas, const std::vector<std::string>& names,
                 std::uint64_t seed) {
  const auto entries = uniform_entries(keys, seed);
  std::map<std::string, std::map<double, Measured>> measured;
  std::map<double, std::vector<std::optional<Entry>>> answers;
  for (const auto& name : names) {
    Method method = make_method(name, {.modules = modules}, {.levels = 3, .seed = seed});
    method.index->bulk_load(entries);
    for (const double alpha : alphas) {
      cli::stop_if_interrupted();
      const auto questions = piece_zipf(batch, modules, alpha, seed, 1);
      std::vector<std::optional<Entry>> found;
      const double seconds = time_of([&] { found = method.index->predecessor(questions); });
      auto& expected = answers[alpha];
      if (expected.empty()) expected = found;
      BALLAST_CHECK(found == expected, name);
      const pim::Cost& cost = method.index->cost();
      measured[name][alpha] = {static_cast<double>(cost.padded_words()) / static_cast<double>(batch),
                               cost.io_imbalance(),
                               static_cast<double>(cost.rounds.size()),
                               static_cast<double>(cost.pim_time()),
                               seconds,
                               cost};
    }
  }
  Table table(
      fmt::format("P = {}, n = {}, S = {}: padded words an operation (imbalance), predecessor, counted",
                  modules, keys, batch),
      {"alpha"});
  std::vector<std::string> columns{"alpha"};
  columns.insert(columns.end(), names.begin(), names.end());
  table = Table(table.title(), columns);
  for (const double alpha : alphas) {
    std::vector<std::string> row{word_of(alpha)};
    for (const auto& name : names)
      row.push_back(fmt::format("{:.1f} ({:.1f})", measured[name][alpha].padded_per_op,
                                measured[name][alpha].imbalance));
    table.row(row);
  }
  bench.section().table(table);
  for (const double alpha : alphas) {
    const std::string point = fmt::format("P{}.a{}", modules, word_of(alpha));
    for (const auto& name : names) {
      const auto model = keys == (std::uint64_t{1} << 24) ? predicted(modules, alpha, name) : std::nullopt;
      BenchRow row{
          .id = fmt::format("9.1.{}.{}", point, name),
          .what = fmt::format("padded words/op of {}, {} modules, skew {}", name, modules, word_of(alpha)),
          .unit = "words",
          .ours = measured[name][alpha].padded_per_op,
          .basis = Basis::counted};
      if (model) {
        row.peer = Peer{.name = "bytes-only model", .value = *model};
        if (name == "pim-tree") row.target = 1 / 1.2;
      }
      bench.add(row);
    }
    if (measured.count("pim-tree") == 0) continue;
    const Measured& ours = measured["pim-tree"][alpha];
    bench.add({.id = fmt::format("9.2.imbalance.{}", point),
               .what = fmt::format("IO imbalance of pim-tree, {} modules, skew {}", modules, word_of(alpha)),
               .unit = "h*P/words",
               .ours = ours.imbalance,
               .better = Better::lower,
               .target = 2.0,
               .basis = Basis::counted});
    if (measured.count("range") != 0) {
      const std::optional<double> target = modules != 256  ? std::nullopt
                                           : alpha == 0.99 ? std::optional(9.0)
                                           : alpha == 1.2  ? std::optional(15.0)
                                           : alpha < 0     ? std::optional(150.0)
                                                           : std::nullopt;
      bench.add(
          {.id = fmt::format("9.2.range.{}", point),
           .what = fmt::format("padded words/op against range, {} modules, skew {}", modules, word_of(alpha)),
           .unit = "words",
           .ours = ours.padded_per_op,
           .peer = Peer{.name = "range", .value = measured["range"][alpha].padded_per_op},
           .target = target,
           .basis = Basis::counted,
           .note = alpha == 0 ? "uniform: range moves fewer words" : ""});
    }
    if (measured.count("jump-push") != 0) {
      const Measured& jump = measured["jump-push"][alpha];
      bench.add(
          {.id = fmt::format("9.2.jump.rounds.{}", point),
           .what = fmt::format("rounds against jump-push, {} modules, skew {}", modules, word_of(alpha)),
           .unit = "rounds",
           .ours = ours.rounds,
           .peer = Peer{.name = "jump-push", .value = jump.rounds},
           .target = 60,
           .basis = Basis::counted});
      bench.add({.id = fmt::format("9.2.jump.words.{}", point),
                 .what = fmt::format("padded words/op against jump-push, {} modules, skew {}", modules,
                                     word_of(alpha)),
                 .unit = "words",
                 .ours = ours.padded_per_op,
                 .peer = Peer{.name = "jump-push", .value = jump.padded_per_op},
                 .target = 5,
                 .basis = Basis::counted});
    }
    const pim::Profile profile = pim::Profile::upmem_p21();
    const pim::Modelled time = pim::modelled(ours.cost, static_cast<double>(batch), profile);
    bench.add(
        {.id = fmt::format("9.2.modelled.{}", point),
         .what = fmt::format("modelled predecessors a second ({}), {} modules, skew {}", profile.name,
                             modules, word_of(alpha)),
         .unit = "1/s",
         .ours = time.operations_per_s,
         .better = Better::higher,
         .basis = Basis::modelled,
         .note = fmt::format("{:.3g} to {:.3g} with each parameter halved or doubled; CPU work left out",
                             time.low, time.high)});
    for (const char* other : {"range", "jump-push"}) {
      if (measured.count(other) == 0) continue;
      const auto ratio = pim::modelled_ratio(ours.cost, measured[other][alpha].cost, profile);
      bench.add({.id = fmt::format("9.2.modelled.{}.{}", other, point),
                 .what = fmt::format("modelled throughput against {}, {} modules, skew {}", other, modules,
                                     word_of(alpha)),
                 .unit = "ratio",
                 .ours = ratio.ratio,
                 .ratio = ratio.ratio,
                 .ratio_low = ratio.low,
                 .ratio_high = ratio.high,
                 .better = Better::higher,
                 .basis = Basis::modelled,
                 .note = "spread: each parameter halved and doubled"});
    }
    if (alpha == 0)
      bench.add({.id = fmt::format("9.2.simulator.P{}", modules),
                 .what = fmt::format("simulated predecessors a second, {} modules", modules),
                 .unit = "1/s",
                 .ours = static_cast<double>(batch) / ours.seconds,
                 .better = Better::higher,
                 .target = modules == 256 ? std::optional(1.5e6) : std::nullopt,
                 .basis = Basis::measured,
                 .note = "one batch; says nothing about PIM hardware"});
  }
}

}  // namespace

void bench_pim(Bench& bench, const PimBenchOptions& options, std::uint64_t seed) {
  const std::vector<double> alphas =
      options.alphas.empty() ? std::vector<double>{0, 0.8, 0.99, 1.2, -1} : options.alphas;
  const std::vector<std::string> names =
      options.methods.empty()
          ? std::vector<std::string>{"range", "jump-push", "push", "pull", "push-pull", "pim-tree"}
          : options.methods;
  if (options.modules != 0) {
    bench_point(bench, options.modules, options.keys == 0 ? 1 << 21 : options.keys,
                options.batch == 0 ? 1 << 16 : options.batch, alphas, names, seed);
    return;
  }
  const std::uint64_t keys = options.keys != 0 ? options.keys : options.quick ? 1 << 20 : 1 << 24;
  bench_point(bench, 64, keys,
              options.batch != 0 ? options.batch
              : options.quick    ? 1 << 14
                                 : 1 << 16,
              alphas, names, seed);
  bench_point(bench, 256, keys,
              options.batch != 0 ? options.batch
              : options.quick    ? 1 << 16
                                 : 1 << 18,
              alphas, names, seed);
}

}  // namespace ballast::index
