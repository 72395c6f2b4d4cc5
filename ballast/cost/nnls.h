// Least squares with non-negative unknowns: min |A x - b| over x >= 0, by the active-set method of Lawson and
// Hanson
// ("Solving Least Squares Problems", 1974, chapter 23). Costs and rates are not negative, so a fit that may
// not go below zero neither invents credits nor lets two terms cancel each other.
//
//   const Nnls fit = nnls({.rows = 3, .cols = 1, .values = {1, 2, 3}}, std::vector{2.0, 4.0, 6.0});   //
//   fit.x = {2}
//
// Cost: a QR factorisation of at most rows x cols a step, about as many steps as unknowns that end above
// zero.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace ballast::cost {

/// Row-major.
struct Matrix {
  std::size_t rows = 0, cols = 0;
  std::vector<double> values = {};

  double& operator()(std::size_t row, std::size_t col) { return values[row * cols + col]; }
  double operator()(std::size_t row, std::size_t col) const { return values[row * cols + col]; }
};

struct Nnls {
  std::vector<double> x;
  double residual = 0;    ///< |A x - b|
  bool converged = true;  ///< false: stopped after 10 steps an unknown; x is feasible, not optimal
};

/// Throws InvalidInput when the sizes do not fit or a number is not finite.
Nnls nnls(const Matrix& a, std::span<const double> b);

}  // namespace ballast::cost
