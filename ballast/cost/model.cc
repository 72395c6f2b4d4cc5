#include "ballast/cost/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"

namespace ballast::cost {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double scaled(Scale scale, double x) {
  return scale == Scale::log2 ? std::log2(x) : x;
}

double value_of(const Line& line, std::span<const double> values) {
  double sum = line.offset;
  for (std::size_t i = 0; i < line.slopes.size(); ++i) sum += line.slopes[i] * values[i];
  return sum;
}

const Line& bounding(const MaxOfLines& base, std::span<const double> values) {
  const Line* best = &base.lines.front();
  for (const Line& line : base.lines)
    if (value_of(line, values) > value_of(*best, values)) best = &line;
  return *best;
}

// Where x lies among the knots: the piece's index and the share of it, 0 to 1.
std::pair<std::size_t, double> locate(const std::vector<double>& knots, Scale scale, double x) {
  if (knots.size() == 1 || !(x > knots.front())) return {0, 0.0};
  if (x >= knots.back()) return {knots.size() - 2, 1.0};
  const auto above =
      static_cast<std::size_t>(std::upper_bound(knots.begin(), knots.end(), x) - knots.begin());
  const double low = scaled(scale, knots[above - 1]), high = scaled(scale, knots[above]);
  return {above - 1, (scaled(scale, x) - low) / (high - low)};
}

void require_rising(const std::string& where, const std::vector<double>& knots, Scale scale) {
  if (knots.empty()) throw InvalidInput(where + " has no knots");
  for (std::size_t i = 0; i < knots.size(); ++i) {
    if (!std::isfinite(knots[i]) || (i > 0 && knots[i] <= knots[i - 1]))
      throw InvalidInput(
          fmt::format("{}: knot {} is {}; accepted: finite numbers, each larger than the one before", where,
                      i + 1, knots[i]));
  }
  if (scale == Scale::log2 && knots.front() <= 0)
    throw InvalidInput(where + ": a logarithmic axis needs positive knots");
}

void require_finite(const std::string& where, const std::vector<double>& numbers) {
  for (const double v : numbers)
    if (!std::isfinite(v)) throw InvalidInput(fmt::format("{}: {} is not a finite number", where, v));
}

void require_input(const std::string& where, std::size_t input, std::size_t count) {
  if (input >= count)
    throw InvalidInput(fmt::format("{}: input {} of a model with {}", where, input + 1, count));
}

}  // namespace

double Curve::operator()(double x) const {
  if (xs.size() > 1 && x > xs.back()) {
    const std::size_t n = xs.size();
    return ys[n - 1] + (x - xs[n - 1]) * (ys[n - 1] - ys[n - 2]) / (xs[n - 1] - xs[n - 2]);
  }
  const auto [piece, share] = locate(xs, scale, x);
  return share == 0 ? ys[piece] : ys[piece] + share * (ys[piece + 1] - ys[piece]);
}

double Grid::operator()(std::span<const double> inputs) const {
  // Every corner of the cell, weighted by its nearness along each axis.
  struct Place {
    std::size_t index, stride;
    double share;
  };
  std::vector<Place> places(axes.size());
  std::size_t stride = 1;
  for (std::size_t a = axes.size(); a-- > 0;) {
    const auto [index, share] = locate(axes[a].knots, axes[a].scale, inputs[axes[a].input]);
    places[a] = {index, stride, share};
    stride *= axes[a].knots.size();
  }
  double sum = 0;
  for (std::size_t corner = 0; corner < std::size_t{1} << axes.size(); ++corner) {
    double weight = 1;
    std::size_t at = 0;
    for (std::size_t a = 0; a < axes.size(); ++a) {
      const bool upper = (corner >> a & 1) != 0;
      weight *= upper ? places[a].share : 1 - places[a].share;
      at += (places[a].index + (upper ? 1 : 0)) * places[a].stride;
    }
    if (weight != 0) sum += weight * values[at];
  }
  return sum;
}

bool Grid::covers(std::span<const double> inputs) const {
  return std::all_of(axes.begin(), axes.end(), [&](const Axis& axis) {
    return inputs[axis.input] >= axis.knots.front() && inputs[axis.input] <= axis.knots.back();
  });
}

void Model::check() const {
  if (inputs.empty()) throw InvalidInput(fmt::format("model '{}' has no inputs", name));
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (std::find(inputs.begin(), inputs.begin() + static_cast<std::ptrdiff_t>(i), inputs[i]) !=
        inputs.begin() + static_cast<std::ptrdiff_t>(i))
      throw InvalidInput(fmt::format("model '{}' names input '{}' twice", name, inputs[i]));
  }
  if (!terms.empty() && terms.size() != inputs.size())
    throw InvalidInput(
        fmt::format("model '{}' has {} terms for {} inputs", name, terms.size(), inputs.size()));
  require_finite(fmt::format("terms of model '{}'", name), terms);
  if (const auto* max = std::get_if<MaxOfLines>(&base)) {
    if (max->lines.empty()) throw InvalidInput(fmt::format("model '{}' has no lines", name));
    for (const Line& line : max->lines) {
      const auto where = fmt::format("line '{}' of model '{}'", line.name, name);
      if (line.slopes.size() != inputs.size())
        throw InvalidInput(
            fmt::format("{} has {} slopes for {} inputs", where, line.slopes.size(), inputs.size()));
      require_finite(where, line.slopes);
      require_finite(where, {line.offset});
    }
  } else if (const auto* curve = std::get_if<Curve>(&base)) {
    const auto where = fmt::format("curve of model '{}'", name);
    require_input(where, curve->input, inputs.size());
    require_rising(where, curve->xs, curve->scale);
    require_finite(where, curve->ys);
    if (curve->xs.size() != curve->ys.size())
      throw InvalidInput(
          fmt::format("{} has {} knots and {} values", where, curve->xs.size(), curve->ys.size()));
  } else {
    const Grid& grid = std::get<Grid>(base);
    std::size_t cells = 1;
    if (grid.axes.empty() || grid.axes.size() > 8)
      throw InvalidInput(
          fmt::format("grid of model '{}' has {} axes; accepted: 1 to 8", name, grid.axes.size()));
    for (const Axis& axis : grid.axes) {
      const auto where = fmt::format("grid of model '{}'", name);
      require_input(where, axis.input, inputs.size());
      require_rising(where, axis.knots, axis.scale);
      cells *= axis.knots.size();
    }
    require_finite(fmt::format("grid of model '{}'", name), grid.values);
    if (grid.values.size() != cells)
      throw InvalidInput(
          fmt::format("grid of model '{}' has {} values for {} cells", name, grid.values.size(), cells));
  }
}

double Model::operator()(std::span<const double> values) const {
  if (values.size() != inputs.size())
    throw InvalidInput(fmt::format("model '{}' takes {} inputs, not {}", name, inputs.size(), values.size()));
  double sum = 0;
  for (std::size_t i = 0; i < terms.size(); ++i) sum += terms[i] * values[i];
  if (const auto* max = std::get_if<MaxOfLines>(&base)) {
    double largest_line = -kInfinity;
    for (const Line& line : max->lines) largest_line = std::max(largest_line, value_of(line, values));
    return largest_line + sum;
  }
  if (const auto* curve = std::get_if<Curve>(&base)) return (*curve)(values[curve->input]) + sum;
  return std::get<Grid>(base)(values) + sum;
}

std::string Model::bound(std::span<const double> values) const {
  if (const auto* max = std::get_if<MaxOfLines>(&base)) return bounding(*max, values).name;
  return std::holds_alternative<Curve>(base) ? "curve" : "grid";
}

std::vector<Contribution> Model::explain(std::span<const double> values) const {
  (*this)(values);  // checks the count
  std::vector<Contribution> parts;
  const auto add = [&](std::string part, double value) {
    if (value != 0) parts.push_back({std::move(part), value});
  };
  if (const auto* max = std::get_if<MaxOfLines>(&base)) {
    const Line& line = bounding(*max, values);
    add(line.name + ": offset", line.offset);
    for (std::size_t i = 0; i < line.slopes.size(); ++i)
      add(line.name + ": " + inputs[i], line.slopes[i] * values[i]);
  } else if (const auto* curve = std::get_if<Curve>(&base)) {
    add("curve: " + inputs[curve->input], (*curve)(values[curve->input]));
  } else {
    add("grid", std::get<Grid>(base)(values));
  }
  for (std::size_t i = 0; i < terms.size(); ++i) add(inputs[i], terms[i] * values[i]);
  return parts;
}

std::optional<double> Model::largest(std::size_t input, std::span<const double> values, double limit) const {
  std::vector<double> at(values.begin(), values.end());
  require_input(fmt::format("model '{}'", name), input, inputs.size());
  at.at(input) = 0;
  const auto cost = [&](double x) {
    at[input] = x;
    return (*this)(at);
  };
  if (cost(0) > limit) return std::nullopt;
  const double term = terms.empty() ? 0 : terms[input];

  if (const auto* max = std::get_if<MaxOfLines>(&base)) {
    const double others = cost(0) - value_of(bounding(*max, at), at);  // at[input] is 0 here
    double least = kInfinity;
    for (const Line& line : max->lines) {
      const double slope = line.slopes[input] + term;
      if (slope > 0) least = std::min(least, (limit - others - value_of(line, at)) / slope);
    }
    return least;
  }
  // Inside a piece the cost rises from knot to knot: bisection. Beyond the last knot it is one straight line.
  std::vector<double> knots;
  double beyond = term;
  if (const auto* curve = std::get_if<Curve>(&base)) {
    if (curve->input == input) {
      knots = curve->xs;
      if (knots.size() > 1) beyond += (*curve)(knots.back() + 1) - (*curve)(knots.back());
    }
  } else {
    for (const Axis& axis : std::get<Grid>(base).axes)
      if (axis.input == input) knots = axis.knots;
  }
  double low = 0;
  for (const double knot : knots) {
    if (knot <= low) continue;
    if (cost(knot) <= limit) {
      low = knot;
      continue;
    }
    double high = knot;
    while (high - low > 1e-12 * high) {
      const double middle = low + (high - low) / 2;
      if (middle <= low || middle >= high) break;
      (cost(middle) <= limit ? low : high) = middle;
    }
    return low;
  }
  return beyond > 0 ? low + (limit - cost(low)) / beyond : kInfinity;
}

std::size_t Model::index_of(const std::string& input) const {
  cli::require_one_of(fmt::format("input of model '{}'", name), input, inputs);
  return static_cast<std::size_t>(std::find(inputs.begin(), inputs.end(), input) - inputs.begin());
}

Model roofline(std::string name, const std::vector<Ceiling>& ceilings, double overhead_s,
               std::string origin) {
  Model model{.name = std::move(name), .origin = std::move(origin)};
  for (const Ceiling& ceiling : ceilings) {
    if (!(ceiling.per_second > 0) || !std::isfinite(ceiling.per_second))
      throw InvalidInput(fmt::format("rate of ceiling '{}'", ceiling.name),
                         std::to_string(ceiling.per_second), "a positive number");
    if (std::find(model.inputs.begin(), model.inputs.end(), ceiling.input) == model.inputs.end())
      model.inputs.push_back(ceiling.input);
  }
  MaxOfLines base;
  for (const Ceiling& ceiling : ceilings) {
    Line line{ceiling.name, overhead_s, std::vector<double>(model.inputs.size(), 0.0)};
    line.slopes[model.index_of(ceiling.input)] = 1 / ceiling.per_second;
    base.lines.push_back(std::move(line));
  }
  model.base = std::move(base);
  model.check();
  return model;
}

}  // namespace ballast::cost
