#include "ballast/federate/params.h"

#include <cmath>

#include "ballast/base/errors.h"

namespace ballast::federate {
namespace {

// Sum of the terms [begin, end): the left half is the largest power of two below the count, so the tree over
// the first n clients is the same whatever comes behind them.
std::vector<double> tree_sum(std::span<const WeightedParams> terms) {
  if (terms.size() == 1) {
    std::vector<double> sum(terms[0].params->size());
    for (std::size_t i = 0; i < sum.size(); ++i)
      sum[i] = terms[0].weight * static_cast<double>((*terms[0].params)[i]);
    return sum;
  }
  std::size_t half = 1;
  while (half * 2 < terms.size()) half *= 2;
  std::vector<double> left = tree_sum(terms.first(half));
  const std::vector<double> right = tree_sum(terms.subspan(half));
  for (std::size_t i = 0; i < left.size(); ++i) left[i] += right[i];
  return left;
}

double tree_weight(std::span<const WeightedParams> terms) {
  if (terms.size() == 1) return terms[0].weight;
  std::size_t half = 1;
  while (half * 2 < terms.size()) half *= 2;
  return tree_weight(terms.first(half)) + tree_weight(terms.subspan(half));
}

}  // namespace

Params fresh_params(const MlpShape& shape, std::uint64_t seed, std::uint64_t stream) {
  Random random(seed, stream);
  Params params(shape.size());
  const auto first = static_cast<std::size_t>(shape.hidden) * (static_cast<std::size_t>(shape.features) + 1);
  const double bound1 = 1 / std::sqrt(shape.features), bound2 = 1 / std::sqrt(shape.hidden);
  for (std::size_t i = 0; i < params.size(); ++i) {
    const double bound = i < first ? bound1 : bound2;
    params[i] = static_cast<float>(random.uniform(-bound, bound));
  }
  return params;
}

Params weighted_mean(std::span<const WeightedParams> terms) {
  BALLAST_CHECK(!terms.empty());
  if (terms.size() == 1) return *terms[0].params;  // one reporter: its parameters, bit for bit
  const std::vector<double> sum = tree_sum(terms);
  const double weight = tree_weight(terms);
  Params mean(sum.size());
  for (std::size_t i = 0; i < mean.size(); ++i) mean[i] = static_cast<float>(sum[i] / weight);
  return mean;
}

}  // namespace ballast::federate
