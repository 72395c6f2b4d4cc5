#include "ballast/federate/robust.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/federate/privacy.h"

namespace ballast::federate {
namespace {

// Mean of the sorted values without `cut` at either end; the median is the largest cut.
Params coordinate_mean(std::span<const WeightedParams> terms, std::size_t cut) {
  const std::size_t n = terms.size();
  Params result(terms[0].params->size());
  std::vector<float> column(n);
  for (std::size_t i = 0; i < result.size(); ++i) {
    for (std::size_t t = 0; t < n; ++t) column[t] = (*terms[t].params)[i];
    std::sort(column.begin(), column.end());
    double sum = 0;
    for (std::size_t t = cut; t < n - cut; ++t) sum += column[t];
    result[i] = static_cast<float>(sum / static_cast<double>(n - 2 * cut));
  }
  return result;
}

// Sum of squared distances to the n - faulty - 2 nearest others.
std::vector<double> krum_scores(std::span<const WeightedParams> terms, int faulty) {
  const std::size_t n = terms.size(), near = n - static_cast<std::size_t>(faulty) - 2;
  std::vector<double> scores(n);
  for (std::size_t a = 0; a < n; ++a) {
    std::vector<double> distances;
    for (std::size_t b = 0; b < n; ++b) {
      if (a == b) continue;
      const double d = update_norm(*terms[a].params, *terms[b].params);
      distances.push_back(d * d);
    }
    std::sort(distances.begin(), distances.end());
    scores[a] =
        std::accumulate(distances.begin(), distances.begin() + static_cast<std::ptrdiff_t>(near), 0.0);
  }
  return scores;
}

}  // namespace

Aggregator Aggregator::from_string(const std::string& word) {
  Aggregator result;
  const std::string name = word.substr(0, word.find(':'));
  cli::require_one_of("--aggregate", name, {"mean", "median", "trimmed", "krum", "multi_krum", "clipped"});
  result.kind = name == "mean"      ? Kind::mean
                : name == "median"  ? Kind::median
                : name == "trimmed" ? Kind::trimmed
                : name == "krum"    ? Kind::krum
                : name == "clipped" ? Kind::clipped
                                    : Kind::multi_krum;
  if (name.size() == word.size()) return result;
  const char *begin = word.data() + name.size() + 1, *end = word.data() + word.size();
  if (result.kind == Kind::trimmed) {
    const auto [rest, error] = std::from_chars(begin, end, result.trim);
    if (error != std::errc{} || rest != end || !(result.trim > 0 && result.trim < 0.5))
      throw InvalidInput("--aggregate", word, "trimmed: with a fraction above 0 and below 0.5");
  } else if (result.kind == Kind::krum || result.kind == Kind::multi_krum) {
    const auto [rest, error] = std::from_chars(begin, end, result.faulty);
    if (error != std::errc{} || rest != end || result.faulty < 0)
      throw InvalidInput("--aggregate", word, name + ": with the number of wrong clients");
  } else {
    throw InvalidInput("--aggregate", word, name + " without a number");
  }
  return result;
}

Params Aggregator::combine(std::span<const WeightedParams> terms, const Params& start) const {
  BALLAST_CHECK(!terms.empty());
  const std::size_t n = terms.size();
  if (kind == Kind::mean) return weighted_mean(terms);
  if (kind == Kind::trimmed) {
    const auto cut =
        std::max<std::size_t>(1, static_cast<std::size_t>(std::ceil(trim * static_cast<double>(n))));
    return coordinate_mean(terms, std::min(cut, (n - 1) / 2));
  }
  if (kind == Kind::clipped) {
    std::vector<double> norms;
    for (const auto& term : terms) norms.push_back(update_norm(*term.params, start));
    std::nth_element(norms.begin(), norms.begin() + static_cast<std::ptrdiff_t>(n / 2), norms.end());
    const double clip = norms[n / 2];
    std::vector<Params> cut;
    std::vector<WeightedParams> all;
    cut.reserve(n);
    for (const auto& term : terms) {
      clip_update(cut.emplace_back(*term.params), start, clip);
      all.push_back({&cut.back(), term.weight});
    }
    return weighted_mean(all);
  }
  if (kind == Kind::median || n < static_cast<std::size_t>(faulty) + 3)
    return coordinate_mean(terms, (n - 1) / 2);
  const auto scores = krum_scores(terms, faulty);
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return scores[a] < scores[b]; });
  if (kind == Kind::krum) return *terms[order[0]].params;
  order.resize(n - static_cast<std::size_t>(faulty));
  std::sort(order.begin(), order.end());
  std::vector<WeightedParams> best;
  for (std::size_t i : order) best.push_back(terms[i]);
  return weighted_mean(best);
}

}  // namespace ballast::federate
