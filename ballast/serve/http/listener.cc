#include "ballast/serve/http/listener.h"

// (kept apart: asio must come after <utility>)
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <chrono>
#include <optional>

#include "ballast/base/errors.h"

namespace ballast::serve {
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Tcp = asio::ip::tcp;
using ErrorCode = beast::error_code;
using asio::use_awaitable;

struct Listener::State {
  Application& application;
  ServerOptions options;
  asio::io_context io{1};
  Tcp::acceptor acceptor{io};
  std::unique_ptr<asio::ssl::context> tls;
  std::atomic<int> connections = 0;

  State(Application& the_application, const ServerOptions& the_options)
      : application(the_application), options(the_options) {}
  void set_up_tls();
  void bind();
  Task<void> accept();
};

namespace {

std::chrono::milliseconds seconds(double s) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(s * 1000));
}

// One connection, plain or TLS, and the request that is being answered on it.
template <typename Stream>
class Session final : public Exchange, public std::enable_shared_from_this<Session<Stream>> {
 public:
  Session(Listener::State& state, Stream stream)
      : state_(state), stream_(std::move(stream)), bell_(state.io) {
    ++state_.connections;
  }
  ~Session() override { --state_.connections; }

  Task<void> run() {
    ErrorCode error;
    if constexpr (!kPlain) {
      lowest().expires_after(seconds(limits().request_seconds));
      co_await stream_.async_handshake(asio::ssl::stream_base::server,
                                       asio::redirect_error(use_awaitable, error));
      if (error) co_return;
    }
    while (co_await serve_one()) {
    }
    if constexpr (kPlain) {
      lowest().socket().shutdown(Tcp::socket::shutdown_send, error);
    } else {
      lowest().expires_after(seconds(1));
      co_await stream_.async_shutdown(asio::redirect_error(use_awaitable, error));
    }
  }

  const HttpRequest& request() const override { return request_; }
  bool broken() const override { return broken_; }
  bool events_started() const override { return events_started_; }
  void close_after() override { keep_alive_ = false; }

  Task<void> send(int status, std::string type, std::string text, HeaderList headers) override {
    http::response<http::string_body> response(static_cast<http::status>(status), 11);
    response.set(http::field::content_type, type);
    response.set(http::field::server, "ballast-serve");
    for (const auto& [name, value] : headers) response.set(name, value);
    response.keep_alive(keep_alive_);
    response.body() = std::move(text);
    response.prepare_payload();
    ErrorCode error;
    lowest().expires_after(seconds(limits().write_seconds));
    co_await http::async_write(stream_, response, asio::redirect_error(use_awaitable, error));
    broken_ = broken_ || error;
  }

  Task<void> start_events(HeaderList headers) override {
    events_started_ = true;
    http::response<http::empty_body> response(http::status::ok, 11);
    response.set(http::field::content_type, "text/event-stream; charset=utf-8");
    response.set(http::field::cache_control, "no-store");
    for (const auto& [name, value] : headers) response.set(name, value);
    response.keep_alive(keep_alive_);
    response.chunked(true);
    http::response_serializer<http::empty_body> serializer(response);
    ErrorCode error;
    lowest().expires_after(seconds(limits().write_seconds));
    co_await http::async_write_header(stream_, serializer, asio::redirect_error(use_awaitable, error));
    broken_ = broken_ || error;
  }

  Task<void> send_events(std::string bytes) override {
    ErrorCode error;
    lowest().expires_after(seconds(limits().write_seconds));
    co_await asio::async_write(stream_, http::make_chunk(asio::buffer(bytes)),
                               asio::redirect_error(use_awaitable, error));
    broken_ = broken_ || error;
  }

  Task<void> end_events() override {
    ErrorCode error;
    lowest().expires_after(seconds(limits().write_seconds));
    co_await asio::async_write(stream_, http::make_chunk_last(), asio::redirect_error(use_awaitable, error));
    broken_ = broken_ || error;
  }

  void watch(std::function<void()> gone) override {
    gone_ = std::move(gone);
    watching_ = true;
    lowest().expires_never();
    asio::co_spawn(
        state_.io, [self = this->shared_from_this()] { return self->read_ahead(); }, asio::detached);
  }

  Task<void> end_watch() override {
    gone_ = nullptr;
    if (!watching_) co_return;
    if constexpr (!kPlain) keep_alive_ = false;  // a cut read leaves TLS undefined
    lowest().cancel();
    ErrorCode ignored;
    while (watching_) {
      bell_.expires_after(seconds(1));
      co_await bell_.async_wait(asio::redirect_error(use_awaitable, ignored));
    }
  }

 private:
  static constexpr bool kPlain = std::is_same_v<Stream, beast::tcp_stream>;
  beast::tcp_stream& lowest() { return beast::get_lowest_layer(stream_); }
  const ServerLimits& limits() const { return state_.options.limits; }

  // Bytes of a next request stay in the buffer.
  Task<void> read_ahead() {
    ErrorCode error;
    while (!error && buffer_.size() < 65536) {
      const std::size_t got =
          co_await stream_.async_read_some(buffer_.prepare(2048), asio::redirect_error(use_awaitable, error));
      if (!error) buffer_.commit(got);
    }
    watching_ = false;
    bell_.cancel();
    if (!error || error == asio::error::operation_aborted) co_return;
    broken_ = true;
    if (const auto gone = std::exchange(gone_, nullptr)) gone();
  }

  void take(const http::request<http::string_body>& message) {
    request_ = {};
    const auto word = http::to_string(message.method());
    request_.method.assign(word.data(), word.size());
    const std::string_view target(message.target().data(), message.target().size());
    request_.path = std::string(target.substr(0, target.find('?')));
    request_.body = message.body();
    for (const auto& field : message) {
      std::string name(field.name_string().data(), field.name_string().size());
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      request_.headers.emplace_back(std::move(name), std::string(field.value().data(), field.value().size()));
    }
  }

  std::optional<ApiError> mistake_of(const ErrorCode& error) const {
    if (error == http::error::body_limit)
      return ApiError(413, "body_too_large",
                      fmt::format("the body is larger than {} bytes", limits().body_bytes));
    if (error == http::error::header_limit)
      return ApiError(431, "header_too_large",
                      fmt::format("the header is larger than {} bytes", limits().header_bytes));
    if (error == beast::error::timeout) return std::nullopt;
    return ApiError(400, "malformed_request", fmt::format("not an HTTP request ({})", error.message()));
  }

  // Reads one request and answers it; false: the connection is to be closed.
  Task<bool> serve_one() {
    ErrorCode error;
    events_started_ = false;
    if (buffer_.size() == 0) {
      // Between requests a connection may rest; once a byte is here, the whole request must follow soon (slow
      // loris).
      lowest().expires_after(seconds(limits().idle_seconds));
      const std::size_t got =
          co_await stream_.async_read_some(buffer_.prepare(4096), asio::redirect_error(use_awaitable, error));
      if (error) co_return false;
      buffer_.commit(got);
    }
    http::request_parser<http::string_body> parser;
    parser.body_limit(limits().body_bytes);
    parser.header_limit(limits().header_bytes);
    lowest().expires_after(seconds(limits().request_seconds));
    co_await http::async_read(stream_, buffer_, parser, asio::redirect_error(use_awaitable, error));
    if (error == http::error::end_of_stream || error == asio::error::eof) co_return false;
    keep_alive_ = false;
    if (error) {
      if (const auto mistake = mistake_of(error)) co_await refuse(*mistake);
      co_return false;
    }
    take(parser.get());
    keep_alive_ = parser.get().keep_alive();
    std::optional<ApiError> refusal;
    try {
      co_await state_.application.answer(*this);
    } catch (const ApiError& mistake) {
      refusal = mistake;
    } catch (const std::exception& failure) {
      refusal = ApiError(500, "internal_error", failure.what());
    }
    if (refusal && watching_) co_await end_watch();
    if (refusal && events_started_)
      broken_ = true;  // a stream that cannot be finished is cut
    else if (refusal && !broken_)
      co_await refuse(*refusal);
    co_return keep_alive_ && !broken_;
  }

  Listener::State& state_;
  Stream stream_;
  asio::steady_timer bell_;
  beast::flat_buffer buffer_;
  HttpRequest request_;
  std::function<void()> gone_;
  bool keep_alive_ = true, broken_ = false, watching_ = false, events_started_ = false;
};

}  // namespace

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

Task<void> Exchange::send_json(int status, const Json& json, HeaderList headers) {
  return send(status, "application/json", json.dump(-1, ' ', false, Json::error_handler_t::replace),
              std::move(headers));
}

Task<void> Exchange::refuse(const ApiError& error) {
  HeaderList headers;
  if (error.retry_after_ms > 0)
    headers.emplace_back(
        "Retry-After", std::to_string(static_cast<int>(std::max(1.0, error.retry_after_ms / 1000 + 0.999))));
  return send_json(error.status, error.to_json(), std::move(headers));
}

void Listener::State::set_up_tls() {
  if (options.tls_certificate.empty() != options.tls_key.empty())
    throw InvalidInput("--tls-cert and --tls-key belong together");
  if (options.tls_certificate.empty()) return;
  tls = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_server);
  tls->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_sslv2 |
                   asio::ssl::context::no_sslv3 | asio::ssl::context::no_tlsv1 |
                   asio::ssl::context::no_tlsv1_1);
  ErrorCode error;
  tls->use_certificate_chain_file(options.tls_certificate, error);
  if (error)
    throw Unavailable(
        fmt::format("{}: no certificate can be read ({})", options.tls_certificate, error.message()));
  tls->use_private_key_file(options.tls_key, asio::ssl::context::pem, error);
  if (error)
    throw Unavailable(fmt::format("{}: no private key can be read ({})", options.tls_key, error.message()));
}

void Listener::State::bind() {
  ErrorCode error;
  const auto address = asio::ip::make_address(options.host, error);
  if (error) throw InvalidInput("--host", options.host, "an IP address, such as 127.0.0.1");
  const Tcp::endpoint endpoint(address, options.port);
  acceptor.open(endpoint.protocol());
  acceptor.set_option(asio::socket_base::reuse_address(true));
  acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error)
    throw Unavailable(
        fmt::format("cannot listen on {}:{} ({})", options.host, options.port, error.message()));
}

Task<void> Listener::State::accept() {
  while (acceptor.is_open()) {
    ErrorCode error;
    Tcp::socket socket = co_await acceptor.async_accept(asio::redirect_error(use_awaitable, error));
    if (error == asio::error::operation_aborted) co_return;
    if (error) {  // out of descriptors: breathe, then go on
      asio::steady_timer pause(io, std::chrono::milliseconds(100));
      co_await pause.async_wait(asio::redirect_error(use_awaitable, error));
      continue;
    }
    if (connections >= options.limits.connections) continue;  // closed at once
    socket.set_option(Tcp::no_delay(true), error);
    auto begin = [this](auto session) {
      asio::co_spawn(
          io, [session] { return session->run(); }, asio::detached);
    };
    if (tls)
      begin(std::make_shared<Session<beast::ssl_stream<beast::tcp_stream>>>(
          *this, beast::ssl_stream<beast::tcp_stream>(beast::tcp_stream(std::move(socket)), *tls)));
    else
      begin(std::make_shared<Session<beast::tcp_stream>>(*this, beast::tcp_stream(std::move(socket))));
  }
}

Listener::Listener(Application& application, const ServerOptions& options)
    : state_(std::make_unique<State>(application, options)) {
  state_->set_up_tls();
  state_->bind();
}
Listener::~Listener() = default;

std::uint16_t Listener::port() const {
  return state_->acceptor.local_endpoint().port();
}
int Listener::connections() const {
  return state_->connections;
}
asio::io_context& Listener::io() {
  return state_->io;
}

void Listener::run() {
  asio::co_spawn(state_->io, state_->accept(), asio::detached);
  state_->io.run();
}

void Listener::stop() {
  state_->io.stop();
}

}  // namespace ballast::serve
