#include "ballast/cost/nnls.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"

namespace ballast::cost {
namespace {

constexpr std::uint64_t kSeed = 4711;  // of every problem below

Matrix random_matrix(Random& random, std::size_t rows, std::size_t cols) {
  Matrix a{rows, cols};
  for (std::size_t i = 0; i < rows * cols; ++i) a.values.push_back(random.normal());
  return a;
}

std::vector<double> residual(const Matrix& a, const std::vector<double>& b, const std::vector<double>& x) {
  std::vector<double> r = b;
  for (std::size_t i = 0; i < a.rows; ++i)
    for (std::size_t j = 0; j < a.cols; ++j) r[i] -= a(i, j) * x[j];
  return r;
}

double norm(const std::vector<double>& v) {
  double sum = 0;
  for (double x : v) sum += x * x;
  return std::sqrt(sum);
}

// The conditions of Karush, Kuhn and Tucker are necessary and sufficient here, whatever method found x.
TEST(Nnls, MeetsTheOptimalityConditions) {
  Random random(kSeed);
  for (int trial = 0; trial < 200; ++trial) {
    const std::size_t rows = 1 + random.below(20), cols = 1 + random.below(12);
    const Matrix a = random_matrix(random, rows, cols);
    std::vector<double> b;
    for (std::size_t i = 0; i < rows; ++i) b.push_back(random.normal());
    const Nnls fit = nnls(a, b);
    ASSERT_TRUE(fit.converged);
    const auto r = residual(a, b, fit.x);
    EXPECT_NEAR(norm(r), fit.residual, 1e-9);
    for (std::size_t j = 0; j < cols; ++j) {
      double gradient = 0, length = 0;
      for (std::size_t i = 0; i < rows; ++i) gradient += a(i, j) * r[i], length += a(i, j) * a(i, j);
      const double tolerance = 1e-8 * std::sqrt(length) * (1 + norm(b));
      ASSERT_GE(fit.x[j], 0);
      if (fit.x[j] > 0) {
        EXPECT_NEAR(gradient, 0, tolerance) << "trial " << trial;
      } else {
        EXPECT_LE(gradient, tolerance) << "trial " << trial;
      }
    }
  }
}

// No better point on a lattice, for problems small enough to try all.
TEST(Nnls, NoLatticePointIsBetter) {
  Random random(kSeed, 1);
  for (int trial = 0; trial < 20; ++trial) {
    const Matrix a = random_matrix(random, 4, 2);
    std::vector<double> b;
    for (int i = 0; i < 4; ++i) b.push_back(random.normal());
    const double best = nnls(a, b).residual;
    for (int i = 0; i <= 60; ++i)
      for (int j = 0; j <= 60; ++j) EXPECT_GE(norm(residual(a, b, {0.05 * i, 0.05 * j})), best - 1e-12);
  }
}

TEST(Nnls, FindsWhatMadeTheDataAcrossMagnitudes) {
  Random random(kSeed, 2);
  // Seconds a batch, seconds a byte: nine decades apart.
  const std::vector<double> truth{5e-3, 2e-9, 0, 7e-6};
  Matrix a{40, 4};
  std::vector<double> b;
  for (std::size_t i = 0; i < 40; ++i) {
    const std::vector<double> row{1, random.uniform(0, 1e8), random.uniform(0, 1e3), random.uniform(0, 1e5)};
    double sum = 0;
    for (std::size_t j = 0; j < 4; ++j) sum += row[j] * truth[j];
    a.values.insert(a.values.end(), row.begin(), row.end());
    b.push_back(sum);
  }
  const auto x = nnls(a, b).x;
  for (std::size_t j = 0; j < 4; ++j) EXPECT_NEAR(x[j], truth[j], 1e-9 * truth[j] + 1e-15) << j;
}

TEST(Nnls, EndsOnDegenerateProblems) {
  EXPECT_EQ(nnls({2, 1, {1, 1}}, std::vector{-1.0, -1.0}).x, (std::vector{0.0}));
  EXPECT_EQ(nnls({2, 1, {0, 0}}, std::vector{1.0, 1.0}).x, (std::vector{0.0}));
  const Nnls twins = nnls({2, 2, {1, 1, 1, 1}}, std::vector{2.0, 2.0});  // equal columns: any split
  EXPECT_NEAR(twins.x[0] + twins.x[1], 2, 1e-12);
  EXPECT_TRUE(nnls({0, 0, {}}, {}).x.empty());
  EXPECT_THROW(nnls({2, 1, {1}}, std::vector{1.0, 1.0}), InvalidInput);
  EXPECT_THROW(nnls({1, 1, {std::nan("")}}, std::vector{1.0}), InvalidInput);
}

}  // namespace
}  // namespace ballast::cost
