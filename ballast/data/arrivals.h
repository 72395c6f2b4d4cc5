// Arrival processes: when requests come, from calm to bursty.
//
//   ArrivalLaw::poisson(5)              gaps of coefficient of variation 1
//   ArrivalLaw::gamma(5, 3)             the same rate, gaps of coefficient of variation 3
//   ArrivalLaw::on_off(20, 0.5, 2, 8)   Markov-modulated Poisson: 20/s for 2 s on average, then 0.5/s for 8 s
//
//   std::vector<double> times = arrivals_s(ArrivalLaw::gamma(5, 3), 60.0, seed);
//
// Gap i (of on-off: period i) is a pure function of (seed, stream, i).
#pragma once

#include <cstdint>
#include <vector>

namespace ballast::data {

struct ArrivalLaw {
  enum class Kind { poisson, gamma, on_off };
  Kind kind = Kind::poisson;
  double rate_per_s = 1;      ///< mean rate of Poisson and gamma; the on-rate of on-off
  double cv = 1;              ///< gamma: coefficient of variation of the gaps
  double off_rate_per_s = 0;  ///< on-off
  double on_mean_s = 1, off_mean_s = 1;

  static ArrivalLaw poisson(double rate_per_s) { return {.kind = Kind::poisson, .rate_per_s = rate_per_s}; }
  static ArrivalLaw gamma(double rate_per_s, double cv) {
    return {.kind = Kind::gamma, .rate_per_s = rate_per_s, .cv = cv};
  }
  static ArrivalLaw on_off(double on_rate_per_s, double off_rate_per_s, double on_mean_s, double off_mean_s) {
    return {.kind = Kind::on_off,
            .rate_per_s = on_rate_per_s,
            .off_rate_per_s = off_rate_per_s,
            .on_mean_s = on_mean_s,
            .off_mean_s = off_mean_s};
  }
  double mean_rate_per_s() const;
};

/// All arrivals in [0, duration_s), ascending. Throws InvalidInput for a law without a positive mean rate, or
/// one that would give more than 10^9 arrivals.
std::vector<double> arrivals_s(const ArrivalLaw& law, double duration_s, std::uint64_t seed,
                               std::uint64_t stream = 0);

/// One draw of the gamma law of this shape and mean 1 (Marsaglia and Tsang, "A simple method for generating
/// gamma variables", ACM TOMS 26(3), 2000): a pure function of its arguments.
double gamma_draw(double shape, std::uint64_t seed, std::uint64_t stream, std::uint64_t index);

}  // namespace ballast::data
