#include "ballast/cost/nnls.h"

#include <fmt/format.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

#include "ballast/base/errors.h"

namespace ballast::cost {
namespace {

using Eigen::Index;

// The unconstrained least-squares solution on the chosen columns.
Eigen::VectorXd solve(const Eigen::MatrixXd& a, const Eigen::VectorXd& b, const std::vector<Index>& columns) {
  Eigen::MatrixXd part(a.rows(), static_cast<Index>(columns.size()));
  for (std::size_t k = 0; k < columns.size(); ++k) part.col(static_cast<Index>(k)) = a.col(columns[k]);
  return part.colPivHouseholderQr().solve(b);
}

}  // namespace

Nnls nnls(const Matrix& matrix, std::span<const double> right) {
  if (matrix.values.size() != matrix.rows * matrix.cols || right.size() != matrix.rows) {
    throw InvalidInput(fmt::format("least squares: {} numbers for {} x {} and {} on the right",
                                   matrix.values.size(), matrix.rows, matrix.cols, right.size()));
  }
  const auto finite = [](double v) { return std::isfinite(v); };
  if (!std::all_of(matrix.values.begin(), matrix.values.end(), finite) ||
      !std::all_of(right.begin(), right.end(), finite)) {
    throw InvalidInput("least squares: a number is not finite");
  }
  const auto rows = static_cast<Index>(matrix.rows), cols = static_cast<Index>(matrix.cols);
  using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  Eigen::MatrixXd a = Eigen::Map<const RowMajor>(matrix.values.data(), rows, cols);
  const Eigen::VectorXd b = Eigen::Map<const Eigen::VectorXd>(right.data(), rows);

  // Columns of one length, so that one tolerance fits seconds a byte and seconds a batch alike; a positive
  // factor does not change what is non-negative.
  Eigen::VectorXd scale(cols);
  for (Index j = 0; j < cols; ++j) {
    scale(j) = a.col(j).norm();
    if (scale(j) > 0) a.col(j) /= scale(j);
  }
  const double tolerance = 1e-12 * (b.norm() + 1e-300);

  Eigen::VectorXd x = Eigen::VectorXd::Zero(cols);
  std::vector<bool> passive(static_cast<std::size_t>(cols), false);  // unknowns that may be above zero
  Nnls result;
  for (Index step = 0;; ++step) {
    const Eigen::VectorXd gradient = a.transpose() * (b - a * x);
    Index best = -1;
    for (Index j = 0; j < cols; ++j) {
      if (!passive[static_cast<std::size_t>(j)] && scale(j) > 0 && gradient(j) > tolerance &&
          (best < 0 || gradient(j) > gradient(best)))
        best = j;
    }
    if (best < 0) break;
    if (step >= 10 * cols) {
      result.converged = false;
      break;
    }
    passive[static_cast<std::size_t>(best)] = true;
    for (;;) {
      std::vector<Index> columns;
      for (Index j = 0; j < cols; ++j)
        if (passive[static_cast<std::size_t>(j)]) columns.push_back(j);
      if (columns.empty()) break;
      const Eigen::VectorXd z = solve(a, b, columns);
      // Walk from x towards z until the first unknown would cross zero; it leaves the passive set.
      double step_length = 1;
      Index blocking = -1;
      for (std::size_t k = 0; k < columns.size(); ++k) {
        const Index j = columns[k];
        const double target = z(static_cast<Index>(k));
        if (target > 0) continue;
        const double length = x(j) > 0 ? x(j) / (x(j) - target) : 0;
        if (blocking < 0 || length < step_length) step_length = length, blocking = j;
      }
      for (std::size_t k = 0; k < columns.size(); ++k)
        x(columns[k]) += step_length * (z(static_cast<Index>(k)) - x(columns[k]));
      if (blocking < 0) break;
      x(blocking) = 0;
      for (const Index j : columns) {
        if (x(j) <= 0) {
          x(j) = 0;
          passive[static_cast<std::size_t>(j)] = false;
        }
      }
    }
  }
  result.residual = (b - a * x).norm();
  for (Index j = 0; j < cols; ++j) result.x.push_back(scale(j) > 0 ? x(j) / scale(j) : 0);
  return result;
}

}  // namespace ballast::cost
