#include "ballast/serve/http/fields.h"

#include <fmt/format.h>

#include <cmath>

namespace ballast::serve {

Json parse_body(std::string_view text) {
  constexpr int kDeepest = 64;
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kDeepest)
        throw ApiError(400, "malformed_json",
                       fmt::format("the body is nested deeper than {} levels", kDeepest));
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  try {
    return Json::parse(text);
  } catch (const Json::exception&) {
    throw ApiError(400, "malformed_json", "the body is not valid JSON");
  }
}

void bad_field(const std::string& param, const std::string& message, const char* code) {
  throw ApiError(400, code, message, param);
}

Fields::Fields(const Json& json, std::string where) : json_(json), where_(std::move(where)) {
  if (!json.is_object())
    bad_field(where_, fmt::format("'{}' must be an object", where_.empty() ? "body" : where_));
}

double Fields::number(const char* key, double otherwise, double least, double most) const {
  if (!has(key)) return otherwise;
  const Json& value = at(key);
  if (!value.is_number()) bad_field(path(key), fmt::format("'{}' must be a number", path(key)));
  const double number = value.get<double>();
  if (!std::isfinite(number) || number < least || number > most)
    bad_field(path(key), fmt::format("'{}' is {}; accepted: {} to {}", path(key), number, least, most));
  return number;
}

int Fields::integer(const char* key, int otherwise, int least, int most) const {
  if (!has(key)) return otherwise;
  if (!at(key).is_number_integer()) bad_field(path(key), fmt::format("'{}' must be an integer", path(key)));
  return static_cast<int>(number(key, otherwise, least, most));
}

bool Fields::flag(const char* key) const {
  if (!has(key)) return false;
  if (!at(key).is_boolean()) bad_field(path(key), fmt::format("'{}' must be true or false", path(key)));
  return at(key).get<bool>();
}

std::string Fields::text(const char* key, const std::string& otherwise) const {
  if (!has(key)) return otherwise;
  if (!at(key).is_string()) bad_field(path(key), fmt::format("'{}' must be a text", path(key)));
  return at(key).get<std::string>();
}

void Fields::only(const std::set<std::string>& known, const char* kind) const {
  for (const auto& [key, value] : json_.items()) {
    if (known.contains(key) || value.is_null()) continue;
    bad_field(path(key.c_str()), fmt::format("the {} '{}' is not supported here", kind, path(key.c_str())),
              "unsupported_field");
  }
}

}  // namespace ballast::serve
