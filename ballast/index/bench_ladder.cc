// What each technique is worth (specification 3.8 and 9.2): the ladder from jump-push to the adaptive plan,
// the operations at every skew, and the sweeps of limit and chunk size. Counted, and modelled from the
// counts.
#include <fmt/format.h>

#include <map>

#include "ballast/base/errors.h"
#include "ballast/index/bench_pim.h"
#include "ballast/index/methods.h"
#include "ballast/index/pim/drivers.h"
#include "ballast/index/pim/timing.h"
#include "ballast/index/workload.h"

namespace ballast::index {
namespace {

struct Rung {
  std::string name, method;
  PimTreeOptions options = {};
  std::uint32_t drivers = 1;
};

struct Step {
  double rounds = 0, words = 0, per_s = 0;
};

// Four batches of each skew, so that drivers have something to overlap.
std::vector<Step> climb(const Rung& rung, std::span<const Entry> entries, std::uint32_t modules,
                        std::uint64_t batch, std::span<const double> alphas, std::uint64_t seed) {
  PimTreeOptions options = rung.options;
  options.seed = seed;
  Method method;
  if (rung.method == "pim-tree") {
    method.machine = std::make_unique<pim::Machine>(pim::MachineOptions{.modules = modules});
    method.index = std::make_unique<PimTree>(*method.machine, options);
  } else {
    method = make_method(rung.method, {.modules = modules}, options);
  }
  method.index->bulk_load(entries);
  std::vector<Step> steps;
  for (const double alpha : alphas) {
    std::vector<pim::Cost> costs;
    Step step;
    for (std::uint64_t b = 0; b < 4; ++b) {
      cli::stop_if_interrupted();
      method.index->predecessor(piece_zipf(batch, modules, alpha, seed, b));
      costs.push_back(method.index->cost());
      step.rounds += static_cast<double>(costs.back().rounds.size()) / 4;
      step.words += static_cast<double>(costs.back().padded_words()) / static_cast<double>(4 * batch);
    }
    step.per_s = static_cast<double>(4 * batch) /
                 pim::pipelined_seconds(costs, pim::Profile::upmem_p21(), rung.drivers);
    steps.push_back(step);
  }
  return steps;
}

void ladder(Bench& bench, std::span<const Entry> entries, std::uint32_t modules, std::uint64_t batch,
            std::uint64_t seed) {
  const PimTreeOptions level_by_level{.levels = 3, .shadow = false, .plan = Plan::paper};
  const PimTreeOptions shadow{.levels = 3, .plan = Plan::paper};
  const std::vector<Rung> rungs = {{"jump-push", "jump-push"},
                                   {"push-pull", "push-pull-1"},
                                   {"+chunk", "pim-tree", level_by_level},
                                   {"+shadow", "pim-tree", shadow},
                                   {"+pipeline", "pim-tree", shadow, 2},
                                   {"+adaptive", "pim-tree", {.levels = 3}, 2}};
  Table table(
      fmt::format("Ladder, P = {}, n = {}, S = {}: rounds, padded words an operation (counted), operations a "
                  "second (modelled, upmem-p21, CPU work included)",
                  modules, entries.size(), batch),
      {"step", "skew 0", "skew 0.99"});
  std::map<std::string, std::map<double, Step>> steps;
  for (const auto& rung : rungs) {
    std::vector<std::string> row{rung.name};
    const std::vector<double> alphas{0, 0.99};
    const std::vector<Step> of_rung = climb(rung, entries, modules, batch, alphas, seed);
    for (std::size_t a = 0; a < alphas.size(); ++a) {
      const Step& step = steps[rung.name][alphas[a]] = of_rung[a];
      row.push_back(
          fmt::format("{:.0f} rounds, {:.1f} words, {:.3g}/s", step.rounds, step.words, step.per_s));
    }
    table.row(row);
  }
  bench.section().table(table);
  for (const double alpha : {0.0, 0.99}) {
    for (std::size_t r = 1; r < rungs.size(); ++r) {
      const Step &before = steps[rungs[r - 1].name][alpha], &now = steps[rungs[r].name][alpha];
      bench.add({.id = fmt::format("9.2.ladder.{}.a{}", rungs[r].name, alpha),
                 .what = fmt::format("modelled throughput, {} against the step before, skew {}",
                                     rungs[r].name, alpha),
                 .unit = "1/s",
                 .ours = now.per_s,
                 .peer = Peer{.name = rungs[r - 1].name, .value = before.per_s},
                 .better = Better::higher,
                 .target = rungs[r].name == "+pipeline" ? 1.2 : 0.97,
                 .basis = Basis::modelled,
                 .note = fmt::format("rounds {:.0f} -> {:.0f}, padded words/op {:.1f} -> {:.1f} (counted)",
                                     before.rounds, now.rounds, before.words, now.words)});
    }
    bench.add({.id = fmt::format("9.2.ladder.chunk.rounds.a{}", alpha),
               .what = fmt::format("chunking: rounds of push-pull without and with chunks, skew {}", alpha),
               .unit = "rounds",
               .ours = steps["+chunk"][alpha].rounds,
               .peer = Peer{.name = "push-pull", .value = steps["push-pull"][alpha].rounds},
               .target = 3,
               .basis = Basis::counted});
  }
  bench.add({.id = "9.2.ladder.shadow.words.a0",
             .what = "shadow subtrees: padded words/op without and with them, skew 0",
             .unit = "words",
             .ours = steps["+shadow"][0].words,
             .peer = Peer{.name = "+chunk", .value = steps["+chunk"][0].words},
             .target = 1.1,
             .basis = Basis::counted});
}

// Every operation at every skew, relative to no skew: the flat curve.
void flat(Bench& bench, std::span<const Entry> entries, std::uint32_t modules, std::uint64_t batch,
          std::uint64_t seed) {
  for (const std::string op : {"get", "predecessor", "insert", "delete", "scan"}) {
    double uniform = 0, worst = 1e300, worst_alpha = 0;
    for (const double alpha : {0.0, 0.4, 0.8, 0.99, 1.2}) {
      cli::stop_if_interrupted();
      pim::Machine machine({.modules = modules});
      PimTree tree(machine, {.levels = 3, .seed = seed});
      tree.bulk_load(entries);
      const bool existing = op == "get" || op == "delete";
      const auto keys = existing ? piece_zipf_existing(entries, batch, modules, alpha, seed, 1)
                                 : piece_zipf(batch, modules, alpha, seed, 1);
      if (op == "get") tree.get(keys);
      if (op == "predecessor") tree.predecessor(keys);
      if (op == "delete") tree.erase(keys);
      if (op == "insert") {
        std::vector<Entry> fresh;
        for (const Key key : keys) fresh.push_back({key, 1});
        tree.insert(fresh);
      }
      if (op == "scan") {
        const Key width = ~Key{0} / entries.size() * 100;
        std::vector<KeyRange> ranges;
        for (std::size_t i = 0; i < keys.size() / 100; ++i)
          ranges.push_back({keys[i], keys[i] + width < keys[i] ? ~Key{0} : keys[i] + width});
        tree.scan(ranges);
      }
      const double per_s =
          pim::modelled(tree.cost(), static_cast<double>(batch), pim::Profile::upmem_p21()).operations_per_s;
      if (alpha == 0) uniform = per_s;
      if (per_s / uniform < worst) worst = per_s / uniform, worst_alpha = alpha;
    }
    bench.add({.id = fmt::format("9.2.flat.{}", op),
               .what = fmt::format("modelled throughput of {} at the worst skew relative to no skew", op),
               .unit = "ratio",
               .ours = worst,
               .better = Better::higher,
               .target = 0.85,
               .basis = Basis::modelled,
               .note = fmt::format("worst at skew {}; {} modules", worst_alpha, modules)});
  }
}

void sweeps(Bench& bench, std::span<const Entry> entries, std::uint32_t modules, std::uint64_t batch,
            std::uint64_t seed) {
  const auto words = [&](PimTreeOptions options) {
    options.levels = 3;
    return climb({"", "pim-tree", options}, entries, modules, batch, std::vector{0.99}, seed)[0].words;
  };
  std::vector<double> limits{1, 4, 16, 64, 256}, chunks{4, 8, 16, 32, 64};
  Series by_limit{"push-pull limit", limits, {}}, by_chunk{"chunk", chunks, {}};
  for (const double limit : limits)
    by_limit.ys.push_back(words({.limit = static_cast<std::uint32_t>(limit)}));
  for (const double chunk : chunks)
    by_chunk.ys.push_back(words({.chunk = static_cast<std::uint32_t>(chunk)}));
  const auto row = [&](const char* id, const char* what, const Series& series) {
    bench.add({.id = id,
               .what = what,
               .unit = "words",
               .ours = series.ys[2],
               .peer = Peer{.name = "the best of the sweep",
                            .value = *std::min_element(series.ys.begin(), series.ys.end())},
               .target = 1 / 1.1,
               .basis = Basis::counted,
               .note = fmt::format("{:.1f}", fmt::join(series.ys, " / "))});
  };
  row("9.2.sweep.limit", "padded words/op at the default limit (16) against limits 1, 4, 16, 64, 256",
      by_limit);
  row("9.2.sweep.chunk", "padded words/op at the default chunk (16) against chunks 4, 8, 16, 32, 64",
      by_chunk);
}

// Two drivers on this machine: what the simulator gains, and the answers must be those of one.
void simulator(Bench& bench, std::span<const Entry> entries, std::uint32_t modules, std::uint64_t batch,
               std::uint64_t seed) {
  std::vector<Contestant> contestants;
  std::vector<std::unique_ptr<pim::Machine>> machines;
  std::vector<std::unique_ptr<PimTree>> trees;
  std::vector<std::vector<Key>> questions;
  for (std::uint64_t b = 0; b < 4; ++b) questions.push_back(piece_zipf(batch, modules, 0, seed, b));
  for (const std::uint32_t drivers : {1u, 2u}) {
    machines.push_back(
        std::make_unique<pim::Machine>(pim::MachineOptions{.modules = modules, .drivers = drivers}));
    trees.push_back(std::make_unique<PimTree>(*machines.back(), PimTreeOptions{.seed = seed}));
    trees.back()->bulk_load(entries);
    contestants.push_back(
        {fmt::format("{} drivers", drivers), [&, tree = trees.back().get(), machine = machines.back().get()] {
           std::vector<pim::DrivenBatch> work;
           for (const auto& keys : questions)
             work.push_back({.reads = true, .work = [tree, &keys] { tree->predecessor(keys); }});
           return time_of([&] { pim::run_batches(*machine, work); }) / static_cast<double>(4 * batch);
         }});
  }
  const auto timing = interleave(contestants, {.rounds = 3});
  bench.add({.id = "9.2.simulator.drivers",
             .what = fmt::format("simulated predecessors a second with 2 drivers, {} modules", modules),
             .unit = "1/s",
             .ours = 1 / timing.median("2 drivers"),
             .better = Better::higher,
             .target = 1.5e6,
             .basis = Basis::measured,
             .note = fmt::format("one driver: {:.3g}; says nothing about PIM hardware",
                                 1 / timing.median("1 drivers"))});
}

}  // namespace

void bench_ladder(Bench& bench, bool quick, std::uint32_t modules, std::uint64_t seed) {
  // Several L2 roots a module, as at the paper's size: with fewer the fixed plan sees bias and always pulls.
  if (modules == 0) modules = quick ? 16 : 64;
  const std::uint64_t batch = quick ? 1 << 13 : std::uint64_t{modules} << 9;
  const auto entries = uniform_entries(std::uint64_t{modules} << (quick ? 14 : 15), seed);
  ladder(bench, entries, modules, batch, seed);
  flat(bench, entries, modules, batch, seed);
  sweeps(bench, entries, modules, batch, seed);
  simulator(bench, entries, modules, batch, seed);
}

}  // namespace ballast::index
