// The suites of `ballast dynamic bench` that run models.
#pragma once

#include <cstdint>

#include "ballast/base/bench.h"

namespace ballast::dynamic {

/// Tables B (built-in systems, learned machines) and C.
void bench_models(Bench& bench, std::uint64_t seed, bool quick);
/// Table B: libtorch eager and batched by hand, DyNet 2.2.
void bench_peers(Bench& bench, std::uint64_t seed, bool quick);
/// Table D: each pass on a model it is meant for, and step by step.
void bench_passes(Bench& bench, std::uint64_t seed, bool quick);
/// Tables E (layouts of blocks) and F (control programs).
void bench_blocks(Bench& bench, std::uint64_t seed, bool quick);

}  // namespace ballast::dynamic
