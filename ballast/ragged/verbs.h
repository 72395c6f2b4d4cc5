// The verbs of `ballast ragged`, one file each.
#pragma once

#include "ballast/base/bench.h"
#include "ballast/base/cli.h"
#include "ballast/ragged/tuned.h"

namespace ballast::ragged {

void add_run(cli::Program& program);
void add_compile(cli::Program& program);
void add_lengths(cli::Program& program);
void add_flops(cli::Program& program);
void add_bench(cli::Program& program);
void add_tune(cli::Program& program);
void add_tour(cli::Program& program);

struct BenchOptions {
  std::vector<std::string> suites{"all"};
  std::vector<std::string> data;
  std::vector<std::int64_t> batch;
  int threads = 0;
  int rounds = 0;
  bool quick = false, full = false;
  Tuned tuned;
};
/// R1, R10: modelled work and counted bytes.
void bench_work(Bench& bench, const BenchOptions& options, std::uint64_t seed);
/// R2: the encoder layer against padded engines, torch, packed and micro-batches; R9 and R12 beside it.
void bench_encoder(Bench& bench, const BenchOptions& options, std::uint64_t seed);
/// R3, R11: multi-head attention, plain and causal.
void bench_attention(Bench& bench, const BenchOptions& options, std::uint64_t seed);
/// The micro-kernel gate: tiles against oneDNN and OpenBLAS.
void bench_products(Bench& bench, const BenchOptions& options, std::uint64_t seed);

/// R4, R5: vgemm, trmm and triangular addition, through the schedule compiler.
void bench_operators(Bench& bench, const BenchOptions& options, std::uint64_t seed);
/// R6, R7, R8, R11: operation splitting, changes of padding, the overhead of raggedness, fused attention.
void bench_compiler(Bench& bench, const BenchOptions& options, std::uint64_t seed);
/// Each technique on against off.
void bench_ablation(Bench& bench, const BenchOptions& options, std::uint64_t seed);
/// R12, R13, R14: compile times, balance, times by operator.
void bench_launch(Bench& bench, const BenchOptions& options, std::uint64_t seed);

}  // namespace ballast::ragged
