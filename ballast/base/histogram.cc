#include "ballast/base/histogram.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "ballast/base/errors.h"

namespace ballast {
namespace {

constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();

void require_sound(const HistogramRange& range) {
  if (range.significant_digits < 1 || range.significant_digits > 5)
    throw InvalidInput("significant digits", std::to_string(range.significant_digits), "1 to 5");
  if (range.lowest < 1 || range.lowest > kMax / 4)
    throw InvalidInput("lowest value of a histogram", std::to_string(range.lowest), "1 to 2^61");
  if (range.highest < 2 * range.lowest) {
    throw InvalidInput("highest value of a histogram", std::to_string(range.highest),
                       fmt::format("at least twice the lowest, {}", range.lowest));
  }
}

}  // namespace

Histogram::Histogram(const HistogramRange& range) : range_(range), min_(kMax) {
  require_sound(range);
  // The sub-buckets must tell apart 2 * 10^digits values, so that a cell is at most 10^-digits of its value.
  const auto resolved =
      static_cast<std::uint64_t>(2 * std::llround(std::pow(10.0, range.significant_digits)));
  sub_bucket_bits_ = std::bit_width(resolved - 1);
  unit_bits_ = std::bit_width(static_cast<std::uint64_t>(range.lowest)) - 1;
  if (unit_bits_ + sub_bucket_bits_ > 62) {
    throw InvalidInput(fmt::format("a histogram from {} with {} digits does not fit 63 bits", range.lowest,
                                   range.significant_digits));
  }
  sub_bucket_mask_ = ((std::uint64_t{1} << sub_bucket_bits_) - 1) << unit_bits_;
  int buckets = 1;
  for (std::uint64_t above = std::uint64_t{1} << (sub_bucket_bits_ + unit_bits_);
       above <= static_cast<std::uint64_t>(range.highest); above <<= 1) {
    ++buckets;
    if (above > static_cast<std::uint64_t>(kMax) / 2) break;
  }
  counts_.assign((static_cast<std::size_t>(buckets) + 1) << (sub_bucket_bits_ - 1), 0);
}

void Histogram::record_corrected(std::int64_t value, std::int64_t expected_interval, std::int64_t times) {
  record(value, times);
  if (expected_interval <= 0) return;
  for (std::int64_t missed = std::min(value, range_.highest) - expected_interval; missed >= expected_interval;
       missed -= expected_interval) {
    record(missed, times);
  }
}

Histogram Histogram::corrected(std::int64_t expected_interval) const {
  Histogram result(range_);
  for (std::size_t i = 0, end = used_cells(); i < end; ++i) {
    if (counts_[i] != 0)
      result.record_corrected(std::min(range_.highest, value_at(i) + width_at(i) - 1), expected_interval,
                              counts_[i]);
  }
  result.clamped_ = clamped_;
  return result;
}

void Histogram::merge(const Histogram& other) {
  clamped_ += other.clamped_;
  if (other.range_ == range_) {
    for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
    total_ += other.total_;
    min_ = std::min(min_, other.min_);
    max_ = std::max(max_, other.max_);
    return;
  }
  for (std::size_t i = 0, end = other.used_cells(); i < end; ++i) {
    if (other.counts_[i] != 0) record(other.middle_at(i), other.counts_[i]);
  }
}

void Histogram::reset() {
  std::fill(counts_.begin(), counts_.end(), 0);
  total_ = clamped_ = max_ = 0;
  min_ = kMax;
}

std::int64_t Histogram::value_at(std::size_t index) const {
  // The first bucket is whole; of every other one only the upper half has cells.
  const std::size_t half = index >> (sub_bucket_bits_ - 1);
  const std::size_t bucket = half == 0 ? 0 : half - 1;
  const std::size_t sub_bucket = index - (bucket << (sub_bucket_bits_ - 1));
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(sub_bucket) << (bucket + unit_bits_));
}

std::int64_t Histogram::width_at(std::size_t index) const {
  const std::size_t half = index >> (sub_bucket_bits_ - 1);
  return std::int64_t{1} << ((half == 0 ? 0 : half - 1) + unit_bits_);
}

std::size_t Histogram::used_cells() const {
  return total_ == 0 ? 0 : index_of(max_) + 1;
}

std::int64_t Histogram::lowest_equivalent(std::int64_t value) const {
  return value_at(index_of(std::clamp<std::int64_t>(value, 0, range_.highest)));
}
std::int64_t Histogram::highest_equivalent(std::int64_t value) const {
  const std::size_t index = index_of(std::clamp<std::int64_t>(value, 0, range_.highest));
  return value_at(index) + (width_at(index) - 1);
}

std::int64_t Histogram::min() const {
  return total_ == 0 ? 0 : value_at(index_of(min_));
}
std::int64_t Histogram::max() const {
  if (total_ == 0) return 0;
  const std::size_t last = index_of(max_);
  return value_at(last) + (width_at(last) - 1);
}

double Histogram::mean() const {
  if (total_ == 0) return 0;
  double sum = 0;
  for (std::size_t i = 0, end = used_cells(); i < end; ++i)
    if (counts_[i] != 0) sum += static_cast<double>(counts_[i]) * static_cast<double>(middle_at(i));
  return sum / static_cast<double>(total_);
}

double Histogram::standard_deviation() const {
  if (total_ == 0) return 0;
  const double center = mean();
  double sum = 0;
  for (std::size_t i = 0, end = used_cells(); i < end; ++i) {
    if (counts_[i] == 0) continue;
    const double away = static_cast<double>(middle_at(i)) - center;
    sum += static_cast<double>(counts_[i]) * away * away;
  }
  return std::sqrt(sum / static_cast<double>(total_));
}

std::int64_t Histogram::percentile(double p) const {
  if (total_ == 0) return 0;
  if (!(p > 0)) return min();
  // One step below p, so that 29 % of 100 is 29 records although 0.29 * 100 rounds to above 29.
  p = std::min(100.0, std::nextafter(p, 0.0));
  const double wanted = std::ceil(p / 100 * static_cast<double>(total_));
  const auto rank = std::clamp<std::int64_t>(static_cast<std::int64_t>(wanted), 1, total_);
  std::int64_t seen = 0;
  for (std::size_t i = 0, end = used_cells(); i < end; ++i) {
    seen += counts_[i];
    if (seen >= rank) return value_at(i) + (width_at(i) - 1);
  }
  return max();
}

std::int64_t Histogram::count_between(std::int64_t low, std::int64_t high) const {
  low = std::max<std::int64_t>(low, 0);
  high = std::min(high, range_.highest);
  std::int64_t seen = 0;
  if (low > high) return seen;
  for (std::size_t i = index_of(low), end = index_of(high); i <= end; ++i) seen += counts_[i];
  return seen;
}

double Histogram::percentile_of(std::int64_t value) const {
  if (total_ == 0) return 100;
  return 100 * static_cast<double>(count_between(0, value)) / static_cast<double>(total_);
}

void Histogram::for_each(const std::function<void(std::int64_t, std::int64_t, std::int64_t)>& visit) const {
  for (std::size_t i = 0, end = used_cells(); i < end; ++i)
    if (counts_[i] != 0) visit(value_at(i), value_at(i) + (width_at(i) - 1), counts_[i]);
}

bool Histogram::operator==(const Histogram& other) const {
  return range_ == other.range_ && total_ == other.total_ && counts_ == other.counts_;
}

}  // namespace ballast
