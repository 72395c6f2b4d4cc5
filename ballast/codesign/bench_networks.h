// The figures of `bench` that need a trained supernet.
#pragma once

#include "ballast/base/bench.h"

namespace ballast::codesign {

/// Trains for `minutes` on Fashion-MNIST, searches with and without macros at equal budget, exports the found
/// network and has onnxruntime run it. Rows say so where data or runtime are not installed.
void network_rows(Bench& bench, double minutes, int evaluations, std::uint64_t seed);

/// Three seeds of: hybrid against convolutions only on the odd-one-out task, one phase against two. `minutes`
/// a network; finished runs are kept in `folder` and not trained again.
void accuracy_rows(Bench& bench, double minutes, const std::string& folder);

}  // namespace ballast::codesign
