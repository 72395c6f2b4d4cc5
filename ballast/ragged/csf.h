// What a general sparse format stores to find elements: compressed sparse fibers (CSF), built for comparison.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ballast/ragged/stage.h"

namespace ballast::ragged {

/// The position arrays of a tensor in CSF: one array a ragged dimension, with an entry for every combination
/// of the indices outside it, and one more. Constant dimensions need none; the coordinates inside a slice are
/// all there, so that no coordinate array is counted either. Extents may depend on the outermost dimension.
std::vector<std::vector<std::int64_t>> csf_positions(const Tensor& tensor,
                                                     std::span<const std::int32_t> lengths);

/// The ten tensors of an encoder layer: input, QKV, scores, softmax, values, projection, norm, feed-forward
/// up, down, norm.
std::vector<Tensor> layer_tensors(std::int64_t model, std::int64_t heads, std::int64_t feed_forward);

}  // namespace ballast::ragged
