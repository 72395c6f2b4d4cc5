// Tables B to F of `ballast dynamic bench`.
#pragma once

#include <cstdint>

#include "ballast/base/bench.h"

namespace ballast::dynamic {

void bench_models(Bench& bench, std::uint64_t seed, bool quick);

}  // namespace ballast::dynamic
