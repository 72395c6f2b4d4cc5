#include "ballast/serve/perf_fitter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/base/statistics.h"
#include "ballast/cost/nnls.h"

namespace ballast::serve {

FitQuality fit_quality(const PerfModel& model, std::span<const MeasuredStep> points) {
  std::vector<double> errors;
  double residual = 0, total = 0, mean_ms = 0;
  for (const MeasuredStep& point : points) mean_ms += point.ms / static_cast<double>(points.size());
  for (const MeasuredStep& point : points) {
    const double predicted = model.step_ms(point.load);
    residual += (predicted - point.ms) * (predicted - point.ms);
    total += (point.ms - mean_ms) * (point.ms - mean_ms);
    errors.push_back(std::abs(predicted - point.ms) / point.ms);
  }
  return {total > 0 ? 1 - residual / total : 1, mean(errors), quantile(errors, 0.95)};
}

namespace {

std::vector<double> non_negative_fit(std::vector<double> rows, const std::vector<double>& right,
                                     std::size_t columns) {
  return cost::nnls({.rows = right.size(), .cols = columns, .values = std::move(rows)}, right).x;
}

// The terms beyond the base, in the order of their coefficients.
constexpr std::size_t kTerms = 6;
void fill_terms(const BatchLoad& load, const FitOptions& options, double* row) {
  const bool context = options.context_terms, cpu = options.cpu_terms && context;
  row[0] = context ? load.decode_context : 0;
  row[1] = context && !cpu ? load.prefill_area : 0;
  row[2] = cpu ? load.chunk_done : 0;
  row[3] = cpu ? load.chunk_square : 0;
  row[4] = cpu ? load.tile_done : 0;
  row[5] = cpu && load.decodes > 0 && load.chunks > 0 ? 1 : 0;
}
void take_terms(const double* x, PerfModel& model) {
  model.kv_ms = x[0];
  model.area_ms = x[1];
  model.cpu.done = x[2];
  model.cpu.square = x[3];
  model.cpu.tile = x[4];
  model.cpu.mixed_pass = x[5];
}

PerfModel fit_table(std::span<const MeasuredStep> points, const FitOptions& options) {
  std::vector<double> knots;
  int most = 1;
  for (const MeasuredStep& point : points) most = std::max(most, point.load.tokens);
  for (int n = 1; n < most; n *= 2) knots.push_back(n);
  knots.push_back(most);
  const std::size_t columns = knots.size() + kTerms;
  std::vector<double> rows, right;
  for (const MeasuredStep& point : points) {
    std::vector<double> row(columns, 0.0);
    row[0] = 1;
    for (std::size_t j = 1; j < knots.size(); ++j)
      row[j] = std::clamp((point.load.tokens - knots[j - 1]) / (knots[j] - knots[j - 1]), 0.0, 1.0);
    fill_terms(point.load, options, row.data() + knots.size());
    for (double& value : row) value /= point.ms;
    rows.insert(rows.end(), row.begin(), row.end());
    right.push_back(1);
  }
  const auto x = non_negative_fit(std::move(rows), right, columns);
  PerfModel model;
  double ms = 0;
  for (std::size_t j = 0; j < knots.size(); ++j) model.table.emplace_back(knots[j], ms += x[j]);
  take_terms(x.data() + knots.size(), model);
  return model;
}

// Two lines: assign each point to the line that is higher there, fit all coefficients together, repeat; the
// best of several random starts.
PerfModel fit_lines(std::span<const MeasuredStep> points, const FitOptions& options) {
  constexpr std::size_t kColumns = 4 + kTerms;
  Random random(options.seed, 0x666974);
  PerfModel best;
  double best_error = 1e300;
  for (int start = 0; start < 20; ++start) {
    const double border = std::exp(random.uniform() * std::log(600.0));
    std::vector<bool> compute(points.size());
    for (std::size_t i = 0; i < points.size(); ++i) compute[i] = points[i].load.tokens > border;
    PerfModel model;
    double before = 1e300, error = 0;
    for (int round = 0; round < 50; ++round) {
      std::vector<double> rows, right;
      for (std::size_t i = 0; i < points.size(); ++i) {
        std::vector<double> row(kColumns, 0.0);
        row[compute[i] ? 2 : 0] = 1;
        row[compute[i] ? 3 : 1] = points[i].load.tokens;
        fill_terms(points[i].load, options, row.data() + 4);
        for (double& value : row) value /= points[i].ms;
        rows.insert(rows.end(), row.begin(), row.end());
        right.push_back(1);
      }
      const auto x = non_negative_fit(std::move(rows), right, kColumns);
      model.lines = {{x[0], x[1]}, {x[2], x[3]}};
      take_terms(x.data() + 4, model);
      error = 0;
      for (std::size_t i = 0; i < points.size(); ++i) {
        const double n = points[i].load.tokens;
        compute[i] = x[2] + x[3] * n > x[0] + x[1] * n;
        error += std::pow(model.step_ms(points[i].load) / points[i].ms - 1, 2);
      }
      if (std::abs(before - error) < 1e-6 * error) break;
      before = error;
    }
    if (error < best_error && model.compute_ms_per_token() > 0) {
      best_error = error;
      best = model;
    }
  }
  return best;
}

PerfModel fit_once(std::span<const MeasuredStep> points, const FitOptions& options) {
  return options.table ? fit_table(points, options) : fit_lines(points, options);
}

Json to_json(const FitQuality& quality) {
  return {{"r2", quality.r2}, {"mape", quality.mape}, {"p95", quality.p95}};
}

}  // namespace

PerfModel fit_perf_model(std::span<const MeasuredStep> points, const FitOptions& options) {
  if (points.size() < 12) throw InvalidInput("measured steps", std::to_string(points.size()), "at least 12");
  PerfModel model = fit_once(points, options);
  model.origin = "measured";
  const FitQuality quality = fit_quality(model, points);

  // Five-fold: what the model says of points that it has not seen.
  std::vector<std::size_t> order(points.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  Random random(options.seed, 0x666f6c64);
  random.shuffle(order);
  std::vector<double> under, errors;
  double residual = 0, total = 0, mean_ms = 0;
  for (const MeasuredStep& point : points) mean_ms += point.ms / static_cast<double>(points.size());
  constexpr std::size_t kFolds = 5;
  for (std::size_t fold = 0; fold < kFolds; ++fold) {
    std::vector<MeasuredStep> seen;
    for (std::size_t i = 0; i < order.size(); ++i) {
      if (i % kFolds != fold) seen.push_back(points[order[i]]);
    }
    const PerfModel partial = fit_once(seen, options);
    for (std::size_t i = fold; i < order.size(); i += kFolds) {
      const MeasuredStep& point = points[order[i]];
      const double predicted = partial.step_ms(point.load);
      under.push_back((point.ms - predicted) / predicted);
      errors.push_back(std::abs(predicted - point.ms) / point.ms);
      residual += (predicted - point.ms) * (predicted - point.ms);
      total += (point.ms - mean_ms) * (point.ms - mean_ms);
    }
  }
  model.safety = std::max(0.03, quantile(under, 0.95));
  model.statistics = to_json(quality);
  model.statistics["points"] = points.size();
  model.statistics["held_out"] =
      to_json(FitQuality{1 - residual / total, mean(errors), quantile(errors, 0.95)});
  std::map<std::string, std::vector<MeasuredStep>> regions;
  for (const MeasuredStep& point : points) regions[point.region].push_back(point);
  for (const auto& [region, part] : regions)
    model.statistics["regions"][region] = to_json(fit_quality(model, part));
  if (quality.r2 < options.least_r2 && !options.force)
    throw Unavailable(
        fmt::format("the fit explains too little (R^2 = {:.2f}, at least {:.2f} is asked for): the machine "
                    "was busy or throttled; profile again, or --force",
                    quality.r2, options.least_r2));
  return model;
}

}  // namespace ballast::serve
