#include "ballast/data/zipf.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>
#include <vector>

#include "ballast/base/errors.h"
#include "ballast/data/permutation.h"

namespace ballast::data {
namespace {

/// Borders of bins whose expected count is at least `least`: single ranks while they are frequent, then
/// ranges that grow geometrically.
std::vector<std::uint64_t> bin_ends(const Zipf& zipf, double draws, double least = 50) {
  std::vector<std::uint64_t> ends;
  std::uint64_t begin = 0;
  double below = 0;
  while (begin < zipf.n()) {
    std::uint64_t width = 1 + begin / 8, end = begin;
    double mass = 0;
    do {
      end = std::min(zipf.n(), begin + width);
      mass = zipf.cumulative(end - 1) - below;
      width *= 2;
    } while (mass * draws < least && end < zipf.n());
    if (mass * draws < least && !ends.empty()) {
      ends.back() = end;
    } else {
      ends.push_back(end);
    }
    below = zipf.cumulative(end - 1);
    begin = end;
  }
  return ends;
}

struct Law {
  std::uint64_t n;
  double s;
};
void PrintTo(const Law& law, std::ostream* out) {
  *out << "n=" << law.n << " s=" << law.s;
}

class ZipfLaw : public testing::TestWithParam<Law> {};

// Pearson's chi-square against the exact probabilities, at a level at which a right generator fails this test
// about once in 10^5 seeds (the seed is fixed).
TEST_P(ZipfLaw, ChiSquare) {
  const auto [n, s] = GetParam();
  const Zipf zipf(n, s);
  constexpr std::size_t kDraws = 1'000'000;
  std::vector<std::uint64_t> ranks(kDraws);
  zipf.fill(42, 7, 0, ranks);
  const auto ends = bin_ends(zipf, kDraws);
  std::vector<double> seen(ends.size());
  for (const auto rank : ranks) {
    ASSERT_LT(rank, n);
    ++seen[static_cast<std::size_t>(std::upper_bound(ends.begin(), ends.end(), rank) - ends.begin())];
  }
  double chi = 0, below = 0;
  for (std::size_t i = 0; i < ends.size(); ++i) {
    const double upto = zipf.cumulative(ends[i] - 1), expected = (upto - below) * kDraws;
    chi += (seen[i] - expected) * (seen[i] - expected) / expected;
    below = upto;
  }
  EXPECT_NEAR(below, 1.0, 1e-12);
  const double freedom = static_cast<double>(ends.size() - 1);
  // Wilson-Hilferty: (chi/f)^(1/3) is nearly normal; 4.3 standard deviations.
  if (freedom > 0) {
    const double z = (std::cbrt(chi / freedom) - (1 - 2 / (9 * freedom))) / std::sqrt(2 / (9 * freedom));
    EXPECT_LT(z, 4.3) << "chi-square " << chi << " with " << freedom << " degrees of freedom";
  } else {
    EXPECT_EQ(seen[0], kDraws);
  }
}

INSTANTIATE_TEST_SUITE_P(Exponents, ZipfLaw,
                         testing::Values(Law{1, 0.7}, Law{2, 0}, Law{2, 3}, Law{10, 0}, Law{10, 1},
                                         Law{1000, 0.2}, Law{100'000'000, 0}, Law{100'000'000, 0.5},
                                         Law{100'000'000, 0.99}, Law{100'000'000, 0.9999},
                                         Law{100'000'000, 1}, Law{100'000'000, 1.0000001},
                                         Law{100'000'000, 1.2}, Law{100'000'000, 2}, Law{100'000'000, 5},
                                         Law{std::uint64_t{1} << 48, 0.8}, Law{std::uint64_t{1} << 48, 1.1}));

TEST(Zipf, HarmonicNumbersAgreeWithTheirSum) {
  for (const double s : {0.0, 0.3, 0.99, 1.0, 1.2, 2.0, 6.0}) {
    long double sum = 0;
    for (std::uint64_t i = 1; i <= 200'000; ++i) {
      sum += std::pow(static_cast<long double>(i), -static_cast<long double>(s));
      if (i != 1 && i != 64 && i != 65 && i != 1000 && i != 200'000) continue;
      EXPECT_NEAR(harmonic(i, s) / static_cast<double>(sum), 1, 1e-13) << i << " " << s;
    }
  }
}

TEST(Zipf, FillIsIndependentOfTheSplit) {
  const Zipf zipf(1'000'000, 0.99);
  std::vector<std::uint64_t> whole(10'001), parts(10'001);
  zipf.fill(1, 2, 100, whole);
  std::size_t begin = 0;
  for (const std::size_t size : {1, 2, 3, 500, 63, 64, 65, 1000, 8303})
    zipf.fill(1, 2, 100 + begin, std::span(parts).subspan(begin, size)), begin += size;
  EXPECT_EQ(begin, parts.size());
  EXPECT_EQ(whole, parts);
  for (std::size_t i = 0; i < whole.size(); ++i) ASSERT_EQ(whole[i], zipf.at(1, 2, 100 + i)) << i;
  std::vector<std::uint64_t> other(10'001);
  zipf.fill(1, 3, 100, other);
  EXPECT_NE(whole, other);
}

TEST(Zipf, RefusesWhatIsNoLaw) {
  EXPECT_THROW(Zipf(0, 1), InvalidInput);
  EXPECT_THROW(Zipf((std::uint64_t{1} << 48) + 1, 1), InvalidInput);
  EXPECT_THROW(Zipf(10, -0.1), InvalidInput);
  EXPECT_THROW(Zipf(10, std::nan("")), InvalidInput);
  EXPECT_THROW(Zipf(10, HUGE_VAL), InvalidInput);
}

TEST(Permutation, IsABijectionWithItsInverse) {
  for (const std::uint64_t n : {1, 2, 3, 4, 5, 16, 17, 1000, 4096, 4097, 50'000}) {
    const Permutation scatter(n, 9);
    std::vector<bool> hit(n);
    for (std::uint64_t x = 0; x < n; ++x) {
      const std::uint64_t y = scatter(x);
      ASSERT_LT(y, n);
      ASSERT_FALSE(hit[y]) << n;
      hit[y] = true;
      ASSERT_EQ(scatter.inverse(y), x);
    }
  }
}

TEST(Permutation, CoversHugeDomains) {
  for (const std::uint64_t n :
       {std::uint64_t{1} << 33, (std::uint64_t{1} << 62) + 12345, ~std::uint64_t{0}}) {
    const Permutation scatter(n, 5);
    std::set<std::uint64_t> images;
    for (std::uint64_t x = 0; x < 1000; ++x) {
      const std::uint64_t y = scatter(n - 1 - x);
      EXPECT_LT(y, n);
      EXPECT_EQ(scatter.inverse(y), n - 1 - x);
      images.insert(y);
    }
    EXPECT_EQ(images.size(), 1000u);
  }
}

// Neighbouring ranks land in unrelated places: the images of 0..63 fall into the two halves of the domain
// about evenly, for every one of 64 seeds (five standard deviations).
TEST(Permutation, ScattersNeighbours) {
  int upper = 0;
  for (std::uint64_t seed = 0; seed < 64; ++seed) {
    const Permutation scatter(1'000'000, seed);
    for (std::uint64_t x = 0; x < 64; ++x) upper += scatter(x) >= 500'000;
  }
  EXPECT_NEAR(upper, 2048, 5 * 32);
}

}  // namespace
}  // namespace ballast::data
