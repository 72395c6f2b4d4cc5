#include "ballast/robot/results/published.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <regex>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"

namespace ballast::robot {
namespace {

std::optional<double> number_behind(const std::string& text, const std::regex& pattern,
                                    std::size_t group = 1) {
  std::smatch match;
  if (!std::regex_search(text, match, pattern)) return std::nullopt;
  return std::strtod(match[group].str().c_str(), nullptr);
}

std::string text_at(const YAML::Node& node) {
  return node && node.IsScalar() ? node.as<std::string>() : "";
}

std::string quoted(const std::string& text) {
  YAML::Emitter out;
  out << YAML::DoubleQuoted << text;
  return out.c_str();
}

}  // namespace

Note parse_note(const std::string& note) {
  static const auto flags = std::regex::icase | std::regex::optimize;
  static const std::string number = "(?:_benchmark)?[ ,:]*(-?[0-9]+(?:\\.[0-9]+)?)";
  static const std::regex mean("\\bmean" + number, flags), rms("\\brms" + number, flags),
      max("\\bmax" + number, flags), min("\\bmin" + number, flags), middle("\\bmedian" + number, flags),
      lost("lost(?: messages)? *([0-9.]+) *%", flags), lost_behind("([0-9.]+) *% lost", flags),
      bounded("(?:bounded to|targeting) *([0-9.]+) *fps", flags), update("update rate *([0-9.]+) *Hz", flags),
      swept("swept(?: from)? *([0-9.]+) *(?:to|-) *([0-9.]+) *fps", flags);
  Note result;
  result.mean = number_behind(note, mean);
  result.rms = number_behind(note, rms);
  result.max = number_behind(note, max);
  result.min = number_behind(note, min);
  result.median = number_behind(note, middle);
  result.loss_percent = number_behind(note, lost);
  if (!result.loss_percent) result.loss_percent = number_behind(note, lost_behind);
  result.bounded_hz = number_behind(note, bounded);
  if (!result.bounded_hz) result.bounded_hz = number_behind(note, update);
  result.swept_from_hz = number_behind(note, swept, 1);
  result.swept_to_hz = number_behind(note, swept, 2);
  return result;
}

std::string iso_date(const std::string& text) {
  static const std::regex day_first("^ *([0-9]{1,2})-([0-9]{1,2})-([0-9]{4}).*"),
      iso("^ *([0-9]{4})-([0-9]{2})-([0-9]{2}).*");
  std::smatch match;
  if (std::regex_match(text, match, iso))
    return fmt::format("{}-{}-{}", match[1].str(), match[2].str(), match[3].str());
  if (std::regex_match(text, match, day_first))
    return fmt::format("{}-{:0>2}-{:0>2}", match[3].str(), match[2].str(), match[1].str());
  return text;
}

PublishedSet parse_published(const std::string& text, const std::string& file) {
  try {
    const YAML::Node root = YAML::Load(text);
    if (!root.IsMap() || !root["id"] || !root["results"])
      throw InvalidInput::at(file, 1, "no RobotPerf result file", "a map with id, name and results");
    PublishedSet set{text_at(root["id"]), text_at(root["name"]), text_at(root["description"]), {}};
    for (const auto& item : root["results"]) {
      const YAML::Node node = item["result"];
      const auto line = static_cast<std::uint64_t>(std::max(item.Mark().line, 0)) + 1;
      if (!node || !node.IsMap()) throw InvalidInput::at(file, line, "an entry without 'result'");
      PublishedResult result{.benchmark = set.id};
      result.hardware = text_at(node["hardware"]);
      const auto first = result.hardware.find_first_not_of(' '), last = result.hardware.find_last_not_of(' ');
      result.hardware = first == std::string::npos ? "" : result.hardware.substr(first, last - first + 1);
      result.category = text_at(node["category"]);
      result.metric = text_at(node["metric"]);
      result.unit = text_at(node["metric_unit"]);
      result.type = text_at(node["type"]);
      result.datasource = text_at(node["datasource"]);
      result.note = text_at(node["note"]);
      result.date = iso_date(text_at(node["timestampt"]));
      double value;
      if (node["value"] && YAML::convert<double>::decode(node["value"], value)) result.value = value;
      result.stated = parse_note(result.note);
      result.file = std::filesystem::path(file).filename().string();
      result.line = line;
      set.results.push_back(std::move(result));
    }
    return set;
  } catch (const YAML::Exception& error) {
    throw InvalidInput::at(file, static_cast<std::uint64_t>(std::max(error.mark.line, 0)) + 1, error.msg);
  }
}

std::vector<PublishedSet> read_published(const std::string& path) {
  std::vector<std::string> files;
  if (std::filesystem::is_directory(path)) {
    for (const auto& item : std::filesystem::directory_iterator(path))
      if (item.path().extension() == ".yaml" || item.path().extension() == ".json")
        files.push_back(item.path().string());
    std::sort(files.begin(), files.end());
    if (files.empty()) throw Unavailable(path + " holds no .yaml or .json file");
  } else {
    files.push_back(path);
  }
  std::vector<PublishedSet> sets;
  for (const auto& file : files)
    sets.push_back(file.ends_with(".json") ? parse_r2b(read_json(file), file)
                                           : parse_published(read_file(file, 64 << 20), file));
  return sets;
}

std::string to_yaml(const PublishedSet& set) {
  std::string text =
      fmt::format("id: {}\nname: {}\ndescription: {}\nresults:\n", set.id, set.name, quoted(set.description));
  for (const auto& result : set.results)
    text += fmt::format(
        "- result:\n    category: {}\n    datasource: {}\n    hardware: {}\n    metric: {}\n    metric_unit: "
        "{}\n"
        "    note: {}\n    timestampt: {}\n    type: {}\n    value: {}\n",
        quoted(result.category), quoted(result.datasource), quoted(result.hardware), result.metric,
        result.unit, quoted(result.note), quoted(result.date), result.type,
        result.value.value_or(std::nan("")));
  return text;
}

}  // namespace ballast::robot
