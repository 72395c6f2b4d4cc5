// `ballast cost predict`: what a model says of given work, of what it consists, and what fits a limit.
#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/base/table.h"
#include "ballast/base/units.h"
#include "ballast/cost/file.h"
#include "ballast/cost/verbs.h"

namespace ballast::cost {
namespace {

struct PredictWords {
  std::string model, limited;
  std::vector<std::string> at;
  double limit = 0;
};

// "tokens=64" for every input that is not 0.
std::vector<double> inputs_of(const Model& model, const std::vector<std::string>& words) {
  std::vector<double> values(model.inputs.size(), 0.0);
  for (const auto& word : words) {
    const auto equals = word.find('=');
    if (equals == std::string::npos) throw InvalidInput("--at", word, "INPUT=NUMBER");
    double value = 0;
    const char* end = word.data() + word.size();
    const auto [rest, error] = std::from_chars(word.data() + equals + 1, end, value);
    if (error != std::errc{} || rest != end || !(value >= 0) || !std::isfinite(value))
      throw InvalidInput("--at", word, "INPUT=NUMBER, a number of at least 0");
    values[model.index_of(word.substr(0, equals))] = value;
  }
  return values;
}

}  // namespace

void add_predict(cli::Program& program) {
  auto words = std::make_shared<PredictWords>();
  auto verb = program.verb("predict", "what a model says of given work, its parts, and what fits a limit",
                           {"ballast cost predict step.yaml --at tokens=64,context=2048",
                            "ballast cost predict step.yaml --at context=2048 --limit 0.02 --of tokens"});
  verb->add_option("MODEL", words->model, "a model's file")->required();
  verb->add_option("--at", words->at, "INPUT=NUMBER, ...; inputs not named are 0")->delimiter(',');
  auto* limit = verb->add_option("--limit", words->limit, "the most that the work may cost");
  verb->add_option("--of", words->limited, "the input of which the largest amount within --limit is wanted")
      ->needs(limit);
  limit->needs("--of");
  verb.run([words](const cli::Common& common) {
    const Model model = read_model(words->model);
    const auto values = inputs_of(model, words->at);
    const double cost = model(values);
    Table table(fmt::format("{}: {:.6g} {}, bound by {}", model.name, cost, model.unit, model.bound(values)),
                {"part", model.unit});
    table.basis(Basis::modelled);
    Json json{{"schema", "ballast.prediction/1"}, {"model", model.name},    {"basis", "modelled"},
              {"origin", model.origin},           {"value", cost},          {"unit", model.unit},
              {"bound", model.bound(values)},     {"parts", Json::object()}};
    for (const auto& part : model.explain(values)) {
      table.row({part.name, fmt::format("{:.6g}", part.value)});
      json["parts"][part.name] = part.value;
    }
    if (const auto* grid = std::get_if<Grid>(&model.base)) json["covered"] = grid->covers(values);
    if (model.held_out) json["held_out"] = to_json(*model.held_out);
    std::string verdict;
    if (!words->limited.empty()) {
      const auto most = model.largest(model.index_of(words->limited), values, words->limit);
      json["largest"] = {{"input", words->limited},
                         {"limit", words->limit},
                         {"value", most && std::isfinite(*most) ? Json(*most) : Json()}};
      verdict = !most ? fmt::format("Even without {} it costs more than {:g} {}.", words->limited,
                                    words->limit, model.unit)
                : std::isinf(*most) ? fmt::format("Any amount of {} stays within {:g} {}.", words->limited,
                                                  words->limit, model.unit)
                                    : fmt::format("Within {:g} {}: {} up to {:.6g}.", words->limit,
                                                  model.unit, words->limited, *most);
    }
    if (common.for_people()) {
      table.print(stdout);
      if (model.held_out) {
        fmt::print(
            "Error on points held out of its fit: {:.1f} % on average, {:.1f} % at most for 95 of 100.\n",
            100 * model.held_out->mape, 100 * model.held_out->p95);
      }
      if (!verdict.empty()) fmt::print("{}\n", verdict);
    }
    common.write_json(json);
    Report report("Prediction: " + model.name);
    auto& section = report.section("Prediction").table(table);
    if (!verdict.empty()) section.text(verdict);
    section.command(common.command_line);
    common.write_report(report);
  });
}

}  // namespace ballast::cost
