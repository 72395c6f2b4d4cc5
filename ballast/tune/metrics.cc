#include "ballast/tune/metrics.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "ballast/base/errors.h"

namespace ballast::tune {

Metrics class_metrics(std::span<const double> predictions, std::span<const double> truths) {
  BALLAST_CHECK(predictions.size() == truths.size());
  Metrics metrics;
  if (truths.empty()) return metrics;
  std::size_t classes = 2;
  for (const auto list : {predictions, truths})
    for (const double value : list) classes = std::max(classes, static_cast<std::size_t>(value) + 1);
  std::vector<double> hit(classes), predicted(classes), real(classes);
  for (std::size_t i = 0; i < truths.size(); ++i) {
    const auto p = static_cast<std::size_t>(predictions[i]), t = static_cast<std::size_t>(truths[i]);
    ++predicted[p];
    ++real[t];
    if (p == t) ++hit[t];
  }
  const auto count = static_cast<double>(truths.size());
  double hits = 0, cross = 0, predicted_squares = 0, real_squares = 0, f1_sum = 0;
  for (std::size_t c = 0; c < classes; ++c) {
    hits += hit[c];
    cross += predicted[c] * real[c];
    predicted_squares += predicted[c] * predicted[c];
    real_squares += real[c] * real[c];
    const double f1 = predicted[c] + real[c] > 0 ? 2 * hit[c] / (predicted[c] + real[c]) : 0;
    f1_sum += f1;
    if (classes == 2 && c == 1) metrics.f1 = f1;
  }
  metrics.accuracy = hits / count;
  if (classes > 2) metrics.f1 = f1_sum / static_cast<double>(classes);
  const double scale = std::sqrt((count * count - predicted_squares) * (count * count - real_squares));
  metrics.matthews = scale > 0 ? (hits * count - cross) / scale : 0;
  return metrics;
}

double pearson(std::span<const double> a, std::span<const double> b) {
  BALLAST_CHECK(a.size() == b.size());
  if (a.empty()) return 0;
  const auto count = static_cast<double>(a.size());
  double mean_a = 0, mean_b = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    mean_a += a[i] / count;
    mean_b += b[i] / count;
  }
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - mean_a) * (b[i] - mean_b);
    aa += (a[i] - mean_a) * (a[i] - mean_a);
    bb += (b[i] - mean_b) * (b[i] - mean_b);
  }
  return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : 0;
}

}  // namespace ballast::tune
