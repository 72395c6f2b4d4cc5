// A high-dynamic-range histogram: counts of integer values over many decades, each value kept to a fixed
// number of significant digits, in memory that does not grow with the number of records. The layout and the
// exchange format are those of HdrHistogram (Gil Tene), so that its logs and ours are read by the same tools.
//
//   Histogram latency_ns;                          // 1 ns to 1 h, 3 significant digits: 264 KiB
//   latency_ns.record(412'000);                    // a few nanoseconds; any value is counted
//   latency_ns.record_corrected(900'000, 100'000); // with the requests that a stalled closed loop did not
//   send latency_ns.percentile(99.9); all.merge(latency_ns);                         // one a thread, merged
//   at the end: it has no locks std::string text = all.encode();               // "HISTFAAAA...":
//   HdrHistogram V2, compressed, base64
//
// Layout: bucket b of sub-buckets holds values of magnitude [2^(b+m-1), 2^(b+m)), m = the bits of the
// sub-bucket count; only the upper half of each bucket but the first is used, since its lower half is the
// bucket below.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace ballast {

/// What is told apart: values from `lowest` to `highest`, two of them as one when they agree in
/// `significant_digits` decimal digits (or are less than `lowest` apart).
struct HistogramRange {
  std::int64_t lowest = 1;                   ///< at least 1
  std::int64_t highest = 3'600'000'000'000;  ///< at least twice `lowest`
  int significant_digits = 3;                ///< 1 to 5

  bool operator==(const HistogramRange&) const = default;
};

class Histogram {
 public:
  /// Throws InvalidInput for a range outside of what is said above.
  explicit Histogram(const HistogramRange& range = {});

  /// Counts a value. A value below 0 or above `highest` is counted at that end and in `clamped()`.
  void record(std::int64_t value, std::int64_t times = 1) {
    if (value < 0 || value > range_.highest) [[unlikely]] {
      clamped_ += times;
      value = value < 0 ? 0 : range_.highest;
    }
    counts_[index_of(value)] += times;
    total_ += times;
    max_ = std::max(max_, value);
    min_ = std::min(min_, value);
  }

  /// Counts a value and, where a closed loop waited for it longer than the interval at which it would else
  /// have sent, the values that the requests in between would have seen: value - interval, value - 2
  /// interval, ... down to the interval (coordinated omission). `expected_interval` <= 0 corrects nothing.
  void record_corrected(std::int64_t value, std::int64_t expected_interval, std::int64_t times = 1);
  /// The same correction afterwards, for every value.
  Histogram corrected(std::int64_t expected_interval) const;

  /// Adds the other's counts; exact and associative for equal ranges, else each value is recorded anew.
  void merge(const Histogram& other);
  void reset();

  std::int64_t count() const { return total_; }
  /// Records outside of [0, highest]. Not part of the exchange format.
  std::int64_t clamped() const { return clamped_; }
  const HistogramRange& range() const { return range_; }

  /// The smallest and largest value, to the resolution; 0 when empty.
  std::int64_t min() const;
  std::int64_t max() const;
  /// Of the middles of the values' ranges; 0 when empty.
  double mean() const;
  double standard_deviation() const;

  /// The largest value that equals, to the resolution, the ceil(p/100 * count)-th smallest record: at most
  /// 10^-digits of itself above the exact order statistic. p is brought into [0, 100]; 0 gives min(), 100
  /// max().
  std::int64_t percentile(double p) const;
  /// The share of records, in percent, at or below the value (to the resolution); 100 when empty.
  double percentile_of(std::int64_t value) const;
  std::int64_t count_between(std::int64_t low, std::int64_t high) const;

  /// Every non-empty cell, upwards: its records lie in [low, high].
  void for_each(
      const std::function<void(std::int64_t low, std::int64_t high, std::int64_t count)>& visit) const;

  /// Same range and counts.
  bool operator==(const Histogram& other) const;

  /// The smallest and largest value that are counted in one cell with this one.
  std::int64_t lowest_equivalent(std::int64_t value) const;
  std::int64_t highest_equivalent(std::int64_t value) const;
  std::size_t memory_bytes() const { return counts_.size() * sizeof(std::int64_t); }

  /// HdrHistogram V2, compressed (zlib), in base64: what the log format and other tools take.
  std::string encode() const;
  /// Reads what encode() writes, and the uncompressed form. Throws InvalidInput (naming `where`) for anything
  /// that is not a whole, consistent V2 histogram of integers; takes at most 64 MiB whatever the text claims.
  static Histogram decode(std::string_view base64, std::string_view where = "histogram");
  /// The same without base64: V2, uncompressed and compressed.
  std::string encode_bytes() const;
  std::string encode_compressed_bytes() const;
  static Histogram decode_bytes(std::string_view bytes, std::string_view where = "histogram");

 private:
  std::size_t index_of(std::int64_t value) const {
    const auto v = static_cast<std::uint64_t>(value);
    const int bucket = 64 - std::countl_zero(v | sub_bucket_mask_) - unit_bits_ - sub_bucket_bits_;
    const std::uint64_t sub_bucket = v >> (bucket + unit_bits_);
    return (static_cast<std::size_t>(bucket) << (sub_bucket_bits_ - 1)) + sub_bucket;
  }
  std::int64_t value_at(std::size_t index) const;  ///< the smallest value of a cell
  std::int64_t width_at(std::size_t index) const;  ///< how many values a cell holds
  std::int64_t middle_at(std::size_t index) const { return value_at(index) + width_at(index) / 2; }
  std::size_t used_cells() const;  ///< one past the last non-empty cell

  HistogramRange range_;
  int unit_bits_, sub_bucket_bits_;
  std::uint64_t sub_bucket_mask_;
  std::vector<std::int64_t> counts_;
  std::int64_t total_ = 0, clamped_ = 0;
  std::int64_t min_, max_ = 0;
};

}  // namespace ballast
