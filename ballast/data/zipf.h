// Exact Zipf draws of any exponent s >= 0 over up to 2^48 keys, without tables: rejection-inversion (Hormann
// and Derflinger, "Rejection-inversion to generate variates from monotone discrete distributions", ACM TOMACS
// 6(3), 1996). Rank k in {0, ..., n-1} has probability (k+1)^-s / H(n, s). Set-up is O(1); a draw needs one
// logarithm, one exponential and fewer than 1.1 attempts on average.
//
//   Zipf zipf(100'000'000, 0.99);
//   Random random(seed);
//   std::uint64_t rank = zipf(random);        // sequential
//   rank = zipf.at(seed, stream, i);          // draw i of this stream: the same however the work is split
//   zipf.fill(seed, stream, first, ranks);    // ranks[j] = at(seed, stream, first + j), faster
//
// Rank 0 is the most frequent key. To spread hot keys over the key space, map ranks through a Permutation
// (permutation.h).
#pragma once

#include <cstdint>
#include <span>

#include "ballast/base/random.h"

namespace ballast::data {

class Zipf {
 public:
  /// Throws InvalidInput unless 1 <= n <= 2^48 and s is finite and >= 0.
  Zipf(std::uint64_t n, double exponent);

  std::uint64_t n() const { return n_; }
  double exponent() const { return exponent_; }

  std::uint64_t operator()(Random& random) const {
    std::uint64_t rank;
    while (!accept(random.uniform(), rank)) {
    }
    return rank;
  }

  /// Draw `index` of `stream`: a pure function of (seed, stream, index) and the law.
  std::uint64_t at(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) const;

  /// ranks[j] = at(seed, stream, first + j).
  void fill(std::uint64_t seed, std::uint64_t stream, std::uint64_t first,
            std::span<std::uint64_t> ranks) const;

  /// The exact law: P(rank), and P(rank' <= rank); relative error below 1e-12.
  double probability(std::uint64_t rank) const;
  double cumulative(std::uint64_t rank) const;

 private:
  bool accept(double uniform, std::uint64_t& rank) const;
  double inverse(double u) const;
  double integral(double x) const;

  std::uint64_t n_;
  double exponent_, one_minus_s_, inverse_one_minus_s_;
  double low_, span_;      // u = low_ + uniform * span_, H(n + 1/2) down to H(3/2) - 1
  double surely_;          // k - x <= surely_ is accepted without a further look
  bool direct_;            // s is so far from 1 that x^(1-s) is drawn itself
  double t_low_, t_span_;  // its range
};

/// The generalised harmonic number sum over i = 1..n of i^-s, by Euler-Maclaurin summation; relative error
/// below 1e-13.
double harmonic(std::uint64_t n, double s);

}  // namespace ballast::data
