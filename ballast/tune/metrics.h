// Figures of merit of predictions against the truth, as GLUE uses them.
#pragma once

#include <span>

namespace ballast::tune {

struct Metrics {
  double accuracy = 0;  ///< share of equal classes
  double f1 = 0;        ///< of class 1 with two classes, the mean over classes with more
  double matthews = 0;  ///< Matthews' correlation, Gorodkin's form for more than two classes
  double pearson = 0;   ///< correlation of the values
};

/// Classes as whole numbers from 0. All zero for empty input; `pearson` stays 0. A correlation whose
/// denominator is zero is 0.
Metrics class_metrics(std::span<const double> predictions, std::span<const double> truths);
double pearson(std::span<const double> predictions, std::span<const double> truths);

}  // namespace ballast::tune
