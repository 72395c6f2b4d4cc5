#include "ballast/base/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ballast/base/random.h"

namespace ballast {

double quantile(std::span<const double> sample, double q) {
  if (sample.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::vector<double> sorted(sample.begin(), sample.end());
  std::sort(sorted.begin(), sorted.end());
  const double position = std::clamp(q, 0.0, 1.0) * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (position - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

double median(std::span<const double> sample) {
  return quantile(sample, 0.5);
}

double mean(std::span<const double> sample) {
  ExactSum sum;
  for (double x : sample) sum.add(x);
  return sum.value() / static_cast<double>(sample.size());
}

double variance(std::span<const double> sample) {
  if (sample.size() < 2) return 0;
  const double centre = mean(sample);
  ExactSum sum;
  for (double x : sample) sum.add((x - centre) * (x - centre));
  return sum.value() / static_cast<double>(sample.size() - 1);
}

double geometric_mean(std::span<const double> sample) {
  ExactSum sum;
  for (double x : sample) sum.add(std::log(x));
  return std::exp(sum.value() / static_cast<double>(sample.size()));
}

Interval bootstrap_median(std::span<const double> sample, double confidence, int resamples,
                          std::uint64_t seed) {
  if (sample.empty())
    return {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::quiet_NaN()};
  Random random(seed);
  std::vector<double> medians, drawn(sample.size());
  for (int r = 0; r < resamples; ++r) {
    for (double& x : drawn) x = sample[random.below(sample.size())];
    medians.push_back(median(drawn));
  }
  return {quantile(medians, (1 - confidence) / 2), quantile(medians, (1 + confidence) / 2)};
}

void ExactSum::add(double x) {
  std::size_t kept = 0;
  for (double part : parts_) {
    if (std::abs(x) < std::abs(part)) std::swap(x, part);
    const double high = x + part;
    const double low = part - (high - x);
    if (low != 0) parts_[kept++] = low;
    x = high;
  }
  parts_.resize(kept);
  parts_.push_back(x);
}

void ExactSum::merge(const ExactSum& other) {
  for (double part : other.parts_) add(part);
}

double ExactSum::value() const {
  // The parts do not overlap and grow in size; add from the largest, then settle a half-way case by the next
  // sign.
  if (parts_.empty()) return 0;
  std::size_t i = parts_.size() - 1;
  double high = parts_[i], low = 0;
  while (i > 0) {
    const double before = high;
    const double next = parts_[--i];
    high = before + next;
    low = next - (high - before);
    if (low != 0) break;
  }
  if (i > 0 && ((low < 0 && parts_[i - 1] < 0) || (low > 0 && parts_[i - 1] > 0))) {
    const double twice = low * 2;
    const double rounded = high + twice;
    if (twice == rounded - high) high = rounded;
  }
  return high;
}

}  // namespace ballast
