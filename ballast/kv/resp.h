// The Redis serialisation protocol, version 2: requests in, replies out. A parser is fed bytes as they come
// and gives whole requests; what is no request ends the connection with one error, as in Redis.
//
//   RespParser parser;
//   parser.feed(bytes);
//   while (auto request = parser.next()) handle(*request);       // {"SET", "key", "value"}
//   if (!parser.error().empty()) close after sending it
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ballast::kv {

struct RespLimits {
  std::size_t arguments = 1 << 16;  ///< of one request
  std::size_t argument_bytes = std::size_t{16} << 20;
  std::size_t request_bytes = std::size_t{64} << 20;  ///< of all arguments of one request
  std::size_t inline_bytes = 64 << 10;                ///< of a request on one line
};

class RespParser {
 public:
  using Request = std::vector<std::string>;

  explicit RespParser(const RespLimits& limits = {}) : limits_(limits) {}

  void feed(std::string_view bytes) { buffer_.append(bytes); }
  /// The next whole request (never empty); nullopt: more bytes are needed, or there was an error.
  std::optional<Request> next();
  /// What is wrong with the bytes, as Redis words it; empty: nothing. Nothing is parsed after an error.
  const std::string& error() const { return error_; }
  /// Bytes that are held because their request is not complete.
  std::size_t held() const { return buffer_.size() - at_; }

 private:
  std::optional<std::string_view> line();
  std::optional<Request> inline_request(std::string_view line);
  bool fail(std::string text);

  RespLimits limits_;
  std::string buffer_;
  std::size_t at_ = 0;  ///< parsed so far
  // A request in several pieces: what of it has been read.
  std::optional<std::size_t> expected_;  ///< arguments
  std::optional<std::size_t> bulk_;      ///< bytes of the argument that comes
  std::size_t request_bytes_ = 0;
  Request partial_;
  std::string error_;
};

/// Replies, appended to `out`.
void resp_simple(std::string& out, std::string_view text);  ///< +OK
void resp_error(std::string& out, std::string_view text);   ///< -ERR ...
void resp_integer(std::string& out, std::int64_t number);   ///< :1
void resp_bulk(std::string& out, std::string_view bytes);   ///< $5 hello
void resp_null(std::string& out);                           ///< $-1
void resp_array(std::string& out, std::size_t elements);    ///< *2, the elements follow

}  // namespace ballast::kv
