// Fits of cost models to measured points, all by non-negative least squares, so that a fitted cost never
// falls when its work grows. Points are weighted by 1 / value: a model for planning must be right for small
// work too.
//
//   std::vector<Sample> samples = ...;              // {inputs, seconds}
//   Model m = fit_lines("step", {"tokens", "context"}, samples, {.lines = 2, .line_inputs = {0}});
//   m.held_out->mape;                               // of points that the fit had not seen
//
// Every fit states its quality twice: in_sample on the points that it saw, held_out by k-fold
// cross-validation (each point foretold by a model fitted without its fold). A planner uses held_out.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ballast/cost/model.h"

namespace ballast::cost {

struct Sample {
  std::vector<double> inputs;
  double value;  ///< positive
};

struct FitOptions {
  int lines = 2;                              ///< of a max-of-lines base, at most this many
  std::vector<std::size_t> line_inputs = {};  ///< inputs that the base depends on; empty: the first one
  bool terms = true;          ///< the other inputs enter as additive terms (else they are ignored)
  bool free_offsets = false;  ///< a line's offset may be below zero: a cost whose slope grows with
                              ///< the work (caches that overflow), not a set of engines
  bool relative = true;       ///< weight 1 / value; else all points alike
  int restarts = 20;          ///< random beginnings of the alternation
  double tolerance = 1e-6;    ///< stops when the error falls by less than this share
  int folds = 5;              ///< of the cross-validation; fewer than 2: none is made
  std::uint64_t seed = 1;
};

/// cost = max over lines of (offset + slopes * line_inputs) + terms: alternates between giving each point to
/// its largest line and one least-squares fit of all lines and terms together, from several beginnings; keeps
/// the best. Throws InvalidInput for samples that do not fit the inputs, values that are not positive, or
/// fewer points than unknowns.
Model fit_lines(std::string name, std::vector<std::string> inputs, std::span<const Sample> samples,
                const FitOptions& options = {});

/// cost = non-decreasing straight pieces over one input between the given knots + terms. Knots beyond the
/// samples get the value of the last piece that saw one.
Model fit_curve(std::string name, std::vector<std::string> inputs, std::span<const Sample> samples,
                std::size_t input, Scale scale, std::vector<double> knots, const FitOptions& options = {});

/// Of any model on any points.
Quality quality(const Model& model, std::span<const Sample> samples);

}  // namespace ballast::cost
