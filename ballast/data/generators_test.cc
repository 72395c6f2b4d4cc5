#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "ballast/base/statistics.h"
#include "ballast/data/arrivals.h"
#include "ballast/data/test_files.h"
#include "ballast/data/ycsb.h"

namespace ballast::data {
namespace {

// Values of Java's ZipfianGenerator arithmetic, worked by hand for 1000 items and theta 0.99.
TEST(Ycsb, ZetaIsTheSumAndTheFirstTwoItemsHaveTheirExactShare) {
  const YcsbZipfian zipfian(1000);
  double zeta = 0;
  for (int i = 0; i < 1000; ++i) zeta += 1 / std::pow(i + 1, 0.99);
  EXPECT_EQ(zipfian.zeta(), zeta);
  EXPECT_EQ(zipfian.at(0), 0u);
  EXPECT_EQ(zipfian.at(0.999999 / zeta), 0u);
  EXPECT_EQ(zipfian.at(1.000001 / zeta), 1u);
  const double two = (1 + std::pow(0.5, 0.99)) / zeta;
  EXPECT_EQ(zipfian.at(two * 0.999999), 1u);
  EXPECT_EQ(zipfian.at(two * 1.000001), 2u);
  EXPECT_EQ(zipfian.at(std::nextafter(1.0, 0.0)), 999u);
}

// YCSB's published constant for 10^10 items is what our harmonic numbers give.
TEST(Ycsb, ZetaConstantOfTheScrambledGenerator) {
  EXPECT_NEAR(harmonic(10'000'000'000, 0.99), 26.46902820178302, 1e-9);
}

// FNV-1a of eight zero octets and of the octets of 1, as Utils.fnvhash64 gives them.
TEST(Ycsb, HashIsFnv1aOverEightOctets) {
  const auto fnv = [](std::uint64_t value) {
    internal::uint128 hash = 0xCBF29CE484222325u;
    for (int i = 0; i < 8; ++i, value >>= 8)
      hash = static_cast<std::uint64_t>((hash ^ (value & 0xff)) * internal::uint128{0x100000001b3u});
    const auto sign = static_cast<std::int64_t>(hash);
    return static_cast<std::uint64_t>(sign < 0 ? -sign : sign);
  };
  EXPECT_EQ(ycsb_hash(0), fnv(0));
  EXPECT_EQ(ycsb_hash(0), 6'284'781'860'667'377'211u);
  for (std::uint64_t value : {1ull, 255ull, 1ull << 40, ~0ull}) EXPECT_EQ(ycsb_hash(value), fnv(value));
}

TEST(KeyChooser, EveryLawStaysInRangeAndIsAPureFunction) {
  for (const auto& word : key_law_words()) {
    for (const std::uint64_t records : {2, 3, 1000}) {
      const KeyOptions options{.law = key_law("--law", word), .records = records};
      const KeyChooser keys(options, 5), again(options, 5);
      std::map<std::uint64_t, int> seen;
      for (std::uint64_t i = 0; i < 20'000; ++i) {
        const std::uint64_t key = keys.at(1, i);
        ASSERT_LT(key, records) << word;
        ++seen[key];
        if (i % 100 == 0) {
          ASSERT_EQ(key, again.at(1, i)) << word;
        }
      }
      EXPECT_GT(seen.size(), records > 3 ? 400u : 1u) << word;
    }
  }
  EXPECT_EQ(refusal([] { key_law("--law", "zipfain"); }),
            "--law is 'zipfain'; accepted: uniform, zipf, zipfian, scrambled, latest, hotspot, exponential, "
            "sequential "
            "(did you mean 'zipfian'?)");
}

double share_of(const KeyChooser& keys, auto test) {
  int hits = 0;
  for (std::uint64_t i = 0; i < 100'000; ++i) hits += test(keys.at(0, i));
  return hits / 1e5;
}

TEST(KeyChooser, LawsPutTheirMassWhereTheyShould) {
  const std::uint64_t n = 10'000;
  const KeyChooser hotspot({.law = KeyLaw::hotspot, .records = n, .hot_share = 0.1, .hot_operations = 0.7},
                           1);
  EXPECT_NEAR(share_of(hotspot, [](std::uint64_t k) { return k < 1000; }), 0.7, 0.008);
  const KeyChooser exponential({.law = KeyLaw::exponential, .records = n, .percentile = 95, .fraction = 0.5},
                               1);
  EXPECT_NEAR(share_of(exponential, [](std::uint64_t k) { return k < 5000; }), 0.95 / (1 - 0.05 * 0.05),
              0.005);
  const KeyChooser latest({.law = KeyLaw::latest, .records = n}, 1),
      zipfian({.law = KeyLaw::zipfian, .records = n}, 1);
  const double first = 1 / YcsbZipfian(n).zeta();
  EXPECT_NEAR(share_of(latest, [n](std::uint64_t k) { return k == n - 1; }), first, 0.006);
  EXPECT_NEAR(share_of(zipfian, [](std::uint64_t k) { return k == 0; }), first, 0.006);
  // Exact Zipf: the hottest key is somewhere, and has exactly its share.
  const KeyChooser zipf({.law = KeyLaw::zipf, .records = n, .exponent = 1.2}, 1);
  const std::uint64_t hottest = Permutation(n, 1)(0);
  EXPECT_NEAR(share_of(zipf, [hottest](std::uint64_t k) { return k == hottest; }), 1 / harmonic(n, 1.2),
              0.007);
}

TEST(KeyChooser, RefusesWhatIsNoLaw) {
  EXPECT_THROW(KeyChooser({.records = 0}, 1), InvalidInput);
  EXPECT_EQ(refusal([] { KeyChooser({.law = KeyLaw::zipfian, .records = 10, .exponent = 1.2}, 1); }),
            "exponent of a YCSB zipfian is '1.2'; accepted: between 0 and 1 (the law 'zipf' takes any)");
  EXPECT_THROW(KeyChooser({.law = KeyLaw::hotspot, .records = 10, .hot_share = 0}, 1), InvalidInput);
  EXPECT_THROW(KeyChooser({.law = KeyLaw::exponential, .records = 10, .percentile = 100}, 1), InvalidInput);
}

struct GapFacts {
  double rate, cv;
};
GapFacts gap_facts(const ArrivalLaw& law, double duration_s) {
  const auto times = arrivals_s(law, duration_s, 17);
  std::vector<double> gaps;
  for (std::size_t i = 1; i < times.size(); ++i) gaps.push_back(times[i] - times[i - 1]);
  EXPECT_TRUE(std::is_sorted(times.begin(), times.end()));
  return {static_cast<double>(times.size()) / duration_s, std::sqrt(variance(gaps)) / mean(gaps)};
}

TEST(Arrivals, HaveTheirRateAndTheirVariation) {
  const auto poisson = gap_facts(ArrivalLaw::poisson(5), 20'000);
  EXPECT_NEAR(poisson.rate, 5, 0.08);
  EXPECT_NEAR(poisson.cv, 1, 0.02);
  for (const double cv : {0.3, 1.0, 3.0}) {
    const auto gamma = gap_facts(ArrivalLaw::gamma(5, cv), 20'000);
    EXPECT_NEAR(gamma.rate, 5, 0.05 + 0.06 * cv);
    EXPECT_NEAR(gamma.cv, cv, 0.06 * cv);
  }
  // On-off: mean rate 20 * 0.2 + 0.5 * 0.8 = 4.4 a second, and burstier than Poisson.
  const ArrivalLaw law = ArrivalLaw::on_off(20, 0.5, 2, 8);
  EXPECT_DOUBLE_EQ(law.mean_rate_per_s(), 4.4);
  const auto bursts = gap_facts(law, 100'000);
  EXPECT_NEAR(bursts.rate, 4.4, 0.25);
  EXPECT_GT(bursts.cv, 1.8);
}

// Moments of the gamma law with mean 1: variance 1/shape, third central moment 2/shape^2.
TEST(Arrivals, GammaDrawsHaveTheMomentsOfTheirLaw) {
  for (const double shape : {0.1, 0.5, 1.0, 4.0}) {
    double sum = 0, square = 0, cube = 0;
    constexpr int kDraws = 400'000;
    for (std::uint64_t i = 0; i < kDraws; ++i) {
      const double x = gamma_draw(shape, 1, 2, i);
      sum += x, square += (x - 1) * (x - 1), cube += (x - 1) * (x - 1) * (x - 1);
    }
    EXPECT_NEAR(sum / kDraws, 1, 6 / std::sqrt(shape * kDraws)) << shape;
    EXPECT_NEAR(square / kDraws * shape, 1, 0.05) << shape;
    EXPECT_NEAR(cube / kDraws * shape * shape / 2, 1, 0.25) << shape;
  }
}

TEST(Arrivals, RefuseWhatIsNoLaw) {
  EXPECT_EQ(refusal([] { arrivals_s(ArrivalLaw::poisson(0), 1, 1); }),
            "rate of arrivals is '0'; accepted: a positive number");
  EXPECT_THROW(arrivals_s(ArrivalLaw::gamma(1, -1), 1, 1), InvalidInput);
  EXPECT_THROW(arrivals_s(ArrivalLaw::on_off(1, -1, 1, 1), 1, 1), InvalidInput);
  EXPECT_THROW(arrivals_s(ArrivalLaw::poisson(1e9), 1e9, 1), InvalidInput);
}

}  // namespace
}  // namespace ballast::data
