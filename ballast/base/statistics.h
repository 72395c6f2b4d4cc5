// Summaries of samples, and sums that do not depend on the order of their terms.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace ballast {

/// The q-quantile (0 <= q <= 1) by linear interpolation between order statistics (Hyndman-Fan type 7); NaN if
/// empty.
double quantile(std::span<const double> sample, double q);
double median(std::span<const double> sample);
double mean(std::span<const double> sample);
/// Unbiased sample variance; 0 for fewer than two values.
double variance(std::span<const double> sample);
double geometric_mean(std::span<const double> sample);

struct Interval {
  double low, high;
};
/// Percentile bootstrap interval of the median. The same seed gives the same interval.
Interval bootstrap_median(std::span<const double> sample, double confidence = 0.95, int resamples = 1000,
                          std::uint64_t seed = 1);

/// The correctly rounded sum: the same bits for every order of the terms and every split over machines.
/// Partial sums merge exactly. (Shewchuk's error-free expansions; the sum is rounded once, at the end.)
class ExactSum {
 public:
  void add(double x);
  void merge(const ExactSum& other);
  double value() const;
  /// For sending a partial sum: the non-overlapping parts.
  const std::vector<double>& parts() const { return parts_; }

 private:
  std::vector<double> parts_;
};

}  // namespace ballast
