// How much work and memory an encoder layer takes, by plan: exact formulas over the lengths of one batch.
// These figures are *modelled* (multiply-adds of the products) or *counted* (bytes); latencies are measured
// elsewhere.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace ballast::ragged {

struct LayerSizes {
  std::int64_t model = 512, heads = 8, feed_forward = 2048;
};

/// Multiply-adds of one encoder layer: tok (4 d^2 + 2 d f) + 2 d sq, tok = sum l, sq = sum l^2.
struct LayerWork {
  double exact = 0;   ///< no padding at all
  double padded = 0;  ///< everything at the batch maximum
  double partial =
      0;              ///< the paper's tiles: tokens in bulk to 64, QK^T 64 x 64, A*V rows 64 and reduction 16
  double packed = 0;  ///< token-wise operators exact, attention at the batch maximum
};
LayerWork layer_work(std::span<const std::int32_t> lengths, const LayerSizes& sizes);
/// Sorted by length, cut into micro-batches of `unit`, each dense at its own maximum.
double microbatch_work(std::span<const std::int32_t> lengths, std::int64_t unit, const LayerSizes& sizes);

/// Grouped by length rounded up to `width`; every group is dense at its own maximum, rounded up.
double bucketed_work(std::span<const std::int32_t> lengths, std::int64_t width, const LayerSizes& sizes);

/// Floats of all activations of a layer: tok (9 d + f) + 2 h sq (scores and their softmax).
double activation_floats(std::span<const std::int32_t> lengths, const LayerSizes& sizes, bool padded);

}  // namespace ballast::ragged
