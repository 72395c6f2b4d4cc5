// Models of what a piece of work costs, as values: printed, fitted, stored, evaluated.
//
//   cost(inputs) = base(inputs) + sum over inputs of terms[i] * inputs[i]
//
// where the base is one of
//   MaxOfLines    max over lines of (offset + sum of slopes * inputs): a roofline, or several engines of
//   which the
//                 slowest counts (its lines are "what bounds it")
//   Curve         straight pieces over one input, the axis linear or logarithmic (base 2)
//   Grid          a table over several inputs, linear between its cells
//
//   Model m = roofline("decode", {{"compute", "flops", 2e12}, {"memory", "bytes", 40e9}}, 5e-6);
//   m({1e9, 4e7});                     // 1.005e-3 s
//   m.explain({1e9, 4e7});             // {"memory", 1e-3}, {"memory offset", 5e-6}
//   m.largest(0, {0, 4e7}, 2e-3);      // the most flops within 2 ms
//
// A model is non-negative and non-decreasing in every input when its numbers are so; fits (fit.h) give only
// such.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace ballast::cost {

struct Line {
  std::string name;  ///< "compute", "memory", ...
  double offset = 0;
  std::vector<double> slopes;  ///< one an input of the model
};

struct MaxOfLines {
  std::vector<Line> lines;
};

enum class Scale { linear, log2 };

/// Straight pieces between knots (x strictly increasing). Below the first knot its value holds; beyond the
/// last the last piece goes on as a straight line in x.
struct Curve {
  std::size_t input = 0;
  Scale scale = Scale::linear;
  std::vector<double> xs, ys;

  double operator()(double x) const;
};

struct Axis {
  std::size_t input = 0;
  Scale scale = Scale::linear;
  std::vector<double> knots;  ///< strictly increasing
};

/// A rectilinear table, linear between neighbouring cells along every axis. Outside of it the nearest edge
/// holds: ask covers() whether that happened.
struct Grid {
  std::vector<Axis> axes;
  std::vector<double> values;  ///< row-major, the last axis fastest

  double operator()(std::span<const double> inputs) const;
  bool covers(std::span<const double> inputs) const;
};

struct Contribution {
  std::string name;
  double value;
};

/// How well a model foretells: relative errors are |predicted - actual| / actual.
struct Quality {
  std::size_t points = 0;
  double r2 = 0;    ///< 1 - residual / variance, unweighted
  double mape = 0;  ///< mean relative error
  double p95 = 0;   ///< 95th percentile of the relative error
  double worst = 0;
  double under_p95 =
      0;  ///< 95th percentile of (actual - predicted) / predicted: the margin a planner must add
};

struct Model {
  std::string name;
  std::string unit = "s";
  std::string origin = "measured";  ///< measured, published: SOURCE, or assumed
  std::vector<std::string> inputs = {};
  std::variant<MaxOfLines, Curve, Grid> base = MaxOfLines{};
  std::vector<double> terms = {};  ///< one an input; empty: none
  std::optional<Quality> in_sample = {}, held_out = {};

  /// Throws InvalidInput with the name of the part that is wrong: counts that do not fit, knots that do not
  /// rise, numbers that are not finite.
  void check() const;

  /// One value an input, in their order; throws InvalidInput for another number of them.
  double operator()(std::span<const double> values) const;
  double operator()(std::initializer_list<double> values) const {
    return (*this)(std::span(values.begin(), values.size()));
  }

  /// Named parts that sum to the cost; of a max-of-lines base, those of the line that bounds it.
  std::vector<Contribution> explain(std::span<const double> values) const;
  std::vector<Contribution> explain(std::initializer_list<double> values) const {
    return explain(std::span(values.begin(), values.size()));
  }
  /// The name of the line that is largest; the base's kind for the others.
  std::string bound(std::span<const double> values) const;

  /// The largest value of one input, the others as given, at which the cost is at most `limit`: infinity if
  /// it never gets there, nullopt if even 0 costs more. For models that do not fall in that input. Closed
  /// form for lines, bisection to the last bits inside a piece of a curve or grid.
  std::optional<double> largest(std::size_t input, std::span<const double> values, double limit) const;
  std::optional<double> largest(std::size_t input, std::initializer_list<double> values, double limit) const {
    return largest(input, std::span(values.begin(), values.size()), limit);
  }

  std::size_t index_of(const std::string& input) const;  ///< throws InvalidInput naming the nearest
};

/// One limit of a machine: amount of `input` per second.
struct Ceiling {
  std::string name, input;
  double per_second;
};

/// The roofline (Williams, Waterman, Patterson, CACM 52(4), 2009) in time form: overhead + max of amount /
/// rate.
Model roofline(std::string name, const std::vector<Ceiling>& ceilings, double overhead_s = 0,
               std::string origin = "assumed");

}  // namespace ballast::cost
