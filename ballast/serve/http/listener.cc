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
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <optional>

#include "ballast/base/errors.h"
#include "ballast/serve/http/request_reader.h"
#include "ballast/serve/http/transport.h"

namespace ballast::serve {
namespace asio = boost::asio;
using Tcp = asio::ip::tcp;
using ErrorCode = boost::system::error_code;
using asio::use_awaitable;

struct Listener::State {
  Application& application;
  ServerOptions options;
  asio::io_context io{1};
  Tcp::acceptor acceptor{io};
  std::shared_ptr<asio::ssl::context> tls;
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

std::string_view reason_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 413:
      return "Payload Too Large";
    case 422:
      return "Unprocessable Entity";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 503:
      return "Service Unavailable";
    default:
      return "Answer";
  }
}

// Status line and header of an answer; a value cannot break out of its line.
std::string head(int status, std::string_view type, bool keep_alive, const HeaderList& headers) {
  std::string text = fmt::format("HTTP/1.1 {} {}\r\nContent-Type: {}\r\nServer: ballast-serve\r\n", status,
                                 reason_of(status), type);
  for (const auto& [name, value] : headers) {
    std::string line = fmt::format("{}: {}", name, value);
    std::replace_if(
        line.begin(), line.end(), [](char c) { return c == '\r' || c == '\n'; }, ' ');
    text += line + "\r\n";
  }
  if (!keep_alive) text += "Connection: close\r\n";
  return text;
}

// One connection and the request that is being answered on it.
class Session final : public Exchange, public std::enable_shared_from_this<Session> {
 public:
  Session(Listener::State& state, std::unique_ptr<Transport> transport)
      : state_(state),
        transport_(std::move(transport)),
        bell_(state.io),
        reader_(state.options.limits.body_bytes, state.options.limits.header_bytes) {
    ++state_.connections;
  }
  ~Session() override { --state_.connections; }

  Task<void> run() {
    transport_->expires_after(seconds(limits().request_seconds));
    // Named, not `if (!co_await ...)`: of that GCC 12 puts the value before the frame's resume pointer, where
    // no coroutine_handle expects it.
    const bool opened = co_await transport_->open();
    if (!opened) co_return;
    while (co_await serve_one()) {
    }
    co_await transport_->close();
  }

  const HttpRequest& request() const override { return request_; }
  bool broken() const override { return broken_; }
  bool events_started() const override { return events_started_; }
  void close_after() override { keep_alive_ = false; }

  Task<void> send(int status, std::string type, std::string text, HeaderList headers) override {
    std::string bytes = head(status, type, keep_alive_, headers);
    bytes += fmt::format("Content-Length: {}\r\n\r\n", text.size());
    bytes += text;
    co_await write(bytes);
  }

  Task<void> start_events(HeaderList headers) override {
    events_started_ = true;
    headers.emplace_back("Cache-Control", "no-store");
    headers.emplace_back("Transfer-Encoding", "chunked");
    const std::string bytes = head(200, "text/event-stream; charset=utf-8", keep_alive_, headers) + "\r\n";
    co_await write(bytes);
  }

  Task<void> send_events(std::string events) override {
    const std::string bytes = fmt::format("{:x}\r\n{}\r\n", events.size(), events);
    co_await write(bytes);
  }

  Task<void> end_events() override {
    const std::string bytes = "0\r\n\r\n";
    co_await write(bytes);
  }

  void watch(std::function<void()> gone) override {
    gone_ = std::move(gone);
    watching_ = true;
    transport_->expires_never();
    asio::co_spawn(
        state_.io, [self = this->shared_from_this()] { return self->read_ahead(); }, asio::detached);
  }

  Task<void> end_watch() override {
    gone_ = nullptr;
    if (!watching_) co_return;
    if (!transport_->survives_cancel()) keep_alive_ = false;
    transport_->cancel();
    ErrorCode ignored;
    while (watching_) {
      bell_.expires_after(seconds(1));
      co_await bell_.async_wait(asio::redirect_error(use_awaitable, ignored));
    }
  }

 private:
  const ServerLimits& limits() const { return state_.options.limits; }

  Task<void> write(std::string_view bytes) {
    ErrorCode error;
    transport_->expires_after(seconds(limits().write_seconds));
    co_await transport_->write(bytes, error);
    broken_ = broken_ || error;
  }

  // Bytes of a next request stay in the reader.
  Task<void> read_ahead() {
    ErrorCode error;
    char bytes[2048];
    while (!error && reader_.waiting() < 65536) {
      const std::size_t got = co_await transport_->read(bytes, error);
      if (!error) reader_.add({bytes, got});
    }
    watching_ = false;
    bell_.cancel();
    if (!error || error == asio::error::operation_aborted) co_return;
    broken_ = true;
    if (const auto gone = std::exchange(gone_, nullptr)) gone();
  }

  // Reads until a whole request is here; false: the connection ended, timed out or brought what is none
  // (which is answered).
  Task<bool> read_request() {
    std::optional<ApiError> mistake;
    // Between requests a connection may rest; once a byte is here, the whole request must follow soon (slow
    // loris).
    bool begun = reader_.waiting() > 0;
    transport_->expires_after(seconds(begun ? limits().request_seconds : limits().idle_seconds));
    char bytes[8192];
    for (;;) {
      try {
        if (auto request = reader_.next()) {
          request_ = std::move(*request);
          co_return true;
        }
      } catch (const ApiError& error) {
        mistake = error;
        break;
      }
      ErrorCode error;
      const std::size_t got = co_await transport_->read(bytes, error);
      if (error) co_return false;
      reader_.add({bytes, got});
      if (!std::exchange(begun, true)) transport_->expires_after(seconds(limits().request_seconds));
    }
    keep_alive_ = false;
    co_await refuse(*mistake);
    co_return false;
  }

  // Reads one request and answers it; false: the connection is to be closed.
  Task<bool> serve_one() {
    events_started_ = false;
    const bool here = co_await read_request();
    if (!here) co_return false;
    keep_alive_ = reader_.keep_alive();
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
  std::unique_ptr<Transport> transport_;
  asio::steady_timer bell_;
  RequestReader reader_;
  HttpRequest request_;
  std::function<void()> gone_;
  bool keep_alive_ = true, broken_ = false, watching_ = false, events_started_ = false;
};

}  // namespace

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
  tls = tls_context(options.tls_certificate, options.tls_key);
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
    auto transport = tls ? tls_transport(std::move(socket), *tls) : plain_transport(std::move(socket));
    asio::co_spawn(
        io, [session = std::make_shared<Session>(*this, std::move(transport))] { return session->run(); },
        asio::detached);
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
