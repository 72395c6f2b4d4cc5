#include "ballast/cost/file.h"

#include <fmt/format.h>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/cost/yaml.h"

namespace ballast::cost {
namespace {

constexpr const char* kSchema = "ballast.cost/1";

std::size_t input_at(const Yaml& yaml, const Model& model) {
  const std::string word = yaml.text();
  for (std::size_t i = 0; i < model.inputs.size(); ++i)
    if (model.inputs[i] == word) return i;
  std::string list;
  for (const auto& input : model.inputs) list += (list.empty() ? "" : ", ") + input;
  yaml.refuse(fmt::format("'{}' is none of the model's inputs", word), list);
}

// {input: number, ...} as one number an input, 0 for those not named.
std::vector<double> by_input(const Yaml& yaml, const Model& model) {
  std::vector<double> values(model.inputs.size(), 0.0);
  yaml.only(model.inputs);
  for (std::size_t i = 0; i < values.size(); ++i)
    if (yaml.has(model.inputs[i])) values[i] = yaml.at(model.inputs[i]).number();
  return values;
}

Scale scale_at(const Yaml& parent) {
  if (!parent.has("scale")) return Scale::linear;
  const Yaml yaml = parent.at("scale");
  const std::string word = yaml.text();
  if (word == "linear") return Scale::linear;
  if (word == "log2") return Scale::log2;
  yaml.refuse(fmt::format("scale is '{}'", word), "linear, log2");
}

MaxOfLines read_roofline(const Yaml& yaml, const Model& model) {
  yaml.only({"overhead", "ceilings"});
  const double overhead = yaml.has("overhead") ? yaml.at("overhead").not_negative() : 0;
  MaxOfLines base;
  for (const Yaml& entry : yaml.at("ceilings").list()) {
    entry.only({"name", "input", "per_second"});
    Line line{entry.at("name").text(), overhead, std::vector<double>(model.inputs.size(), 0.0)};
    line.slopes[input_at(entry.at("input"), model)] = 1 / entry.at("per_second").positive();
    base.lines.push_back(std::move(line));
  }
  return base;
}

MaxOfLines read_lines(const Yaml& yaml, const Model& model) {
  MaxOfLines base;
  for (const Yaml& entry : yaml.list()) {
    entry.only({"name", "offset", "slopes"});
    Line line{entry.has("name") ? entry.at("name").text() : fmt::format("line {}", base.lines.size() + 1),
              entry.has("offset") ? entry.at("offset").number() : 0,
              std::vector<double>(model.inputs.size(), 0.0)};
    if (entry.has("slopes")) line.slopes = by_input(entry.at("slopes"), model);
    base.lines.push_back(std::move(line));
  }
  return base;
}

Curve read_curve(const Yaml& yaml, const Model& model) {
  yaml.only({"input", "scale", "knots"});
  Curve curve{input_at(yaml.at("input"), model), scale_at(yaml), {}, {}};
  for (const Yaml& knot : yaml.at("knots").list()) {
    const auto pair = knot.numbers();
    if (pair.size() != 2) knot.refuse(fmt::format("a knot of {} numbers", pair.size()), "[x, y]");
    curve.xs.push_back(pair[0]);
    curve.ys.push_back(pair[1]);
  }
  return curve;
}

Grid read_grid(const Yaml& yaml, const Model& model) {
  yaml.only({"axes", "values"});
  Grid grid;
  for (const Yaml& axis : yaml.at("axes").list()) {
    axis.only({"input", "scale", "knots"});
    grid.axes.push_back({input_at(axis.at("input"), model), scale_at(axis), axis.at("knots").numbers()});
  }
  grid.values = yaml.at("values").numbers();
  return grid;
}

Quality read_quality(const Yaml& yaml) {
  yaml.only({"points", "r2", "mape", "p95", "worst", "under_p95"});
  Quality q;
  q.points = static_cast<std::size_t>(yaml.at("points").not_negative());
  q.r2 = yaml.at("r2").number();
  q.mape = yaml.at("mape").not_negative();
  q.p95 = yaml.at("p95").not_negative();
  q.worst = yaml.at("worst").not_negative();
  q.under_p95 = yaml.at("under_p95").not_negative();
  return q;
}

Model read(const Yaml& yaml) {
  yaml.only({"schema", "name", "unit", "origin", "inputs", "base", "terms", "in_sample", "held_out"});
  if (yaml.at("schema").text() != kSchema)
    yaml.at("schema").refuse(fmt::format("schema is '{}'", yaml.at("schema").text()), kSchema);
  Model model{.name = yaml.at("name").text()};
  if (yaml.has("unit")) model.unit = yaml.at("unit").text();
  if (yaml.has("origin")) model.origin = yaml.at("origin").text();
  for (const Yaml& input : yaml.at("inputs").list()) model.inputs.push_back(input.text());
  const Yaml base = yaml.at("base");
  base.only({"roofline", "lines", "curve", "grid"});
  if (base.keys().size() != 1)
    base.refuse(fmt::format("{} bases", base.keys().size()), "one of roofline, lines, curve, grid");
  const std::string kind = base.keys().front();
  if (kind == "roofline") model.base = read_roofline(base.at(kind), model);
  if (kind == "lines") model.base = read_lines(base.at(kind), model);
  if (kind == "curve") model.base = read_curve(base.at(kind), model);
  if (kind == "grid") model.base = read_grid(base.at(kind), model);
  if (yaml.has("terms")) model.terms = by_input(yaml.at("terms"), model);
  if (yaml.has("in_sample")) model.in_sample = read_quality(yaml.at("in_sample"));
  if (yaml.has("held_out")) model.held_out = read_quality(yaml.at("held_out"));
  try {
    model.check();
  } catch (const InvalidInput& error) {
    base.refuse(error.what());
  }
  return model;
}

const char* scale_name(Scale scale) {
  return scale == Scale::log2 ? "log2" : "linear";
}

Json named(const Model& model, const std::vector<double>& values) {
  Json json = Json::object();
  for (std::size_t i = 0; i < values.size(); ++i)
    if (values[i] != 0) json[model.inputs[i]] = values[i];
  return json;
}

void emit(YAML::Emitter& out, const Json& json) {
  if (json.is_object()) {
    // Deep objects of scalars are easier to read on one line.
    const bool flat = std::none_of(json.begin(), json.end(), [](const Json& v) { return v.is_structured(); });
    if (flat && json.size() <= 8) out << YAML::Flow;
    out << YAML::BeginMap;
    for (const auto& [key, value] : json.items()) {
      out << YAML::Key << key << YAML::Value;
      emit(out, value);
    }
    out << YAML::EndMap;
  } else if (json.is_array()) {
    const bool flat = std::none_of(json.begin(), json.end(), [](const Json& v) { return v.is_object(); });
    if (flat) out << YAML::Flow;
    out << YAML::BeginSeq;
    for (const auto& value : json) emit(out, value);
    out << YAML::EndSeq;
  } else if (json.is_string()) {
    out << json.get<std::string>();
  } else {
    out << json.dump();  // numbers in as many digits as they need
  }
}

}  // namespace

Model parse_model(std::string_view text, const std::string& name) {
  return read(Yaml::parse(text, name));
}

Model read_model(const std::string& path) {
  return parse_model(read_file(path, std::uint64_t{1} << 26), path);
}

Json to_json(const Quality& q) {
  return {{"points", q.points}, {"r2", q.r2},       {"mape", q.mape},
          {"p95", q.p95},       {"worst", q.worst}, {"under_p95", q.under_p95}};
}

Json to_json(const Model& model) {
  Json json{{"schema", kSchema},
            {"name", model.name},
            {"unit", model.unit},
            {"origin", model.origin},
            {"inputs", model.inputs}};
  Json& base = json["base"];
  if (const auto* max = std::get_if<MaxOfLines>(&model.base)) {
    base["lines"] = Json::array();
    for (const Line& line : max->lines)
      base["lines"].push_back(
          {{"name", line.name}, {"offset", line.offset}, {"slopes", named(model, line.slopes)}});
  } else if (const auto* curve = std::get_if<Curve>(&model.base)) {
    base["curve"] = {
        {"input", model.inputs[curve->input]}, {"scale", scale_name(curve->scale)}, {"knots", Json::array()}};
    for (std::size_t k = 0; k < curve->xs.size(); ++k)
      base["curve"]["knots"].push_back(Json::array({curve->xs[k], curve->ys[k]}));
  } else {
    const Grid& grid = std::get<Grid>(model.base);
    base["grid"] = {{"axes", Json::array()}, {"values", grid.values}};
    for (const Axis& axis : grid.axes)
      base["grid"]["axes"].push_back(
          {{"input", model.inputs[axis.input]}, {"scale", scale_name(axis.scale)}, {"knots", axis.knots}});
  }
  json["terms"] = named(model, model.terms);
  if (model.in_sample) json["in_sample"] = to_json(*model.in_sample);
  if (model.held_out) json["held_out"] = to_json(*model.held_out);
  return json;
}

std::string to_yaml(const Model& model) {
  YAML::Emitter out;
  emit(out, to_json(model));
  return std::string(out.c_str()) + "\n";
}

void write_model(const Model& model, const std::string& path) {
  write_file(path, path.ends_with(".json") ? to_json(model).dump(2) + "\n" : to_yaml(model));
}

}  // namespace ballast::cost
