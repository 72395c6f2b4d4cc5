// A raggedness pattern made ready for kernels: what the paper calls the prelude. Built once for the lengths
// of a batch and shared by all operators and layers that use them.
//
//   Plan plan = Plan::ragged(lengths);              // O(sequences + row tiles)
//   Plan dense = Plan::padded(lengths);             // the same kernels on a batch padded to its maximum
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace ballast::ragged {

/// Tables for attention (sequences cut into row tiles) and for token-wise operators. All int32, see
/// `tables()`.
struct Plan {
  std::vector<std::int32_t> lengths;    ///< of the sequences, in the caller's order
  std::vector<std::int32_t> offsets;    ///< first row of each sequence; one more for the end
  std::int64_t rows = 0;                ///< rows of every token-wise operator
  std::vector<std::int32_t> positions;  ///< fused-loop map f_fi: place of a row in its sequence

  /// One entry a (sequence, row tile), heavy ones first.
  std::vector<std::int32_t> tile_start;   ///< first row of its sequence
  std::vector<std::int32_t> tile_row;     ///< first row of the tile in the sequence
  std::vector<std::int32_t> tile_length;  ///< rows and columns that are computed
  std::vector<std::int32_t> tile_keys;    ///< columns that softmax may see

  std::int64_t tiles() const { return static_cast<std::int64_t>(tile_start.size()); }
  /// Bytes of all tables that a kernel reads.
  std::int64_t table_bytes() const;

  static constexpr std::int64_t kRowTile = 64;
  /// Throws InvalidInput for a length that is negative or above `max_length`, naming index and value.
  static Plan ragged(std::span<const std::int32_t> lengths, std::int64_t max_length = 512);
  /// Every sequence occupies `to` rows (0: the longest); keys beyond its length are masked.
  static Plan padded(std::span<const std::int32_t> lengths, std::int64_t to = 0,
                     std::int64_t max_length = 512);
};

}  // namespace ballast::ragged
