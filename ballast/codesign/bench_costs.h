// The figures of `bench` that need no training, beyond anchors and savings.
#pragma once

#include <cstdint>

#include "ballast/base/bench.h"

namespace ballast::codesign {

/// Savings by schema, and against an NPU of the same silicon area.
void schema_rows(Bench& bench);
/// Optimisers against each other, and how long they take.
void mapper_rows(Bench& bench);
/// Additive scoring a second, and joint search against searching one side alone.
void search_rows(Bench& bench, int evaluations);
/// The estimator on a device that is there: this processor, measured, calibrated, foretold.
void host_rows(Bench& bench, int networks, std::uint64_t seed);

}  // namespace ballast::codesign
