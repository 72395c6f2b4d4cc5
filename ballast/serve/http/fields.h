// Reading a JSON body field by field, with an ApiError that names the field for every mistake.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "ballast/serve/http/api_error.h"

namespace ballast::serve {

/// Throws ApiError 400 `malformed_json`, also for bodies nested deeper than 64 levels (a megabyte of '['
/// would exhaust the stack of whoever walks the document).
Json parse_body(std::string_view text);

[[noreturn]] void bad_field(const std::string& param, const std::string& message,
                            const char* code = "invalid_value");

class Fields {
 public:
  /// `where`: path of this object in the body, empty for the body itself. `json` must outlive the reader.
  Fields(const Json& json, std::string where);
  bool has(const char* key) const { return json_.contains(key) && !json_.at(key).is_null(); }
  const Json& at(const char* key) const { return json_.at(key); }
  std::string path(const char* key) const { return where_.empty() ? key : where_ + "." + key; }

  double number(const char* key, double otherwise, double least, double most) const;
  int integer(const char* key, int otherwise, int least, int most) const;
  bool flag(const char* key) const;
  std::string text(const char* key, const std::string& otherwise = {}) const;
  /// Refuses every other field: one that changes the answer must not be passed over.
  void only(const std::set<std::string>& known, const char* kind) const;

 private:
  const Json& json_;
  std::string where_;
};

}  // namespace ballast::serve
