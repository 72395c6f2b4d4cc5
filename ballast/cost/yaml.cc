#include "ballast/cost/yaml.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/json.h"

namespace ballast::cost {

Yaml Yaml::parse(std::string_view text, const std::string& file) {
  try {
    YAML::Node node = YAML::Load(std::string(text));
    const auto mark = node.Mark();
    return {node, file, mark};
  } catch (const YAML::Exception& error) {
    throw InvalidInput::at(file, static_cast<std::uint64_t>(std::max(0, error.mark.line)) + 1, error.msg,
                           "a YAML or JSON document");
  }
}

void Yaml::refuse(const std::string& problem, const std::string& accepted) const {
  throw InvalidInput::at(file_, static_cast<std::uint64_t>(std::max(0, mark_.line)) + 1, problem, accepted);
}

const Yaml& Yaml::only(const std::vector<std::string>& accepted) const {
  std::vector<std::string> seen;
  for (const auto& key : keys()) {
    if (std::find(accepted.begin(), accepted.end(), key) == accepted.end()) {
      std::string list;
      for (const auto& word : accepted) list += (list.empty() ? "" : ", ") + word;
      if (const auto close = cli::nearest(key, accepted))
        list += fmt::format(" (did you mean '{}'?)", *close);
      at(key).refuse(fmt::format("unknown key '{}'", key), list);
    }
    if (std::find(seen.begin(), seen.end(), key) != seen.end())
      at(key).refuse(fmt::format("key '{}' twice", key));
    seen.push_back(key);
  }
  return *this;
}

bool Yaml::has(const std::string& key) const {
  return node_.IsMap() && node_[key].IsDefined();
}

Yaml Yaml::at(const std::string& key) const {
  if (!node_.IsMap()) refuse(fmt::format("no mapping where '{}' is looked for", key), "key: value");
  for (const auto& entry : node_) {
    if (entry.first.IsScalar() && entry.first.Scalar() == key)
      return {entry.second, file_, entry.first.Mark()};
  }
  refuse(fmt::format("'{}' is missing", key));
}

std::vector<std::string> Yaml::keys() const {
  if (!node_.IsMap()) refuse("this is no mapping", "key: value");
  std::vector<std::string> names;
  for (const auto& entry : node_) {
    if (!entry.first.IsScalar()) refuse("a key that is no word", "key: value");
    names.push_back(entry.first.Scalar());
  }
  return names;
}

std::vector<Yaml> Yaml::list() const {
  if (!node_.IsSequence()) refuse("this is no list", "[a, b, ...]");
  std::vector<Yaml> entries;
  for (const auto& entry : node_) entries.push_back({entry, file_, entry.Mark()});
  return entries;
}

std::string Yaml::text() const {
  if (!node_.IsScalar()) refuse("this is no word", "one word or text");
  try {
    Json(node_.Scalar()).dump();  // what is no UTF-8 could be read, but not written again
  } catch (const Json::exception&) {
    refuse("this is not UTF-8", "text in UTF-8");
  }
  return node_.Scalar();
}

double Yaml::number() const {
  const std::string word = node_.IsScalar() ? node_.Scalar() : "";
  double value = 0;
  const char* end = word.data() + word.size();
  const auto [rest, error] = std::from_chars(word.data() + (word.starts_with("+") ? 1 : 0), end, value);
  if (error != std::errc{} || rest != end || !std::isfinite(value))
    refuse(fmt::format("'{}' is no number", word), "a finite number");
  return value;
}

double Yaml::positive() const {
  const double value = number();
  if (!(value > 0)) refuse(fmt::format("{} is not above 0", value), "a positive number");
  return value;
}

double Yaml::not_negative() const {
  const double value = number();
  if (value < 0) refuse(fmt::format("{} is below 0", value), "a number of at least 0");
  return value;
}

std::vector<double> Yaml::numbers() const {
  std::vector<double> values;
  for (const auto& entry : list()) values.push_back(entry.number());
  return values;
}

}  // namespace ballast::cost
