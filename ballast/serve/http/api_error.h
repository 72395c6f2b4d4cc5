// A refusal as OpenAI's clients expect it.
#pragma once

#include <stdexcept>
#include <string>

#include "ballast/base/json.h"

namespace ballast::serve {

/// A refusal as OpenAI's clients expect it: an HTTP status and {error: {message, type, param, code}}.
struct ApiError : std::runtime_error {
  ApiError(int http_status, std::string error_code, const std::string& message, std::string parameter = {});
  int status;
  std::string code, param;
  double retry_after_ms = 0;
  Json to_json() const;
};

}  // namespace ballast::serve
