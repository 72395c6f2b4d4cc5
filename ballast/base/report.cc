#include "ballast/base/report.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/plain_svg.h"

namespace ballast {
namespace {

constexpr const char* kKinds[] = {"line", "bar", "scatter", "radar"};

Json numbers_to_json(const std::vector<double>& values) {
  Json array = Json::array();
  for (double v : values) array.push_back(std::isfinite(v) ? Json(v) : Json(nullptr));
  return array;
}

std::vector<double> numbers_from_json(const Json& array) {
  std::vector<double> values;
  for (const auto& v : array)
    values.push_back(v.is_null() ? std::numeric_limits<double>::quiet_NaN() : v.get<double>());
  return values;
}

}  // namespace

Json Chart::to_json() const {
  Json json{{"kind", kKinds[static_cast<int>(kind)]},
            {"title", title},
            {"x_label", x_label},
            {"y_label", y_label},
            {"x_log", x_log},
            {"y_log", y_log},
            {"labels", labels},
            {"series", Json::array()},
            {"basis", to_string(basis)}};
  for (const auto& s : series) {
    json["series"].push_back(
        {{"name", s.name}, {"xs", numbers_to_json(s.xs)}, {"ys", numbers_to_json(s.ys)}});
  }
  return json;
}

Chart Chart::from_json(const Json& json) {
  Chart chart;
  const auto kind = json.at("kind").get<std::string>();
  for (int k = 0; k < 4; ++k) {
    if (kind == kKinds[k]) chart.kind = static_cast<Kind>(k);
  }
  chart.title = json.at("title");
  chart.x_label = json.at("x_label");
  chart.y_label = json.at("y_label");
  chart.x_log = json.at("x_log");
  chart.y_log = json.at("y_log");
  chart.labels = json.at("labels").get<std::vector<std::string>>();
  for (const auto& s : json.at("series")) {
    chart.series.push_back({s.at("name"), numbers_from_json(s.at("xs")), numbers_from_json(s.at("ys"))});
  }
  chart.basis = basis_from_string(json.at("basis"));
  return chart;
}

Section& Section::text(std::string paragraph) {
  blocks_.emplace_back(Paragraph{std::move(paragraph)});
  return *this;
}
Section& Section::table(Table table) {
  blocks_.emplace_back(std::move(table));
  return *this;
}
Section& Section::chart(Chart chart) {
  for (const auto& s : chart.series) {
    if (!s.xs.empty() && s.xs.size() != s.ys.size()) {
      throw InvalidInput(fmt::format("chart '{}': series '{}' has {} x and {} y values", chart.title, s.name,
                                     s.xs.size(), s.ys.size()));
    }
    const bool by_label = chart.kind == Chart::Kind::bar || chart.kind == Chart::Kind::radar;
    if (by_label && !chart.labels.empty() && s.ys.size() != chart.labels.size()) {
      throw InvalidInput(fmt::format("chart '{}': series '{}' has {} values for {} labels", chart.title,
                                     s.name, s.ys.size(), chart.labels.size()));
    }
  }
  blocks_.emplace_back(std::move(chart));
  return *this;
}
Section& Section::figure(Figure figure) {
  // It goes into the page as it is, so it must be nothing but a picture.
  if (const auto wrong = what_is_wrong_with_svg(figure.svg); !wrong.empty())
    throw InvalidInput(
        fmt::format("figure '{}': {}; accepted: one plain <svg> element", figure.title, wrong));
  blocks_.emplace_back(std::move(figure));
  return *this;
}
Section& Section::command(std::string line) {
  blocks_.emplace_back(Command{std::move(line)});
  return *this;
}

Section& Section::log(std::string output) {
  blocks_.emplace_back(Log{std::move(output)});
  return *this;
}

void Section::print(std::FILE* out) const {
  fmt::print(out, "== {} ==\n", title);
  if (!uneven.empty()) fmt::print(out, "The uneven work: {}\n", uneven);
  if (!today.empty()) fmt::print(out, "Today:           {}\n", today);
  if (!ballast.empty()) fmt::print(out, "Ballast:         {}\n", ballast);
  for (const auto& block : blocks_) {
    fmt::print(out, "\n");
    if (const auto* paragraph = std::get_if<Paragraph>(&block)) fmt::print(out, "{}\n", paragraph->text);
    if (const auto* t = std::get_if<Table>(&block)) t->print(out);
    if (const auto* c = std::get_if<Chart>(&block))
      fmt::print(out, "[chart: {} ({})]\n", c->title, to_string(c->basis));
    if (const auto* f = std::get_if<Figure>(&block))
      fmt::print(out, "[figure: {} ({})]\n", f->title, to_string(f->basis));
    if (const auto* command = std::get_if<Command>(&block)) fmt::print(out, "$ {}\n", command->line);
    if (const auto* output = std::get_if<Log>(&block)) fmt::print(out, "{}\n", output->text);
  }
}

Json Section::to_json() const {
  Json json{{"title", title},
            {"uneven", uneven},
            {"today", today},
            {"ballast", ballast},
            {"blocks", Json::array()}};
  for (const auto& block : blocks_) {
    Json entry;
    if (const auto* paragraph = std::get_if<Paragraph>(&block)) entry = {{"text", paragraph->text}};
    if (const auto* t = std::get_if<Table>(&block)) entry = {{"table", t->to_json()}};
    if (const auto* c = std::get_if<Chart>(&block)) entry = {{"chart", c->to_json()}};
    if (const auto* f = std::get_if<Figure>(&block)) {
      entry = {{"figure", {{"title", f->title}, {"svg", f->svg}, {"basis", to_string(f->basis)}}}};
    }
    if (const auto* command = std::get_if<Command>(&block)) entry = {{"command", command->line}};
    if (const auto* output = std::get_if<Log>(&block)) entry = {{"log", output->text}};
    json["blocks"].push_back(std::move(entry));
  }
  return json;
}

namespace {

Section section_from(const Json& json) {
  Section section(json.at("title").get<std::string>());
  section.uneven = json.at("uneven");
  section.today = json.at("today");
  section.ballast = json.at("ballast");
  for (const auto& entry : json.at("blocks")) {
    if (entry.contains("text")) section.text(entry["text"]);
    if (entry.contains("table")) section.table(Table::from_json(entry["table"]));
    if (entry.contains("chart")) section.chart(Chart::from_json(entry["chart"]));
    if (entry.contains("figure")) {
      const auto& f = entry["figure"];
      section.figure({f.at("title"), f.at("svg"), basis_from_string(f.at("basis"))});
    }
    if (entry.contains("command")) section.command(entry["command"]);
    if (entry.contains("log")) section.log(entry["log"]);
  }
  return section;
}

}  // namespace

Section Section::from_json(const Json& json) {
  try {
    return section_from(json);
  } catch (const Json::exception& error) {
    throw InvalidInput(fmt::format("a section's JSON: {}", error.what()));
  }
}

void Report::write_html(const std::string& path) const {
  write_file(path, to_html());
}

}  // namespace ballast
