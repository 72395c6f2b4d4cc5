// Bytes of a connection to HTTP requests, one after the other, within limits. The parser is Boost.Beast's;
// nothing here waits or knows a socket.
//
//   reader.add(bytes);
//   while (auto request = reader.next()) ...      // throws ApiError for what is no request
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "ballast/serve/http/http_request.h"

namespace ballast::serve {

class RequestReader {
 public:
  RequestReader(std::uint64_t body_bytes, std::uint32_t header_bytes);
  ~RequestReader();
  RequestReader(const RequestReader&) = delete;

  void add(std::string_view bytes);
  /// The next request that is here as a whole. Throws ApiError: 400 for what is no HTTP, 413 and 431 for too
  /// large a body or header; the connection cannot go on after that.
  std::optional<HttpRequest> next();
  /// Whether the last request leaves its connection open for another.
  bool keep_alive() const;
  /// Bytes that no request has used yet.
  std::size_t waiting() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ballast::serve
