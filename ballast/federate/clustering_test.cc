#include "ballast/federate/clustering.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "ballast/base/random.h"
#include "ballast/federate/engine.h"
#include "ballast/federate/feddrift.h"

namespace ballast::federate {
namespace {

DistanceMatrix random_distances(std::size_t n, Random& random) {
  DistanceMatrix d(n, std::vector<double>(n, 0));
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = i + 1; j < n; ++j) d[i][j] = d[j][i] = random.uniform();
  }
  return d;
}

// The distance between two groups by its definition.
double linkage_distance(const DistanceMatrix& d, const std::vector<std::size_t>& a,
                        const std::vector<std::size_t>& b, Linkage linkage) {
  double most = 0, least = std::numeric_limits<double>::infinity(), sum = 0;
  for (std::size_t i : a) {
    for (std::size_t j : b) {
      most = std::max(most, d[i][j]);
      least = std::min(least, d[i][j]);
      sum += d[i][j];
    }
  }
  if (linkage == Linkage::complete) return most;
  if (linkage == Linkage::single) return least;
  return sum / static_cast<double>(a.size() * b.size());
}

// Replays the merges from the definition: each must join the closest pair, and none within the threshold may
// be left.
TEST(Clustering, EveryMergeJoinsTheClosestPair) {
  Random random(21);
  for (int trial = 0; trial < 300; ++trial) {
    const auto linkage = static_cast<Linkage>(trial % 3);
    const std::size_t n = 2 + random.below(12);
    const auto d = random_distances(n, random);
    const double threshold = random.uniform();
    const auto result = agglomerate(d, linkage, threshold);
    std::vector<std::vector<std::size_t>> groups(n);
    for (std::size_t i = 0; i < n; ++i) groups[i] = {i};
    double last = 0;
    const auto closest = [&] {
      double least = std::numeric_limits<double>::infinity();
      for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = i + 1; j < n; ++j) {
          if (!groups[i].empty() && !groups[j].empty())
            least = std::min(least, linkage_distance(d, groups[i], groups[j], linkage));
        }
      }
      return least;
    };
    for (const auto& merge : result.merges) {
      EXPECT_NEAR(merge.height, closest(), 1e-12);
      EXPECT_LE(merge.height, threshold);
      EXPECT_GE(merge.height, last - 1e-12);  // monotone for these three linkages
      last = merge.height;
      groups[merge.first].insert(groups[merge.first].end(), groups[merge.second].begin(),
                                 groups[merge.second].end());
      groups[merge.second].clear();
    }
    EXPECT_GT(closest(), threshold);
  }
}

TEST(ModelDistances, SymmetricWithZeroDiagonalAndInfiniteWhereUnknown) {
  Random random(3);
  std::vector<std::vector<double>> scores(6, std::vector<double>(6));
  for (auto& row : scores) {
    for (double& s : row) s = random.uniform();
  }
  scores[2][4] = std::nan("");
  for (bool distance_b : {false, true}) {
    const auto d = model_distances(scores, distance_b);
    for (std::size_t i = 0; i < 6; ++i) {
      EXPECT_EQ(d[i][i], 0);
      for (std::size_t j = 0; j < 6; ++j) {
        EXPECT_EQ(d[i][j], d[j][i]);
        EXPECT_GE(d[i][j], 0);
      }
    }
    EXPECT_TRUE(std::isinf(d[2][4]));
  }
}

// Hubert and Arabie's definition by counting pairs.
TEST(RandIndex, EqualsItsDefinitionByPairs) {
  Random random(8);
  for (int trial = 0; trial < 50; ++trial) {
    const std::size_t n = 5 + random.below(20);
    std::vector<int> a(n), b(n);
    for (std::size_t i = 0; i < n; ++i) {
      a[i] = static_cast<int>(random.below(3));
      b[i] = static_cast<int>(random.below(4));
    }
    double both = 0, only_a = 0, only_b = 0, total = 0;
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = i + 1; j < n; ++j) {
        both += a[i] == a[j] && b[i] == b[j] ? 1 : 0;
        only_a += a[i] == a[j] ? 1 : 0;
        only_b += b[i] == b[j] ? 1 : 0;
        total += 1;
      }
    }
    const double expected = only_a * only_b / total;
    EXPECT_NEAR(adjusted_rand_index(a, b), (both - expected) / ((only_a + only_b) / 2 - expected), 1e-12);
    EXPECT_EQ(adjusted_rand_index(a, a), 1.0);
  }
}

}  // namespace
}  // namespace ballast::federate
