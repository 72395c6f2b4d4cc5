#include "ballast/serve/http/request_reader.h"

#include <utility>  // Boost 1.74's asio forgets it
// (kept apart: asio must come after it)
#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

namespace ballast::serve {
namespace http = boost::beast::http;

struct RequestReader::State {
  State(std::uint64_t body, std::uint32_t header) : body_bytes(body), header_bytes(header) {}
  std::uint64_t body_bytes;
  std::uint32_t header_bytes;
  std::string bytes = {};
  std::optional<http::request_parser<http::string_body>> parser = {};
  bool keep_alive = true;
};

RequestReader::RequestReader(std::uint64_t body_bytes, std::uint32_t header_bytes)
    : state_(std::make_unique<State>(body_bytes, header_bytes)) {}
RequestReader::~RequestReader() = default;

void RequestReader::add(std::string_view bytes) {
  state_->bytes += bytes;
}
bool RequestReader::keep_alive() const {
  return state_->keep_alive;
}
std::size_t RequestReader::waiting() const {
  return state_->bytes.size();
}

namespace {

HttpRequest plain(http::request<http::string_body>& message) {
  HttpRequest request;
  const auto word = message.method_string();
  request.method.assign(word.data(), word.size());
  const std::string_view target(message.target().data(), message.target().size());
  request.path = std::string(target.substr(0, target.find('?')));
  request.body = std::move(message.body());
  for (const auto& field : message) {
    std::string name(field.name_string().data(), field.name_string().size());
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    request.headers.emplace_back(std::move(name), std::string(field.value().data(), field.value().size()));
  }
  return request;
}

}  // namespace

std::optional<HttpRequest> RequestReader::next() {
  State& s = *state_;
  if (!s.parser) {
    s.parser.emplace();
    s.parser->body_limit(s.body_bytes);
    s.parser->header_limit(s.header_bytes);
    s.parser->eager(true);
  }
  while (!s.bytes.empty() && !s.parser->is_done()) {
    boost::beast::error_code error;
    const std::size_t used = s.parser->put(boost::asio::buffer(s.bytes), error);
    s.bytes.erase(0, used);
    if (error == http::error::body_limit)
      throw ApiError(413, "body_too_large", fmt::format("the body is larger than {} bytes", s.body_bytes));
    if (error == http::error::header_limit)
      throw ApiError(431, "header_too_large",
                     fmt::format("the header is larger than {} bytes", s.header_bytes));
    if (error && error != http::error::need_more)
      throw ApiError(400, "malformed_request", fmt::format("not an HTTP request ({})", error.message()));
    if (error || used == 0) break;
  }
  if (!s.parser->is_done()) return std::nullopt;
  s.keep_alive = s.parser->get().keep_alive();
  HttpRequest request = plain(s.parser->get());
  s.parser.reset();
  return request;
}

std::string HttpRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

void HttpRequest::require(std::string_view wanted) const {
  if (method != wanted)
    throw ApiError(405, "method_not_allowed", fmt::format("{} takes {} only", path, wanted));
}

}  // namespace ballast::serve
