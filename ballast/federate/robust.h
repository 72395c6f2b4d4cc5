// Means that a few wrong clients cannot move: what the server makes of the updates of one cluster.
//
//   mean          weighted by samples
//   median        coordinate by coordinate (Yin et al. 2018)
//   trimmed:0.1   coordinate mean without the largest and smallest fraction (at least one of each)
//   krum:F        the update closest to its neighbours (Blanchard et al. 2017), F wrong ones at most
//   multi_krum:F  the mean of the n - F best by Krum's score
//   clipped       mean of updates cut to the median norm
#pragma once

#include <span>
#include <string>

#include "ballast/federate/params.h"

namespace ballast::federate {

struct Aggregator {
  enum class Kind : std::uint8_t { mean, median, trimmed, krum, multi_krum, clipped } kind = Kind::mean;
  double trim = 0.1;
  int faulty = 1;

  /// Throws InvalidInput naming the forms above.
  static Aggregator from_string(const std::string& word);
  /// Whether it must see every update (all but mean).
  bool needs_all() const { return kind != Kind::mean; }
  /// `terms` must not be empty; `start` is what the clients started from. Krum with fewer than faulty + 3
  /// updates falls back to the median.
  Params combine(std::span<const WeightedParams> terms, const Params& start) const;
};

}  // namespace ballast::federate
