#include "ballast/data/zipf.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "ballast/base/errors.h"

namespace ballast::data {
namespace {

constexpr std::uint64_t kMostKeys = std::uint64_t{1} << 48;

double to_uniform(std::uint32_t low, std::uint32_t high) {
  return static_cast<double>((low | std::uint64_t{high} << 32) >> 11) * 0x1p-53;
}

}  // namespace

// H is an antiderivative of x^-s with H(1) = 0, that is log(x) * (exp(t) - 1) / t for t = (1 - s) log(x).
// A point x with density proportional to x^-s on [~1/2, n + 1/2] is H^-1 of a uniform number; it is rounded
// to the nearest key k and kept when it lies in the part of k's interval whose area is exactly k^-s.
Zipf::Zipf(std::uint64_t n, double exponent)
    : n_(n), exponent_(exponent), one_minus_s_(1.0 - exponent), inverse_one_minus_s_(1.0 / one_minus_s_) {
  if (n == 0 || n > kMostKeys)
    throw InvalidInput("number of keys", std::to_string(n), fmt::format("1 to {}", kMostKeys));
  if (!std::isfinite(exponent) || exponent < 0)
    throw InvalidInput("Zipf exponent", fmt::format("{}", exponent), "a finite number of at least 0");
  low_ = integral(static_cast<double>(n) + 0.5);
  span_ = integral(1.5) - 1.0 - low_;
  surely_ = 2.0 - inverse(integral(2.5) - std::pow(2.0, -exponent));
  direct_ = std::abs(one_minus_s_) > 1e-3;
  t_low_ = std::exp(one_minus_s_ * std::log(static_cast<double>(n) + 0.5));
  t_span_ = one_minus_s_ * span_;
}

double Zipf::integral(double x) const {
  const double log_x = std::log(x), t = one_minus_s_ * log_x;
  return log_x * (std::abs(t) > 1e-8 ? std::expm1(t) / t : 1.0 + t * 0.5 * (1.0 + t / 3.0));
}

double Zipf::inverse(double u) const {
  const double t = std::max(-1.0, u * one_minus_s_);
  return std::exp(std::abs(t) > 1e-8 ? std::log1p(t) / t * u : u * (1.0 - t * (0.5 - t / 3.0)));
}

bool Zipf::accept(double uniform, std::uint64_t& rank) const {
  const double u = low_ + uniform * span_;
  double x;
  if (direct_) {
    // 1 + (1-s) u without the detour through H; for s > 1 rounding may touch 0, where x is beyond every key.
    const double t = t_low_ + uniform * t_span_;
    x = t > 0 ? std::exp(std::log(t) * inverse_one_minus_s_) : static_cast<double>(n_);
  } else {
    x = inverse(u);
  }
  const double most = static_cast<double>(n_);
  const double k = std::clamp(std::floor(x + 0.5), 1.0, most);
  rank = static_cast<std::uint64_t>(k) - 1;
  return k - x <= surely_ || u >= integral(k + 0.5) - std::exp(-exponent_ * std::log(k));
}

std::uint64_t Zipf::at(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) const {
  std::uint64_t key = seed;
  for (std::uint64_t block = 1;; ++block) {
    const auto words = philox(key, index, stream);
    std::uint64_t rank;
    if (accept(to_uniform(words[0], words[1]), rank)) return rank;
    if (accept(to_uniform(words[2], words[3]), rank)) return rank;
    key = mix64(seed + block);
  }
}

void Zipf::fill(std::uint64_t seed, std::uint64_t stream, std::uint64_t first,
                std::span<std::uint64_t> ranks) const {
  for (std::size_t j = 0; j < ranks.size(); ++j) ranks[j] = at(seed, stream, first + j);
}

double Zipf::probability(std::uint64_t rank) const {
  BALLAST_CHECK(rank < n_);
  return std::pow(static_cast<double>(rank + 1), -exponent_) / harmonic(n_, exponent_);
}

double Zipf::cumulative(std::uint64_t rank) const {
  BALLAST_CHECK(rank < n_);
  return harmonic(rank + 1, exponent_) / harmonic(n_, exponent_);
}

double harmonic(std::uint64_t n, double s) {
  // The first terms one by one, smallest first; the rest as integral + corrections, whose error falls as
  // kDirect^-(s+7).
  constexpr std::uint64_t kDirect = 64;
  double sum = 0;
  for (std::uint64_t i = std::min(n, kDirect); i >= 1; --i) sum += std::pow(static_cast<double>(i), -s);
  if (n <= kDirect) return sum;
  const double a = kDirect, b = static_cast<double>(n);
  const double t = (1.0 - s) * std::log(b / a);
  const double integral =
      std::pow(a, 1.0 - s) * std::log(b / a) * (std::abs(t) > 1e-8 ? std::expm1(t) / t : 1.0 + t / 2);
  const auto corrections = [s](double x) {
    const double f = std::pow(x, -s);
    return f / 2 - s * f / (12 * x) + s * (s + 1) * (s + 2) * f / (720 * x * x * x) -
           s * (s + 1) * (s + 2) * (s + 3) * (s + 4) * f / (30240 * x * x * x * x * x);
  };
  // sum over a < i <= b of f = integral + [f/2 + f'/12 - f'''/720 + f'''''/30240] from a to b.
  return sum + integral + corrections(b) - corrections(a);
}

}  // namespace ballast::data
