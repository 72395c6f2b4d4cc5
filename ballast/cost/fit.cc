#include "ballast/cost/fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/base/statistics.h"
#include "ballast/cost/nnls.h"

namespace ballast::cost {
namespace {

using Samples = std::vector<Sample>;

double weight_of(const Sample& sample, const FitOptions& options) {
  return options.relative ? 1 / sample.value : 1;
}

void require_sound(const std::vector<std::string>& inputs, std::span<const Sample> samples,
                   std::size_t unknowns) {
  for (std::size_t s = 0; s < samples.size(); ++s) {
    const Sample& sample = samples[s];
    if (sample.inputs.size() != inputs.size())
      throw InvalidInput(
          fmt::format("sample {} has {} inputs for {} names", s + 1, sample.inputs.size(), inputs.size()));
    if (!(sample.value > 0) || !std::isfinite(sample.value))
      throw InvalidInput(fmt::format("value of sample {}", s + 1), fmt::format("{}", sample.value),
                         "a positive number");
    for (const double x : sample.inputs) {
      if (!(x >= 0) || !std::isfinite(x))
        throw InvalidInput(fmt::format("an input of sample {}", s + 1), fmt::format("{}", x),
                           "a number of at least 0");
    }
  }
  if (samples.size() < unknowns)
    throw InvalidInput(fmt::format("{} samples cannot fix {} unknowns", samples.size(), unknowns));
}

double weighted_error(const Model& model, std::span<const Sample> samples, const FitOptions& options) {
  double sum = 0;
  for (const Sample& sample : samples) {
    const double off = weight_of(sample, options) * (model(sample.inputs) - sample.value);
    sum += off * off;
  }
  return sum;
}

// Inputs that are not the base's enter as terms, if asked for.
std::vector<std::size_t> term_inputs(std::size_t inputs, const std::vector<std::size_t>& base_inputs,
                                     const FitOptions& options) {
  std::vector<std::size_t> terms;
  for (std::size_t i = 0; options.terms && i < inputs; ++i)
    if (std::find(base_inputs.begin(), base_inputs.end(), i) == base_inputs.end()) terms.push_back(i);
  return terms;
}

// One least-squares fit with each point given to one line. Columns: a line's offset and slopes, line by line;
// terms.
void fit_assigned(Model& model, std::span<const Sample> samples, const std::vector<std::size_t>& owner,
                  const std::vector<std::size_t>& line_inputs, const std::vector<std::size_t>& terms,
                  const FitOptions& options) {
  auto& lines = std::get<MaxOfLines>(model.base).lines;
  const std::size_t offsets = options.free_offsets ? 2 : 1, width = offsets + line_inputs.size();
  Matrix a{samples.size(), lines.size() * width + terms.size()};
  a.values.assign(a.rows * a.cols, 0);
  std::vector<double> b(samples.size());
  for (std::size_t s = 0; s < samples.size(); ++s) {
    const double weight = weight_of(samples[s], options);
    const std::size_t first = owner[s] * width;
    a(s, first) = weight;
    if (options.free_offsets) a(s, first + 1) = -weight;
    for (std::size_t i = 0; i < line_inputs.size(); ++i)
      a(s, first + offsets + i) = weight * samples[s].inputs[line_inputs[i]];
    for (std::size_t i = 0; i < terms.size(); ++i)
      a(s, lines.size() * width + i) = weight * samples[s].inputs[terms[i]];
    b[s] = weight * samples[s].value;
  }
  const auto x = nnls(a, b).x;
  for (std::size_t l = 0; l < lines.size(); ++l) {
    lines[l].offset = x[l * width] - (options.free_offsets ? x[l * width + 1] : 0);
    std::fill(lines[l].slopes.begin(), lines[l].slopes.end(), 0);
    for (std::size_t i = 0; i < line_inputs.size(); ++i)
      lines[l].slopes[line_inputs[i]] = x[l * width + offsets + i];
  }
  for (std::size_t i = 0; i < terms.size(); ++i) model.terms[terms[i]] = x[lines.size() * width + i];
}

std::vector<std::size_t> largest_lines(const Model& model, std::span<const Sample> samples) {
  const auto& lines = std::get<MaxOfLines>(model.base).lines;
  std::vector<std::size_t> owner;
  for (const Sample& sample : samples) {
    std::size_t best = 0;
    double best_value = -std::numeric_limits<double>::infinity();
    for (std::size_t l = 0; l < lines.size(); ++l) {
      double value = lines[l].offset;
      for (std::size_t i = 0; i < sample.inputs.size(); ++i) value += lines[l].slopes[i] * sample.inputs[i];
      if (value > best_value) best_value = value, best = l;
    }
    owner.push_back(best);
  }
  return owner;
}

Model fit_lines_once(const Model& blank, std::span<const Sample> samples,
                     const std::vector<std::size_t>& line_inputs, const std::vector<std::size_t>& terms,
                     const FitOptions& options) {
  constexpr int kMostSteps = 100;
  Random random(options.seed, 0xF17);
  const std::size_t line_count = std::get<MaxOfLines>(blank.base).lines.size();
  Model best = blank;
  double best_error = std::numeric_limits<double>::infinity();
  const int restarts = line_count == 1 ? 1 : std::max(1, options.restarts);
  for (int restart = 0; restart < restarts; ++restart) {
    // A beginning: the points in the order of a random base input, cut at random places.
    const std::size_t by = line_inputs[random.below(line_inputs.size())];
    std::vector<double> cuts;
    for (std::size_t l = 1; l < line_count; ++l)
      cuts.push_back(samples[random.below(samples.size())].inputs[by]);
    std::vector<std::size_t> owner;
    for (const Sample& sample : samples)
      owner.push_back(static_cast<std::size_t>(
          std::count_if(cuts.begin(), cuts.end(), [&](double cut) { return sample.inputs[by] > cut; })));
    Model model = blank;
    double error = std::numeric_limits<double>::infinity();
    for (int step = 0; step < kMostSteps; ++step) {
      fit_assigned(model, samples, owner, line_inputs, terms, options);
      const double now = weighted_error(model, samples, options);
      if (now < best_error) best_error = now, best = model;
      if (!(now < error * (1 - options.tolerance))) break;
      error = now;
      owner = largest_lines(model, samples);
    }
  }
  return best;
}

// Knots of a non-decreasing curve: the first value and the rises between knots are the unknowns, all >= 0.
Model fit_curve_once(const Model& blank, std::span<const Sample> samples,
                     const std::vector<std::size_t>& terms, const FitOptions& options) {
  Model model = blank;
  auto& curve = std::get<Curve>(model.base);
  const std::size_t knots = curve.xs.size();
  Matrix a{samples.size(), knots + terms.size()};
  a.values.assign(a.rows * a.cols, 0);
  std::vector<double> b(samples.size());
  for (std::size_t s = 0; s < samples.size(); ++s) {
    const double weight = weight_of(samples[s], options);
    for (std::size_t k = 0; k < knots; ++k) {
      // What a rise of 1 at knot k, held from there on, is worth at this point.
      Curve step = curve;
      for (std::size_t j = 0; j < knots; ++j) step.ys[j] = j >= k ? 1 : 0;
      a(s, k) = weight * step(samples[s].inputs[curve.input]);
    }
    for (std::size_t i = 0; i < terms.size(); ++i) a(s, knots + i) = weight * samples[s].inputs[terms[i]];
    b[s] = weight * samples[s].value;
  }
  const auto x = nnls(a, b).x;
  std::partial_sum(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(knots), curve.ys.begin());
  for (std::size_t i = 0; i < terms.size(); ++i) model.terms[terms[i]] = x[knots + i];
  return model;
}

Quality quality_of(const std::vector<double>& actual, const std::vector<double>& predicted) {
  Quality q;
  q.points = actual.size();
  if (actual.empty()) return q;
  std::vector<double> errors, under;
  double residual = 0, variance_sum = 0;
  const double center = mean(actual);
  for (std::size_t i = 0; i < actual.size(); ++i) {
    residual += (predicted[i] - actual[i]) * (predicted[i] - actual[i]);
    variance_sum += (actual[i] - center) * (actual[i] - center);
    errors.push_back(std::abs(predicted[i] - actual[i]) / actual[i]);
    under.push_back(predicted[i] > 0 ? (actual[i] - predicted[i]) / predicted[i]
                                     : std::numeric_limits<double>::infinity());
  }
  q.r2 = variance_sum > 0 ? 1 - residual / variance_sum : (residual == 0 ? 1 : 0);
  q.mape = mean(errors);
  q.p95 = quantile(errors, 0.95);
  q.worst = *std::max_element(errors.begin(), errors.end());
  q.under_p95 = std::max(0.0, quantile(under, 0.95));
  return q;
}

// Fits on all points, and on all but each fold in turn to foretell that fold.
Model fit_and_judge(std::span<const Sample> samples, const FitOptions& options, std::size_t unknowns,
                    const std::function<Model(std::span<const Sample>)>& fit) {
  Model model = fit(samples);
  model.in_sample = quality(model, samples);
  const auto folds = static_cast<std::size_t>(std::max(0, options.folds));
  if (folds < 2 || samples.size() < folds || samples.size() - (samples.size() + folds - 1) / folds < unknowns)
    return model;
  Samples shuffled(samples.begin(), samples.end());
  Random(options.seed, 0xF01D).shuffle(shuffled);
  std::vector<double> actual, predicted;
  for (std::size_t fold = 0; fold < folds; ++fold) {
    Samples seen, unseen;
    for (std::size_t i = 0; i < shuffled.size(); ++i)
      (i % folds == fold ? unseen : seen).push_back(shuffled[i]);
    const Model part = fit(seen);
    for (const Sample& sample : unseen) {
      actual.push_back(sample.value);
      predicted.push_back(part(sample.inputs));
    }
  }
  model.held_out = quality_of(actual, predicted);
  return model;
}

}  // namespace

Quality quality(const Model& model, std::span<const Sample> samples) {
  std::vector<double> actual, predicted;
  for (const Sample& sample : samples) {
    actual.push_back(sample.value);
    predicted.push_back(model(sample.inputs));
  }
  return quality_of(actual, predicted);
}

Model fit_lines(std::string name, std::vector<std::string> inputs, std::span<const Sample> samples,
                const FitOptions& options) {
  if (options.lines < 1 || options.lines > 16)
    throw InvalidInput("number of lines", std::to_string(options.lines), "1 to 16");
  std::vector<std::size_t> line_inputs = options.line_inputs;
  if (line_inputs.empty()) line_inputs = {0};
  for (const std::size_t i : line_inputs)
    if (i >= inputs.size())
      throw InvalidInput(fmt::format("line input {} of {} inputs", i + 1, inputs.size()));
  const auto terms = term_inputs(inputs.size(), line_inputs, options);
  const std::size_t unknowns =
      static_cast<std::size_t>(options.lines) * (1 + line_inputs.size()) + terms.size();
  require_sound(inputs, samples, unknowns);

  Model blank{.name = std::move(name), .inputs = std::move(inputs)};
  blank.terms.assign(blank.inputs.size(), 0);
  MaxOfLines base;
  for (int l = 0; l < options.lines; ++l)
    base.lines.push_back({fmt::format("line {}", l + 1), 0, std::vector<double>(blank.inputs.size(), 0.0)});
  blank.base = base;
  return fit_and_judge(samples, options, unknowns, [&](std::span<const Sample> seen) {
    return fit_lines_once(blank, seen, line_inputs, terms, options);
  });
}

Model fit_curve(std::string name, std::vector<std::string> inputs, std::span<const Sample> samples,
                std::size_t input, Scale scale, std::vector<double> knots, const FitOptions& options) {
  Model blank{.name = std::move(name), .inputs = std::move(inputs)};
  Curve curve{input, scale, std::move(knots), {}};
  curve.ys.assign(curve.xs.size(), 0);
  blank.base = curve;
  blank.terms.assign(blank.inputs.size(), 0);
  blank.check();
  const auto terms = term_inputs(blank.inputs.size(), {input}, options);
  require_sound(blank.inputs, samples, terms.size() + 1);
  return fit_and_judge(samples, options, terms.size() + 1, [&](std::span<const Sample> seen) {
    return fit_curve_once(blank, seen, terms, options);
  });
}

}  // namespace ballast::cost
