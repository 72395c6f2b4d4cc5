#include "ballast/serve/http/call.h"

// (kept apart: asio must come after <utility>)
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <chrono>

// g++ 12 takes the frame allocation of asio's coroutines for a mismatch with its own deallocation.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

namespace ballast::serve {
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Tcp = asio::ip::tcp;
using asio::use_awaitable;

struct HttpCall::State {
  State(asio::io_context& the_io, double seconds)
      : io(the_io), stream(the_io), patience(static_cast<std::int64_t>(seconds * 1000)) {
    parser.body_limit(std::uint64_t{1} << 30);
  }
  asio::io_context& io;
  beast::tcp_stream stream;
  std::chrono::milliseconds patience;
  beast::flat_buffer buffer;
  http::response_parser<http::buffer_body> parser;
};

HttpCall::HttpCall(asio::io_context& io, double patience_seconds)
    : state_(std::make_unique<State>(io, patience_seconds)) {}
HttpCall::~HttpCall() = default;

Task<void> HttpCall::send(HttpMessage message) {
  State& s = *state_;
  s.stream.expires_after(s.patience);
  beast::error_code error;
  const auto address = asio::ip::make_address(message.host, error);
  if (!error) {
    const Tcp::endpoint endpoint(address, static_cast<std::uint16_t>(std::stoi(message.port)));
    co_await s.stream.async_connect(endpoint, use_awaitable);
  } else {
    Tcp::resolver resolver(s.io);
    const auto found = co_await resolver.async_resolve(message.host, message.port, use_awaitable);
    co_await s.stream.async_connect(found, use_awaitable);
  }
  s.stream.socket().set_option(Tcp::no_delay(true));
  http::request<http::string_body> request(http::string_to_verb(message.method), message.path, 11);
  request.set(http::field::host, message.host);
  if (!message.body.empty()) request.set(http::field::content_type, "application/json");
  for (const auto& [name, value] : message.headers) request.set(name, value);
  request.keep_alive(false);
  request.body() = std::move(message.body);
  request.prepare_payload();
  co_await http::async_write(s.stream, request, use_awaitable);
}

Task<int> HttpCall::status() {
  State& s = *state_;
  s.stream.expires_after(s.patience);
  co_await http::async_read_header(s.stream, s.buffer, s.parser, use_awaitable);
  co_return static_cast<int>(s.parser.get().result_int());
}

std::string HttpCall::header(const std::string& name) const {
  const auto value = state_->parser.get()[name];
  return {value.data(), value.size()};
}

Task<std::string> HttpCall::more() {
  State& s = *state_;
  char bytes[8192];
  while (!s.parser.is_done()) {
    s.parser.get().body().data = bytes;
    s.parser.get().body().size = sizeof bytes;
    s.stream.expires_after(s.patience);
    beast::error_code error;
    co_await http::async_read_some(s.stream, s.buffer, s.parser, asio::redirect_error(use_awaitable, error));
    if (error && error != http::error::need_buffer) throw beast::system_error(error);
    const std::size_t got = sizeof bytes - s.parser.get().body().size;
    if (got > 0) co_return std::string(bytes, got);
  }
  co_return std::string();
}

Task<std::string> HttpCall::rest() {
  std::string all;
  for (;;) {
    const std::string piece = co_await more();
    if (piece.empty()) co_return all;
    all += piece;
  }
}

void HttpCall::cancel() {
  state_->stream.close();
}

}  // namespace ballast::serve
