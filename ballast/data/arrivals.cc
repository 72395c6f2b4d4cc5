#include "ballast/data/arrivals.h"

#include <fmt/format.h>

#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"

namespace ballast::data {
namespace {

/// The draws that belong to (seed, stream, index) alone.
Random keyed(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  return Random(mix64(seed ^ mix64(stream)), index);
}

void require_positive(const char* what, double value) {
  if (!(value > 0) || !std::isfinite(value))
    throw InvalidInput(what, fmt::format("{}", value), "a positive number");
}

}  // namespace

double ArrivalLaw::mean_rate_per_s() const {
  if (kind != Kind::on_off) return rate_per_s;
  return (rate_per_s * on_mean_s + off_rate_per_s * off_mean_s) / (on_mean_s + off_mean_s);
}

double gamma_draw(double shape, std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  Random random = keyed(seed, stream, index);
  // A shape below 1 is lifted above it and brought back by a power of a uniform number.
  const double lifted = shape < 1 ? shape + 1 : shape;
  const double d = lifted - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double z = random.normal(), v = std::pow(1 + c * z, 3);
    if (v <= 0) continue;
    const double u = 1 - random.uniform();
    if (std::log(u) >= 0.5 * z * z + d - d * v + d * std::log(v)) continue;
    const double value = shape < 1 ? d * v * std::pow(1 - random.uniform(), 1 / shape) : d * v;
    return value / shape;
  }
}

std::vector<double> arrivals_s(const ArrivalLaw& law, double duration_s, std::uint64_t seed,
                               std::uint64_t stream) {
  require_positive("duration of arrivals", duration_s);
  require_positive("rate of arrivals", law.rate_per_s);
  if (law.mean_rate_per_s() * duration_s > 1e9)
    throw InvalidInput("arrivals", fmt::format("{:.3g}", law.mean_rate_per_s() * duration_s), "up to 1e9");
  std::vector<double> times;
  if (law.kind == ArrivalLaw::Kind::on_off) {
    require_positive("mean duration of the on-state", law.on_mean_s);
    require_positive("mean duration of the off-state", law.off_mean_s);
    if (!(law.off_rate_per_s >= 0))
      throw InvalidInput("rate of the off-state", fmt::format("{}", law.off_rate_per_s), "at least 0");
    double begin = 0;
    for (std::uint64_t period = 0; begin < duration_s; ++period) {
      Random random = keyed(seed, stream, period);
      const bool on = period % 2 == 0;
      const double rate = on ? law.rate_per_s : law.off_rate_per_s;
      const double end = begin + random.exponential() * (on ? law.on_mean_s : law.off_mean_s);
      if (rate > 0) {
        for (double now = begin + random.exponential() / rate; now < std::min(end, duration_s);
             now += random.exponential() / rate)
          times.push_back(now);
      }
      begin = end;
    }
    return times;
  }
  if (law.kind == ArrivalLaw::Kind::gamma) require_positive("coefficient of variation", law.cv);
  double now = 0;
  for (std::uint64_t i = 0;; ++i) {
    const double gap = law.kind == ArrivalLaw::Kind::gamma
                           ? gamma_draw(1 / (law.cv * law.cv), seed, stream, i)
                           : keyed(seed, stream, i).exponential();
    now += gap / law.rate_per_s;
    if (now >= duration_s) return times;
    times.push_back(now);
  }
}

}  // namespace ballast::data
