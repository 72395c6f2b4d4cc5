// R12, R13, R14: compile times, balance of tasks, times by operator.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <numeric>

#include "ballast/base/errors.h"
#include "ballast/base/statistics.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/ragged/contest.h"
#include "ballast/ragged/lengths.h"
#include "ballast/ragged/operators.h"
#include "ballast/ragged/verbs.h"

namespace ballast::ragged {
namespace {

void compile_rows(Bench& bench) {
  const TemporaryFolder folder;
  LinearSpec up{.name = "up"}, down{.name = "down"};
  up.k = down.n = 512;
  up.n = down.k = 2048;
  up.activation = Activation::gelu;
  down.norm = true;
  const std::vector<loop::Function> kernels{attention_kernel({}),
                                            attention_kernel({.causal = true, .mask = {}, .name = "causal"}),
                                            linear_kernel(up),
                                            linear_kernel(down),
                                            embedding_kernel(30522, 512, 512, 1e-12),
                                            mean_pool_kernel(512)};
  const auto slowest = [&](std::vector<double>* all) {
    loop::KernelRegistry registry(folder.path());
    double most = 0;
    for (const loop::Function& f : kernels) {
      const double t = time_of([&] { registry.get(f); }) * 1e3;
      all->push_back(t);
      most = std::max(most, t);
    }
    return most;
  };
  std::vector<double> cold, cached;
  const double most_cold = slowest(&cold);
  double most_cached = 1e30;
  for (int i = 0; i < 5; ++i) most_cached = std::min(most_cached, slowest(&cached));
  bench.add({.id = "R12.cold",
             .what = "slowest of six kernels compiled for the first time",
             .unit = "ms",
             .ours = most_cold,
             .target = 150,
             .note = fmt::format("median {:.1f} ms", median(cold))});
  bench.add({.id = "R12.cached",
             .what = "slowest of six kernels loaded from the cache on disk, by a new registry",
             .unit = "ms",
             .ours = most_cached,
             .target = 2,
             .note = fmt::format("median {:.2f} ms", median(cached))});
}

/// Seconds of each task of an attention kernel, one after the other.
std::vector<double> task_seconds(const loop::CompiledKernel& kernel, const loop::KernelFrame& frame) {
  std::vector<double> seconds;
  for (std::int64_t t = 0; t < kernel.num_tasks(&frame); ++t) {
    double best = 1e30;
    for (int i = 0; i < 3; ++i) best = std::min(best, time_of([&] { kernel.run(&frame, t, t + 1); }));
    seconds.push_back(best);
  }
  return seconds;
}

void balance_rows(Bench& bench, const BenchOptions& o, std::uint64_t seed) {
  loop::KernelRegistry registry;
  const auto kernel = registry.get(attention_kernel({}));
  for (const std::string set : {"one-long", "race"}) {
    const auto lengths = draw_lengths(set, o.quick ? 16 : 64, seed);
    const Plan plan = Plan::ragged(lengths);
    std::vector<float> qkv(static_cast<std::size_t>(plan.rows * 1536), 0.1f),
        out(static_cast<std::size_t>(plan.rows * 512));
    std::vector<std::byte> scratch(static_cast<std::size_t>(kernel->signature().scratch_bytes) + 64);
    void* buffers[] = {qkv.data(), out.data()};
    const std::int64_t tiles = plan.tiles();
    const std::int32_t* aux[] = {plan.tile_start.data(), plan.tile_row.data(), plan.tile_length.data(),
                                 plan.tile_keys.data()};
    auto at = reinterpret_cast<std::uintptr_t>(scratch.data());
    const loop::KernelFrame frame{buffers, &tiles, aux, scratch.data() + (64 - at % 64) % 64};
    const std::vector<double> seconds = task_seconds(*kernel, frame);
    std::vector<std::int64_t> costs;
    for (std::size_t t = 0; t < seconds.size(); ++t)
      costs.push_back(kernel->task_cost(&frame, static_cast<std::int64_t>(t)));
    for (const int workers : {2, 8, 32}) {
      const double total = std::accumulate(seconds.begin(), seconds.end(), 0.0), mean_time = total / workers;
      // What no policy can beat: the mean, or the longest task.
      const double ideal = std::max(mean_time, *std::max_element(seconds.begin(), seconds.end()));
      const auto makespan = [&](const std::vector<std::int64_t>& cuts) {
        std::vector<double> free(static_cast<std::size_t>(workers),
                                 0.0);  // pieces go to whoever is free first
        for (std::size_t c = 0; c + 1 < cuts.size(); ++c) {
          double piece = 0;
          for (std::int64_t t = cuts[c]; t < cuts[c + 1]; ++t) piece += seconds[static_cast<std::size_t>(t)];
          *std::min_element(free.begin(), free.end()) += piece;
        }
        return *std::max_element(free.begin(), free.end());
      };
      const std::vector<std::int64_t> equal(seconds.size(), 1);
      const double ours = makespan(loop::cut_by_cost(costs, workers * loop::kPiecesPerWorker)),
                   contiguous = makespan(loop::cut_by_cost(equal, workers));
      bench.add(
          {.id = fmt::format("R13.{}.t{}", set, workers),
           .what = fmt::format(
               "attention's tasks on {} workers: longest over ideal, cut by cost (beside it: contiguous)",
               workers),
           .unit = "x",
           .ours = ours / ideal,
           .peer = Peer{"contiguous", contiguous / ideal},
           .ratio = contiguous / ours,
           .basis = Basis::modelled,
           .note = fmt::format(
               "each task's time measured alone, their placement modelled; target: at most 1.10, {}",
               ours / ideal <= 1.10 ? "met" : "missed")});
    }
  }
}

void operator_rows(Bench& bench, const BenchOptions& o, std::uint64_t seed) {
  EncoderConfig config;
  const auto weights = random_weights(config, seed);
  Engines engines(config, weights, o.threads);
  const std::vector<std::pair<std::string, std::int64_t>> cells =
      o.quick ? std::vector<std::pair<std::string, std::int64_t>>{{"race", 4}, {"cola", 32}}
              : std::vector<std::pair<std::string, std::int64_t>>{{"race", 128}, {"cola", 32}};
  for (const auto& [set, size] : cells) {
    cli::stop_if_interrupted();
    const auto lengths = draw_lengths(set, size, seed);
    const Plan ragged = Plan::ragged(lengths), padded = Plan::padded(lengths);
    Workspace workspace;
    std::vector<float> rows(static_cast<std::size_t>(ragged.rows * config.model), 0.5f),
        all(static_cast<std::size_t>(padded.rows * config.model), 0.5f);
    const std::vector<std::pair<std::string, double OperatorTimes::*>> parts{
        {"qkv", &OperatorTimes::qkv},
        {"attention", &OperatorTimes::attention},
        {"projection", &OperatorTimes::projection},
        {"up", &OperatorTimes::up},
        {"down", &OperatorTimes::down}};
    std::map<std::string, Comparison> timing;
    const int rounds = o.rounds > 0 ? o.rounds : o.quick ? 7 : 11;
    for (int round = -1; round < rounds; ++round) {
      for (int turn = 0; turn < 3; ++turn) {
        const int who = (turn + round + 3) % 3;  // rotated order
        OperatorTimes t;
        if (who == 0) engines.encoder.forward(engines.launcher, ragged, rows.data(), workspace, &t);
        if (who == 1)
          engines.encoder.forward_packed(engines.launcher, ragged, padded, rows.data(), workspace, &t);
        if (who == 2) engines.encoder.forward(engines.launcher, padded, all.data(), workspace, &t);
        if (round < 0) continue;  // warm-up
        for (const auto& [name, field] : parts)
          timing[name].figures[who == 0 ? "ragged" : who == 1 ? "packed" : "padded"].push_back(t.*field);
      }
    }
    const double d = static_cast<double>(config.model), f = static_cast<double>(config.feed_forward),
                 tokens = static_cast<double>(ragged.rows);
    double squares = 0;
    for (const double l : lengths) squares += l * l;
    const std::map<std::string, double> macs{{"qkv", tokens * 3 * d * d},
                                             {"attention", 2 * squares * d},
                                             {"projection", tokens * d * d},
                                             {"up", tokens * d * f},
                                             {"down", tokens * d * f}};
    for (const auto& [name, field] : parts)
      for (const char* peer : {"packed", "padded"})
        bench.add({.id = fmt::format("R14.{}.b{}.{}.{}", set, size, name, peer),
                   .what = fmt::format("{} alone against the {} plan of FasterTransformer", name, peer),
                   .unit = "s",
                   .peer = Peer{peer, timing[name].median(peer)},
                   .target = peer == std::string("packed") ? std::optional(0.97) : std::nullopt,
                   .note = fmt::format("{:.1f} useful GFLOP/s",
                                       2e-9 * macs.at(name) / timing[name].median("ragged")),
                   .comparison = timing[name],
                   .ours_name = "ragged",
                   .peer_name = peer});
  }
}

}  // namespace

void bench_compile(Bench& bench, const BenchOptions&, std::uint64_t) {
  compile_rows(bench);
}

void bench_balance(Bench& bench, const BenchOptions& o, std::uint64_t seed) {
  balance_rows(bench, o, seed);
}

void bench_parts(Bench& bench, const BenchOptions& o, std::uint64_t seed) {
  operator_rows(bench, o, seed);
}

}  // namespace ballast::ragged
