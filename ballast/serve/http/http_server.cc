#include "ballast/serve/http/http_server.h"

#include <utility>  // Boost 1.74's asio forgets it
// (kept apart: asio must come after it)
#include <fmt/format.h>
#include <sys/socket.h>

#include <boost/asio/awaitable.hpp>
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

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <mutex>
#include <sstream>
#include <unordered_map>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/serve/http/dashboard.h"

namespace ballast::serve {
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Tcp = asio::ip::tcp;
using ErrorCode = beast::error_code;
using asio::use_awaitable;
template <typename T>
using Task = asio::awaitable<T>;
using Clock = std::chrono::steady_clock;

namespace {

std::chrono::milliseconds seconds(double s) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(s * 1000));
}

// Where the engine thread leaves a request's events for its connection. Everything but put() is the I/O
// thread's.
class Mailbox : public std::enable_shared_from_this<Mailbox> {
 public:
  explicit Mailbox(asio::io_context& io) : io_(io), bell_(io) {}

  void put(Event event) {
    {
      const std::lock_guard lock(mutex_);
      events_.push_back(std::move(event));
    }
    ring();
  }
  void ring() {
    asio::post(io_, [self = shared_from_this()] { self->bell_.cancel(); });
  }
  std::deque<Event> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(events_, {});
  }
  /// Returns when something was put, somebody rang, or the time is over.
  Task<void> wait(std::chrono::milliseconds most) {
    {
      const std::lock_guard lock(mutex_);
      if (!events_.empty()) co_return;
    }
    bell_.expires_after(most);
    ErrorCode ignored;
    co_await bell_.async_wait(asio::redirect_error(use_awaitable, ignored));
  }

  bool client_gone = false;
  bool watching = false;

 private:
  asio::io_context& io_;
  asio::steady_timer bell_;
  std::mutex mutex_;
  std::deque<Event> events_;
};

// (Outside of the coroutines: g++ 12 cannot keep an initialiser list across a suspension.)
Json status_word(const char* word) {
  return {{"status", word}};
}
Json cancelled_document(const std::string& id) {
  return {{"id", id}, {"cancelled", true}};
}

// Compares without telling by its time where the difference is.
bool same_secret(std::string_view a, std::string_view b) {
  unsigned char difference = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < a.size(); ++i)
    difference |= static_cast<unsigned char>(a[i] ^ (b.empty() ? 0 : b[i % b.size()]));
  return difference == 0;
}

}  // namespace

struct HttpServer::State {
  Service& service;
  ServerOptions options;
  asio::io_context io{1};
  Tcp::acceptor acceptor{io};
  asio::steady_timer drain_timer{io};
  std::unique_ptr<asio::ssl::context> tls;
  std::vector<std::string> keys;
  std::atomic<int> connections = 0;
  std::unordered_map<std::string, Engine::Id> by_name;  ///< answers under way, for DELETE

  State(Service& the_service, const ServerOptions& the_options)
      : service(the_service), options(the_options) {}

  void read_keys() {
    if (options.api_keys_file.empty()) return;
    std::istringstream lines(read_file(options.api_keys_file, 1 << 20));
    for (std::string line; std::getline(lines, line);) {
      while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
      if (!line.empty() && line[0] != '#') keys.push_back(line);
    }
    if (keys.empty()) throw InvalidInput(fmt::format("{}: holds no key", options.api_keys_file));
  }

  void set_up_tls() {
    if (options.tls_certificate.empty() != options.tls_key.empty())
      throw InvalidInput("--tls-cert and --tls-key belong together");
    if (options.tls_certificate.empty()) return;
    tls = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_server);
    ErrorCode error;
    tls->use_certificate_chain_file(options.tls_certificate, error);
    if (error)
      throw Unavailable(
          fmt::format("{}: no certificate can be read ({})", options.tls_certificate, error.message()));
    tls->use_private_key_file(options.tls_key, asio::ssl::context::pem, error);
    if (error)
      throw Unavailable(fmt::format("{}: no private key can be read ({})", options.tls_key, error.message()));
  }

  void bind() {
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

  bool authorised(beast::string_view header) const {
    if (keys.empty()) return true;
    constexpr std::string_view kBearer = "Bearer ";
    const std::string_view text(header.data(), header.size());
    if (!text.starts_with(kBearer)) return false;
    bool found = false;
    for (const std::string& key : keys) found |= same_secret(text.substr(kBearer.size()), key);
    return found;
  }

  Task<void> accept();
  Task<void> watch_drain();
};

namespace {

// One connection, plain or TLS.
template <typename Stream>
class Session : public std::enable_shared_from_this<Session<Stream>> {
 public:
  using Request = http::request<http::string_body>;

  Session(HttpServer::State& state, Stream stream) : state_(state), stream_(std::move(stream)) {
    ++state_.connections;
  }
  ~Session() { --state_.connections; }

  Task<void> run() {
    ErrorCode error;
    if constexpr (!std::is_same_v<Stream, beast::tcp_stream>) {
      lowest().expires_after(seconds(state_.options.limits.request_seconds));
      co_await stream_.async_handshake(asio::ssl::stream_base::server,
                                       asio::redirect_error(use_awaitable, error));
      if (error) co_return;
    }
    while (co_await serve_one()) {
    }
    if constexpr (std::is_same_v<Stream, beast::tcp_stream>) {
      lowest().socket().shutdown(Tcp::socket::shutdown_send, error);
    } else {
      lowest().expires_after(seconds(1));
      co_await stream_.async_shutdown(asio::redirect_error(use_awaitable, error));
    }
  }

 private:
  beast::tcp_stream& lowest() { return beast::get_lowest_layer(stream_); }
  const ServerLimits& limits() const { return state_.options.limits; }

  // Reads one request and answers it; false: the connection is to be closed.
  Task<bool> serve_one() {
    ErrorCode error;
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
      const bool too_large = error == http::error::body_limit;
      if (too_large)
        co_await refuse(ApiError(413, "body_too_large",
                                 fmt::format("the body is larger than {} bytes", limits().body_bytes)));
      else if (error == http::error::header_limit)
        co_await refuse(ApiError(431, "header_too_large",
                                 fmt::format("the header is larger than {} bytes", limits().header_bytes)));
      else if (error == beast::error::timeout)
        co_return false;
      else
        co_await refuse(
            ApiError(400, "malformed_request", fmt::format("not an HTTP request ({})", error.message())));
      co_return false;
    }
    const Request request = parser.release();
    keep_alive_ = request.keep_alive();
    std::optional<ApiError> refusal;
    try {
      co_await answer(request);
    } catch (const ApiError& mistake) {
      refusal = mistake;
    } catch (const std::exception& failure) {
      refusal = ApiError(500, "internal_error", failure.what());
    }
    if (refusal) co_await refuse(*refusal);
    co_return keep_alive_ && !broken_;
  }

  Task<void> answer(const Request& request) {
    const std::string_view target(request.target().data(), request.target().size());
    const std::string_view path = target.substr(0, target.find('?'));
    const auto method = request.method();
    auto require = [&](http::verb wanted) {
      if (method != wanted)
        throw ApiError(405, "method_not_allowed",
                       fmt::format("{} takes {} only", path, std::string(http::to_string(wanted))));
    };
    Service& service = state_.service;
    if (path == "/health") co_return co_await send_json(200, status_word("ok"));
    if (path == "/ready") {
      if (service.ready()) co_return co_await send_json(200, status_word("ready"));
      throw ApiError(503, "draining", "the server is being drained");
    }
    if (path == "/") {
      require(http::verb::get);
      co_return co_await send_text(200, "text/html; charset=utf-8", std::string(dashboard_page()));
    }
    if (!state_.authorised(request[http::field::authorization]))
      throw ApiError(401, "invalid_api_key", "a valid key is needed: Authorization: Bearer KEY");
    if (path == "/metrics") {
      require(http::verb::get);
      co_return co_await send_text(200, "text/plain; version=0.0.4; charset=utf-8", service.metrics());
    }
    if (path == "/v1/models") {
      require(http::verb::get);
      co_return co_await send_json(200, service.models());
    }
    if (path == "/v1/plan") {
      require(http::verb::get);
      co_return co_await send_json(200, service.plan());
    }
    if (path == "/tokenize") {
      require(http::verb::post);
      co_return co_await send_json(200, service.tokenize(request.body()));
    }
    if (path == "/admin/drain") {
      require(http::verb::post);
      service.drain();
      asio::co_spawn(state_.io, state_.watch_drain(), asio::detached);
      co_return co_await send_json(200, status_word("draining"));
    }
    if (path == "/events") {
      require(http::verb::get);
      co_return co_await feed_dashboard();
    }
    if (path == "/v1/chat/completions" || path == "/v1/completions") {
      require(http::verb::post);
      co_return co_await complete(request, path == "/v1/chat/completions");
    }
    constexpr std::string_view kRequests = "/v1/requests/";
    if (path.starts_with(kRequests)) {
      require(http::verb::delete_);
      const auto found = state_.by_name.find(std::string(path.substr(kRequests.size())));
      if (found == state_.by_name.end()) throw ApiError(404, "not_found", "no such request is under way");
      service.engine().cancel(found->second);
      co_return co_await send_json(200, cancelled_document(found->first));
    }
    throw ApiError(404, "not_found", fmt::format("there is no {}", path.substr(0, 100)));
  }

  // Notices a client that goes away; bytes of a next request stay in the buffer.
  Task<void> watch(std::shared_ptr<Mailbox> mailbox) {
    mailbox->watching = true;
    ErrorCode error;
    while (!error && buffer_.size() < 65536) {
      const std::size_t got =
          co_await stream_.async_read_some(buffer_.prepare(2048), asio::redirect_error(use_awaitable, error));
      if (!error) buffer_.commit(got);
    }
    if (error && error != asio::error::operation_aborted) mailbox->client_gone = true;
    mailbox->watching = false;
    mailbox->ring();
  }

  Task<void> end_watch(const std::shared_ptr<Mailbox>& mailbox) {
    if (!mailbox->watching) co_return;
    if constexpr (!std::is_same_v<Stream, beast::tcp_stream>)
      keep_alive_ = false;  // a cut read leaves TLS undefined
    lowest().cancel();
    while (mailbox->watching) co_await mailbox->wait(seconds(1));
  }

  Task<void> complete(const Request& request, bool chat) {
    auto header = [&](const char* name) {
      const auto value = request[name];
      return std::string(value.data(), value.size());
    };
    SloHeaders promises;
    promises.ttft_ms = header("x-slo-ttft-ms");
    promises.tpot_ms = header("x-slo-tpot-ms");
    const Completion completion = state_.service.parse(request.body(), chat, promises);
    const auto mailbox = std::make_shared<Mailbox>(state_.io);
    Sink sink = [mailbox](Event event) { mailbox->put(std::move(event)); };
    Service::Submitted submitted = state_.service.submit(completion, std::move(sink));
    const Engine::Id id = submitted.id;
    Answer& document = submitted.answer;
    state_.by_name[document.id()] = id;
    lowest().expires_never();
    asio::co_spawn(
        state_.io, [self = this->shared_from_this(), mailbox] { return self->watch(mailbox); },
        asio::detached);

    Admission admission = Admission::pending;
    bool header_sent = false, done = false, cancelled = false;
    std::optional<ApiError> refusal;
    while (!done) {
      co_await mailbox->wait(std::chrono::hours(1));
      if (mailbox->client_gone && !cancelled) {
        state_.service.engine().cancel(id);
        cancelled = broken_ = true;
      }
      std::string text;
      for (const Event& event : mailbox->take()) {
        if (event.kind == Event::Kind::admitted) {
          admission = event.admission;
        } else if (event.kind == Event::Kind::text) {
          text += document.text_chunk(event);
        } else {
          done = true;
          if (event.finish_reason == "declined" && !header_sent) {
            refusal = ApiError(429, "slo_unattainable", event.reason);
            refusal->retry_after_ms = event.retry_after_ms;
          } else if (!completion.stream) {
            if (event.finish_reason == "stop" || event.finish_reason == "length")
              whole_ = document.whole(event);
            else
              refusal =
                  ApiError(event.finish_reason == "cancelled" ? 499 : 500, event.finish_reason, event.reason);
          } else {
            text += document.last_chunks(event);
          }
        }
      }
      if (!completion.stream || broken_ || (refusal && !header_sent)) continue;
      if (!header_sent && (admission != Admission::pending || done)) {
        header_sent = true;
        co_await start_events(admission, document.id());
      }
      if (header_sent && !text.empty()) co_await send_event_bytes(text);
    }
    state_.by_name.erase(document.id());
    if (header_sent && !broken_) co_await end_events();
    co_await end_watch(mailbox);
    if (broken_ || header_sent) co_return;
    if (refusal) throw *refusal;
    admission_ = admission;
    co_await send_json(200, whole_);
  }

  static const char* admission_word(Admission admission) {
    return admission == Admission::admitted ? "guaranteed" : "best_effort";
  }

  Task<void> start_events(Admission admission, const std::string& id) {
    http::response<http::empty_body> response(http::status::ok, 11);
    response.set(http::field::content_type, "text/event-stream; charset=utf-8");
    response.set(http::field::cache_control, "no-store");
    response.set("x-ballast-admission", admission_word(admission));
    response.set("x-request-id", id);
    response.keep_alive(keep_alive_);
    response.chunked(true);
    http::response_serializer<http::empty_body> serializer(response);
    ErrorCode error;
    lowest().expires_after(seconds(limits().write_seconds));
    co_await http::async_write_header(stream_, serializer, asio::redirect_error(use_awaitable, error));
    broken_ = broken_ || error;
  }

  Task<void> send_event_bytes(const std::string& text) {
    ErrorCode error;
    lowest().expires_after(seconds(limits().write_seconds));
    co_await asio::async_write(stream_, http::make_chunk(asio::buffer(text)),
                               asio::redirect_error(use_awaitable, error));
    broken_ = broken_ || error;
  }

  Task<void> end_events() {
    ErrorCode error;
    lowest().expires_after(seconds(limits().write_seconds));
    co_await asio::async_write(stream_, http::make_chunk_last(), asio::redirect_error(use_awaitable, error));
    broken_ = broken_ || error;
  }

  Task<void> feed_dashboard() {
    const auto mailbox = std::make_shared<Mailbox>(state_.io);
    lowest().expires_never();
    asio::co_spawn(
        state_.io, [self = this->shared_from_this(), mailbox] { return self->watch(mailbox); },
        asio::detached);
    co_await start_events(Admission::admitted, "events");
    while (!broken_ && !mailbox->client_gone && !state_.service.drained()) {
      co_await send_event_bytes(Answer::event_of(state_.service.dashboard_point()));
      co_await mailbox->wait(std::chrono::milliseconds(500));
    }
    keep_alive_ = false;
    co_await end_watch(mailbox);
  }

  Task<void> refuse(const ApiError& error) {
    return send(error.status, "application/json",
                error.to_json().dump(-1, ' ', false, Json::error_handler_t::replace), error.retry_after_ms);
  }
  Task<void> send_json(int status, const Json& json) {
    return send(status, "application/json", json.dump(-1, ' ', false, Json::error_handler_t::replace), 0);
  }
  Task<void> send_text(int status, const char* type, std::string text) {
    return send(status, type, std::move(text), 0);
  }

  Task<void> send(int status, const char* type, std::string text, double retry_after_ms) {
    http::response<http::string_body> response(static_cast<http::status>(status), 11);
    response.set(http::field::content_type, type);
    response.set(http::field::server, "ballast-serve");
    if (retry_after_ms > 0)
      response.set(http::field::retry_after,
                   std::to_string(static_cast<int>(std::max(1.0, retry_after_ms / 1000 + 0.999))));
    if (admission_ != Admission::pending) response.set("x-ballast-admission", admission_word(admission_));
    admission_ = Admission::pending;
    response.keep_alive(keep_alive_);
    response.body() = std::move(text);
    response.prepare_payload();
    ErrorCode error;
    lowest().expires_after(seconds(limits().write_seconds));
    co_await http::async_write(stream_, response, asio::redirect_error(use_awaitable, error));
    broken_ = broken_ || error;
  }

  HttpServer::State& state_;
  Stream stream_;
  beast::flat_buffer buffer_;
  bool keep_alive_ = true, broken_ = false;
  Admission admission_ = Admission::pending;
  Json whole_;
};

}  // namespace

Task<void> HttpServer::State::accept() {
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
    if (tls) {
      auto session = std::make_shared<Session<beast::ssl_stream<beast::tcp_stream>>>(
          *this, beast::ssl_stream<beast::tcp_stream>(beast::tcp_stream(std::move(socket)), *tls));
      asio::co_spawn(
          io, [session] { return session->run(); }, asio::detached);
    } else {
      auto session =
          std::make_shared<Session<beast::tcp_stream>>(*this, beast::tcp_stream(std::move(socket)));
      asio::co_spawn(
          io, [session] { return session->run(); }, asio::detached);
    }
  }
}

Task<void> HttpServer::State::watch_drain() {
  const auto deadline = Clock::now() + seconds(options.limits.drain_seconds);
  bool ended_best_effort = false;
  ErrorCode ignored;
  while (!service.drained()) {
    drain_timer.expires_after(std::chrono::milliseconds(20));
    co_await drain_timer.async_wait(asio::redirect_error(use_awaitable, ignored));
    if (Clock::now() < deadline || ended_best_effort) continue;
    service.engine().cancel_best_effort();
    ended_best_effort = true;
  }
  // The last answers are on their way to their sockets.
  drain_timer.expires_after(std::chrono::milliseconds(100));
  co_await drain_timer.async_wait(asio::redirect_error(use_awaitable, ignored));
  io.stop();
}

HttpServer::HttpServer(Service& service, const ServerOptions& options)
    : state_(std::make_unique<State>(service, options)) {
  state_->read_keys();
  state_->set_up_tls();
  state_->bind();
}
HttpServer::~HttpServer() = default;

std::uint16_t HttpServer::port() const {
  return state_->acceptor.local_endpoint().port();
}
int HttpServer::connections() const {
  return state_->connections;
}

void HttpServer::run() {
  asio::co_spawn(state_->io, state_->accept(), asio::detached);
  state_->io.run();
}

void HttpServer::stop() {
  state_->io.stop();
}

void HttpServer::drain() {
  asio::post(state_->io, [state = state_.get()] {
    state->service.drain();
    asio::co_spawn(state->io, state->watch_drain(), asio::detached);
  });
}

}  // namespace ballast::serve
