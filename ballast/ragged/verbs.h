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

/// Techniques that `bench` can switch off in our side of a comparison.
struct Techniques {
  bool hoist = true, hfuse = true, opsplit = true, bulk = true, padfuse = true, fused_attention = true,
       balance = true, dense_storage = false;
  std::string fuse_maps, offsets, inner = "jit";
};

struct BenchOptions {
  std::vector<std::string> suites{"all"};
  std::vector<std::string> data;
  std::vector<std::int64_t> batch;
  std::vector<std::string> baselines;  ///< of encoder and attention suites; empty: all
  std::int64_t batches = 1;            ///< batches a cell, their rounds taken together
  std::string pad_to = "max";          ///< of the padded competitors: the batch's maximum, or the set's cap
  int threads = 0;
  int rounds = 0;
  bool quick = false, full = false;
  Techniques techniques;
  Tuned tuned;
};

using Suite = void (*)(Bench& bench, const BenchOptions& options, std::uint64_t seed);
/// R1: modelled work.
void bench_work(Bench& bench, const BenchOptions& options, std::uint64_t seed);
/// R2: the encoder layer against padded engines, torch, packed and micro-batches; R12's recompilations.
void bench_encoder(Bench& bench, const BenchOptions& options, std::uint64_t seed);
/// R2: whole encoders against CTranslate2 on the same weights.
void bench_peers(Bench& bench, const BenchOptions& options, std::uint64_t seed);
/// R3: multi-head attention, plain, causal, and the cores of both against each other.
void bench_mha(Bench& bench, const BenchOptions& options, std::uint64_t seed);
void bench_masked_mha(Bench& bench, const BenchOptions& options, std::uint64_t seed);
void bench_core(Bench& bench, const BenchOptions& options, std::uint64_t seed);
/// The micro-kernel gate: tiles against oneDNN and OpenBLAS.
void bench_products(Bench& bench, const BenchOptions& options, std::uint64_t seed);
/// R4, R5: vgemm, trmm and triangular addition, through the schedule compiler.
void bench_vgemm(Bench& bench, const BenchOptions& options, std::uint64_t seed);
void bench_trmm(Bench& bench, const BenchOptions& options, std::uint64_t seed);
void bench_tri(Bench& bench, const BenchOptions& options, std::uint64_t seed);
/// R6, R7, R8, R11: operation splitting, changes of padding, the overhead of raggedness, fused attention.
void bench_opsplit(Bench& bench, const BenchOptions& options, std::uint64_t seed);
void bench_padfuse(Bench& bench, const BenchOptions& options, std::uint64_t seed);
void bench_overhead(Bench& bench, const BenchOptions& options, std::uint64_t seed);
void bench_fused(Bench& bench, const BenchOptions& options, std::uint64_t seed);
/// Each technique on against off.
void bench_ablation(Bench& bench, const BenchOptions& options, std::uint64_t seed);
/// R9: the prelude's time and tables, against a CSF's; R10: activations, counted and as peak memory.
void bench_prelude(Bench& bench, const BenchOptions& options, std::uint64_t seed);
void bench_memory(Bench& bench, const BenchOptions& options, std::uint64_t seed);
/// R12, R13, R14: compile times, balance, times by operator.
void bench_compile(Bench& bench, const BenchOptions& options, std::uint64_t seed);
void bench_balance(Bench& bench, const BenchOptions& options, std::uint64_t seed);
void bench_parts(Bench& bench, const BenchOptions& options, std::uint64_t seed);

}  // namespace ballast::ragged
