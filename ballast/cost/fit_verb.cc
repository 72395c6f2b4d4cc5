// `ballast cost fit`: a cost model from measured points in a CSV file.
#include <fmt/format.h>

#include <algorithm>

#include "ballast/base/errors.h"
#include "ballast/base/table.h"
#include "ballast/cost/file.h"
#include "ballast/cost/fit.h"
#include "ballast/cost/verbs.h"
#include "ballast/data/csv.h"

namespace ballast::cost {
namespace {

struct FitWords {
  std::string csv, value, out, base = "lines", scale = "linear", name;
  std::vector<std::string> inputs, line_inputs;
  std::vector<double> knots;
  FitOptions options;
};

std::vector<Sample> read_samples(const FitWords& words) {
  data::CsvReader rows(data::InputStream::open(words.csv));
  std::vector<std::size_t> columns;
  for (const auto& input : words.inputs) columns.push_back(rows.column(input));
  const std::size_t value = rows.column(words.value);
  std::vector<Sample> samples;
  while (rows.next()) {
    Sample sample{{}, rows.number(value)};
    if (!(sample.value > 0)) rows.refuse(value, "a positive number");
    for (const std::size_t column : columns) {
      sample.inputs.push_back(rows.number(column));
      if (sample.inputs.back() < 0) rows.refuse(column, "a number of at least 0");
    }
    samples.push_back(std::move(sample));
  }
  return samples;
}

std::size_t position(const FitWords& words, const std::string& input) {
  cli::require_one_of("input", input, words.inputs);
  return static_cast<std::size_t>(std::find(words.inputs.begin(), words.inputs.end(), input) -
                                  words.inputs.begin());
}

// Powers of two from the smallest to the largest value of the input, or eight even steps on a linear axis.
std::vector<double> knots_for(const std::vector<Sample>& samples, std::size_t input, Scale scale) {
  double low = samples.front().inputs[input], high = low;
  for (const auto& s : samples) low = std::min(low, s.inputs[input]), high = std::max(high, s.inputs[input]);
  std::vector<double> knots;
  if (scale == Scale::log2) {
    if (low <= 0) throw InvalidInput("a logarithmic axis needs values above 0; the CSV file has 0 there");
    for (double k = low; k < high; k *= 2) knots.push_back(k);
  } else {
    for (int i = 0; i < 8; ++i) knots.push_back(low + (high - low) * i / 8);
  }
  knots.push_back(high);
  knots.erase(std::unique(knots.begin(), knots.end()), knots.end());
  return knots;
}

Model fit(const FitWords& words, const std::vector<Sample>& samples, FitOptions options) {
  const std::string name = words.name.empty() ? words.csv : words.name;
  if (words.base == "lines") {
    for (const auto& input : words.line_inputs) options.line_inputs.push_back(position(words, input));
    return fit_lines(name, words.inputs, samples, options);
  }
  if (samples.empty()) throw InvalidInput(fmt::format("{}: no rows", words.csv));
  const std::size_t input = words.line_inputs.empty() ? 0 : position(words, words.line_inputs[0]);
  const Scale scale = words.scale == "log2" ? Scale::log2 : Scale::linear;
  const auto knots = words.knots.empty() ? knots_for(samples, input, scale) : words.knots;
  return fit_curve(name, words.inputs, samples, input, scale, knots, options);
}

Table quality_table(const Model& model) {
  Table table("How well it foretells, on the points it saw and on those held out",
              {"points", "n", "R2", "mean error", "95 %", "worst", "margin (95 %)"});
  table.basis(Basis::measured);
  const auto add = [&](const char* what, const std::optional<Quality>& q) {
    if (!q) return;
    const auto percent = [](double share) { return fmt::format("{:.2f} %", 100 * share); };
    table.row({what, std::to_string(q->points), fmt::format("{:.4f}", q->r2), percent(q->mape),
               percent(q->p95), percent(q->worst), percent(q->under_p95)});
  };
  add("seen", model.in_sample);
  add("held out", model.held_out);
  return table;
}

Chart agreement(const Model& model, const std::vector<Sample>& samples) {
  Series points{"points", {}, {}}, equal{"foretold = measured", {}, {}};
  for (const auto& s : samples) points.xs.push_back(s.value), points.ys.push_back(model(s.inputs));
  const auto [low, high] = std::minmax_element(points.xs.begin(), points.xs.end());
  equal.xs = equal.ys = {*low, *high};
  return {.kind = Chart::Kind::scatter,
          .title = "Foretold against measured",
          .x_label = "measured, " + model.unit,
          .y_label = "foretold, " + model.unit,
          .x_log = true,
          .y_log = true,
          .series = {points, equal},
          .basis = Basis::modelled};
}

}  // namespace

void add_fit(cli::Program& program) {
  auto words = std::make_shared<FitWords>();
  auto verb =
      program.verb("fit", "fit a cost model to measured points, and say how well it foretells",
                   {"ballast cost fit steps.csv --value seconds --inputs tokens,context --out step.yaml",
                    "ballast cost fit copy.csv --value s --inputs bytes --base curve --scale log2"});
  verb->add_option("CSV", words->csv, "rows of inputs and a value, with a header")->required();
  verb->add_option("--value", words->value, "the column that is foretold")->required();
  verb->add_option("--inputs", words->inputs, "the columns from which")->delimiter(',')->required();
  verb->add_option("--base", words->base, "max of lines, or a curve through knots")
      ->check(CLI::IsMember({"lines", "curve"}))
      ->capture_default_str();
  verb->add_option("--base-inputs", words->line_inputs,
                   "inputs of the base; the others are additive terms (default: the first)")
      ->delimiter(',');
  verb->add_option("--lines", words->options.lines, "number of lines")->capture_default_str();
  verb->add_option("--scale", words->scale, "axis of the curve")
      ->check(CLI::IsMember({"linear", "log2"}))
      ->capture_default_str();
  verb->add_option("--knots", words->knots, "knots of the curve (default: from the points)")->delimiter(',');
  verb->add_flag("!--no-terms", words->options.terms, "leave the additive terms out");
  verb->add_flag("--free-offsets", words->options.free_offsets, "lines may begin below zero");
  verb->add_flag("!--absolute", words->options.relative, "weigh all points alike, not by 1/value");
  verb->add_option("--folds", words->options.folds, "parts of the cross-validation")->capture_default_str();
  verb->add_option("--name", words->name, "name of the model (default: the file's)");
  verb->add_option("--out", words->out, "write the model here")->type_name("FILE.yaml|json");
  verb.run([words](const cli::Common& common) {
    FitOptions options = words->options;
    options.seed = common.seed;
    const auto samples = read_samples(*words);
    const Model model = fit(*words, samples, options);
    if (!words->out.empty()) write_model(model, words->out);
    const Table table = quality_table(model);
    if (common.for_people()) {
      fmt::print("{}\n", to_yaml(model));
      table.print(stdout);
      if (!words->out.empty()) fmt::print("\nThe model: {}\n", words->out);
    }
    common.write_json(to_json(model));
    Report report("Cost model: " + model.name);
    report.section("Fit")
        .table(table)
        .chart(agreement(model, samples))
        .log(to_yaml(model))
        .command(common.command_line);
    common.write_report(report);
  });
}

}  // namespace ballast::cost
