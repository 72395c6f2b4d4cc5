#include "ballast/serve/http/api_error.h"

namespace ballast::serve {

ApiError::ApiError(int http_status, std::string error_code, const std::string& message, std::string parameter)
    : std::runtime_error(message),
      status(http_status),
      code(std::move(error_code)),
      param(std::move(parameter)) {}

Json ApiError::to_json() const {
  const char* type = status == 401   ? "authentication_error"
                     : status == 429 ? "rate_limit_error"
                     : status >= 500 ? "server_error"
                                     : "invalid_request_error";
  Json error{{"message", what()}, {"type", type}, {"param", nullptr}, {"code", code}};
  if (!param.empty()) error["param"] = param;
  return {{"error", error}};
}

}  // namespace ballast::serve
