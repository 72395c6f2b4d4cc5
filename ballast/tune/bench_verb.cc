// `ballast tune bench`: methods side by side under the same model, text, seed and limits.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "ballast/base/bench.h"
#include "ballast/base/errors.h"
#include "ballast/llama/weights.h"
#include "ballast/tune/learner.h"
#include "ballast/tune/paths.h"
#include "ballast/tune/verbs.h"

namespace ballast::tune {
namespace {

struct BenchFlags {
  bool quick = false;
  std::string suite = "all", clock = "modelled";
};

// A model whose compute is large enough that one step is a tenth of a second or more.
WorkloadOptions workload_of(bool quick, std::uint64_t seed) {
  WorkloadOptions options{.model = "smollm2",
                          .keep_blocks = quick ? 4 : 0,
                          .rows = 2,
                          .window = 64,
                          .calibration = 4,
                          .seed = seed};
  try {
    llama::shipped_model();
  } catch (const Unavailable&) {
    options.model = "mini";
    options.keep_blocks = quick ? 4 : 0;
  }
  return options;
}

RunResult short_run(const Workload& workload, const Limits& limits, MethodOptions options,
                    std::int64_t steps) {
  options.steps = steps;
  options.evaluate_windows = 2;
  options.lsp.fit.iterations = 5;  // speed does not depend on how well they fit
  options.engine.delayed_warmup = 0;
  return run_method(workload, limits, options);
}

// Ratios of step times in both regimes.
void throughput(Bench& bench, const BenchFlags& flags, const cli::Common& common) {
  const bool wall = flags.clock == "wall";
  const Workload workload = load_workload(workload_of(flags.quick, common.seed));
  const std::int64_t steps = flags.quick ? 6 : 12;
  for (const std::string regime : {"laptop", "workstation"}) {
    const Limits limits =
        match_limits(workload, {.regime = regime, .clock = wall ? Clock::wall : Clock::modelled});
    const std::string where = fmt::format("{}, {}", workload.label, limits.label());
    const double compute = limits.compute_seconds();
    const auto run = [&](const MethodOptions& options) {
      cli::stop_if_interrupted();
      return short_run(workload, limits, options, steps);
    };
    const RunResult zero = run({.method = "zero"});
    const RunResult layerwise = run({.method = "zero+layerwise"});
    const RunResult half = run({.method = "lsp", .lsp = {.fraction = 0.5}});
    const RunResult dense = run({.method = "lsp", .lsp = {.fraction = 0.5, .factored = false}});
    const RunResult delayed = run({.method = "zero-dpu"});
    const RunResult quarter = run({.method = "lsp", .lsp = {.fraction = 0.25}});
    const auto add = [&](const std::string& id, const std::string& what, double ours, const std::string& peer,
                         double theirs, std::optional<double> target) {
      bench.add({.id = id + "." + regime,
                 .what = what + " (" + regime + ")",
                 .unit = "s/step",
                 .ours = ours,
                 .peer = Peer{.name = peer, .value = theirs},
                 .better = Better::lower,
                 .target = target,
                 .basis = wall ? Basis::measured : Basis::modelled,
                 .note = where});
    };
    add("T1.zero", "lsp at d = n/2 against Zero", half.step_seconds, "zero", zero.step_seconds,
        regime == "laptop" ? 3.3 : 2.0);
    add("T2.half", "compute bound over lsp at d = n/2", half.step_seconds, "forward+backward", compute,
        1 / (regime == "laptop" ? 1.31 : 1.17));
    add("T2.quarter", "compute bound over lsp at d = n/4", quarter.step_seconds, "forward+backward", compute,
        1 / (regime == "laptop" ? 1.31 : 1.12));
    add("T2.dense", "compute bound over lsp at d = n/2 with dense compression", dense.step_seconds,
        "forward+backward", compute, std::nullopt);
    add("T5.dpu", "lsp at d = n/2 against Zero with delayed updates (stale weights)", half.step_seconds,
        "zero-dpu", delayed.step_seconds, std::nullopt);
    add("T3.zero", "compute bound over Zero (the band of the paper is 1/1.93 to 1/4.28)", zero.step_seconds,
        "forward+backward", compute, std::nullopt);
    add("T4.layerwise", "the layerwise schedule alone, on Zero's gradients", layerwise.step_seconds, "zero",
        zero.step_seconds, 1.18);
    bench.add({.id = "M1.link." + regime,
               .what = "bytes over the link a step, lsp at d = n/2 against Zero (" + regime + ")",
               .unit = "B",
               .ours = static_cast<double>(half.d2h_bytes + half.h2d_bytes) / static_cast<double>(half.steps),
               .peer = Peer{.name = "zero",
                            .value = static_cast<double>(zero.d2h_bytes + zero.h2d_bytes) /
                                     static_cast<double>(zero.steps)},
               .better = Better::lower,
               .basis = Basis::counted});
    bench.section().table(run_table({zero, layerwise, delayed, half, dense, quarter}, where, limits));
  }
}

// Device memory, counted.
void memory(Bench& bench, const BenchFlags& flags, const cli::Common& common) {
  const Workload workload = load_workload(workload_of(flags.quick, common.seed));
  const Limits limits = match_limits(workload, {.regime = "raw", .clock = Clock::modelled});
  const RunResult native = short_run(workload, limits, {.method = "native"}, 2);
  const RunResult lsp = short_run(workload, limits, {.method = "lsp"}, 2);
  bench.add({.id = "M2.peak",
             .what = "peak device memory, lsp against native",
             .unit = "B",
             .ours = static_cast<double>(lsp.peak_bytes),
             .peer = Peer{.name = "native", .value = static_cast<double>(native.peak_bytes)},
             .better = Better::lower,
             .target = 1 / 0.40,
             .basis = Basis::counted,
             .note = workload.label});
  Limits tight = limits;
  tight.device.budget = {static_cast<std::uint64_t>(0.375 * static_cast<double>(native.peak_bytes))};
  double trained = 0;
  std::string note = "budget " + to_string(tight.device.budget);
  for (const char* method : {"native", "zero", "lsp"}) {
    try {
      short_run(workload, tight, {.method = method}, 2);
      trained += 1;
      note += fmt::format("; {} trains", method);
    } catch (const DeviceOutOfMemory&) {
      note += fmt::format("; {} does not fit", method);
    }
  }
  bench.add({.id = "M3.fits",
             .what = "of native, zero, lsp: how many train in 0.375 of native's need",
             .unit = "methods",
             .ours = trained,
             .better = Better::higher,
             .target = 2,
             .basis = Basis::counted,
             .note = note});
}

// Relative bias of projectors on a real gradient that they were not fitted on.
void bias(Bench& bench, const BenchFlags& flags, const cli::Common& common) {
  WorkloadOptions options = workload_of(true, common.seed);
  options.keep_blocks = 3;
  options.calibration = 16;
  const Workload workload = load_workload(options);
  const auto decoder = workload.fresh();
  for (at::Tensor& parameter : decoder->parameters()) parameter.requires_grad_(false);
  const std::vector<Unit> units = units_of(*decoder);
  // Mean gradients of one middle block's units over fitting sequences and over others.
  std::vector<at::Tensor> fitted(units.size()), held(units.size());
  const auto collect = [&](std::vector<at::Tensor>& sums, const std::vector<model::TokenBatch>& batches) {
    for (const Unit& unit : units) {
      unit.layer->path =
          std::make_shared<DensePath>([&sums, id = static_cast<std::size_t>(unit.id)](const at::Tensor& g) {
            sums[id] = sums[id].defined() ? sums[id] + g : g;
          });
    }
    for (const model::TokenBatch& batch : batches) forward_backward(*decoder, batch, {}, {});
    for (const Unit& unit : units) unit.layer->path = nullptr;
  };
  collect(fitted, workload.corpus->calibration(4));
  collect(held, {workload.corpus->batch(0, 8), workload.corpus->batch(1, 8)});

  Table table("Relative bias on held-out gradients (measured): mean over the matrices of block 1",
              {"d", "r", "learned", "random", "GaLore at equal bytes"});
  for (const double fraction : {0.25, 0.5}) {
    double sum[3] = {};
    int count = 0;
    const int r = 8;
    for (const Unit& unit : units) {
      if (unit.block != 1) continue;
      const std::int64_t shorter = std::min(unit.rows(), unit.cols());
      const auto d = static_cast<std::int64_t>(fraction * static_cast<double>(shorter));
      Random random(common.seed, static_cast<std::uint64_t>(unit.id));
      ProjectorPair pair = ProjectorPair::random(unit.rows(), unit.cols(),
                                                 {.d = d, .r = r, .init = ProjectorInit::scaled}, random);
      const at::Tensor& g = held[static_cast<std::size_t>(unit.id)];
      sum[1] += relative_bias(pair, g);
      fit(pair, {fitted[static_cast<std::size_t>(unit.id)]},
          {.iterations = flags.quick ? 60 : 100, .accept = 0});
      sum[0] += relative_bias(pair, g);
      // GaLore keeps a dense min(m,n) x R projector: as many bytes as the pair's positions and values.
      const std::int64_t rank = std::max<std::int64_t>(1, pair.device_bytes() / (4 * shorter));
      const bool tall = unit.rows() >= unit.cols();
      const at::Tensor& known = fitted[static_cast<std::size_t>(unit.id)];
      const auto svd = torch::linalg_svd(tall ? known.t() : known, /*full_matrices=*/false);
      const at::Tensor basis = std::get<0>(svd).narrow(1, 0, std::min(rank, shorter));
      const at::Tensor side = tall ? g.t() : g;
      sum[2] += ((basis.matmul(basis.t().matmul(side)) - side).norm() / side.norm()).item<double>();
      ++count;
    }
    for (double& value : sum) value /= count;
    table.row({fmt::format("n * {}", fraction), std::to_string(r), fmt::format("{:.3f}", sum[0]),
               fmt::format("{:.3f}", sum[1]), fmt::format("{:.3f}", sum[2])});
    bench.add(
        {.id = fmt::format("B1.bias.d{}", fraction),
         .what = fmt::format("relative bias on held-out gradients, learned at d = {}n, r = {}", fraction, r),
         .unit = "1",
         .ours = sum[0],
         .peer = Peer{.name = "GaLore at equal bytes", .value = sum[2]},
         .better = Better::lower,
         .target = fraction >= 0.5 ? std::optional<double>(1.0) : std::nullopt,
         .note = fmt::format("random scaled: {:.3f}", sum[1])});
  }
  bench.section().table(table);
}

// Validation loss over time: Zero, LoRA, GaLore and LSP with the best of three
// learning rates each.
void accuracy(Bench& bench, const BenchFlags& flags, const cli::Common& common) {
  const Workload workload = load_workload(workload_of(true, common.seed));
  const Limits limits = match_limits(workload, {.regime = "laptop", .clock = Clock::modelled});
  const double seconds = (flags.quick ? 12 : 60) * limits.compute_seconds();
  const auto best_of = [&](const std::string& method, const std::vector<double>& rates) {
    std::optional<RunResult> best;
    for (const double rate : flags.quick ? std::vector<double>{rates[1]} : rates) {
      cli::stop_if_interrupted();
      MethodOptions options{.method = method,
                            .rank = 16,
                            .rate = rate,
                            .warmup = 2,
                            .seconds = seconds,
                            .evaluate_every = 2,
                            .evaluate_windows = 12};
      options.lsp.fit.iterations = 15;
      RunResult result = run_method(workload, limits, options);
      if (!best || result.after.loss < best->after.loss) best = std::move(result);
    }
    return *best;
  };
  const RunResult zero = best_of("zero", {1e-4, 3e-4, 1e-3});
  const RunResult lora = best_of("lora", {1e-3, 3e-3, 1e-2});
  const RunResult galore = best_of("galore", {1e-3, 3e-3, 1e-2});
  const RunResult lsp = best_of("lsp", {3e-4, 1e-3, 3e-3});
  const std::vector<RunResult> results{zero, lora, galore, lsp};
  bench.section().chart(loss_chart(results, "Validation loss, laptop regime (modelled seconds)"));
  bench.section().table(run_table(results, workload.label + ", " + limits.label(), limits));
  // Time to the level that Zero has reached after three quarters of its own
  // improvement.
  const double level = zero.before.loss - 0.75 * (zero.before.loss - zero.after.loss);
  const auto time_to = [&](const RunResult& result) {
    for (const RunPoint& point : result.validation) {
      if (point.loss <= level) return point.seconds;
    }
    return static_cast<double>(INFINITY);
  };
  const double ours = time_to(lsp), theirs = time_to(zero);
  bench.add({.id = "A1.time75",
             .what = "time to Zero's 75 % level of validation loss",
             .unit = "s",
             .ours = std::isfinite(ours) ? std::optional<double>(ours) : std::nullopt,
             .peer = Peer{.name = "zero", .value = theirs},
             .better = Better::lower,
             .target = 2.5,
             .basis = Basis::modelled,
             .note = std::isfinite(ours) ? workload.label : "not reached"});
  for (const auto* other : {&zero, &lora, &galore}) {
    bench.add({.id = "A2.loss." + other->method,
               .what = "validation perplexity at equal time",
               .unit = "1",
               .ours = lsp.after.perplexity,
               .peer = Peer{.name = other->method, .value = other->after.perplexity},
               .better = Better::lower,
               .target = 1.0,
               .basis = Basis::modelled,
               .note = fmt::format("device peak {} against {}",
                                   to_string(Bytes{static_cast<std::uint64_t>(lsp.peak_bytes)}),
                                   to_string(Bytes{static_cast<std::uint64_t>(other->peak_bytes)}))});
  }
}

void run(const BenchFlags& flags, const cli::Common& common) {
  cli::require_one_of("--suite", flags.suite, {"throughput", "accuracy", "memory", "bias", "all"});
  cli::require_one_of("--clock", flags.clock, {"wall", "modelled"});
  cli::catch_interrupts();
  Bench bench("tune", flags.suite, common);
  const auto wanted = [&](const std::string& suite) { return flags.suite == "all" || flags.suite == suite; };
  if (wanted("throughput")) throughput(bench, flags, common);
  if (wanted("accuracy")) accuracy(bench, flags, common);
  if (wanted("memory")) memory(bench, flags, common);
  if (wanted("bias")) bias(bench, flags, common);
  bench.finish();
}

}  // namespace

void add_bench(cli::Program& program) {
  auto verb =
      program.verb("bench", "methods side by side: step times, memory, bias",
                   {"ballast tune bench --quick", "ballast tune bench --suite bias --json bias.json"});
  const auto flags = std::make_shared<BenchFlags>();
  verb->add_flag("--quick", flags->quick, "within three minutes");
  verb->add_option("--clock", flags->clock, "modelled, or wall (needs an idle machine)");
  verb->add_option("--suite", flags->suite, "throughput, accuracy, memory, bias or all");
  verb.run([flags](const cli::Common& common) { run(*flags, common); });
}

}  // namespace ballast::tune
