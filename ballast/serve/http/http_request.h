// One HTTP request as plain strings.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ballast/serve/http/api_error.h"

namespace ballast::serve {

using HeaderList = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method;  ///< "GET", ...
  std::string path;    ///< without the query
  std::string body;
  HeaderList headers;  ///< names in lower case

  /// The first header of this (lower-case) name, or an empty text.
  std::string header(std::string_view name) const;
  /// Throws ApiError 405 for another method.
  void require(std::string_view method) const;
};

}  // namespace ballast::serve
