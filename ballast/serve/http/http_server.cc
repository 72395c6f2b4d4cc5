#include "ballast/serve/http/http_server.h"

// (kept apart: asio must come after <utility>)
#include <fmt/format.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <deque>
#include <mutex>
#include <unordered_map>

#include "ballast/base/errors.h"
#include "ballast/serve/http/api_keys.h"
#include "ballast/serve/http/dashboard.h"

// g++ 12 takes the frame allocation of asio's coroutines for a mismatch with its own deallocation.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

namespace ballast::serve {
namespace asio = boost::asio;
using asio::use_awaitable;
using Clock = std::chrono::steady_clock;

namespace {

// The way from the engine thread to the I/O thread, which is closed before the I/O ends: the engine outlives
// it.
class Hub {
 public:
  explicit Hub(asio::io_context& io) : io_(&io) {}
  template <typename Work>
  void post(Work work) {
    const std::lock_guard lock(mutex_);
    if (io_ != nullptr) asio::post(*io_, std::move(work));
  }
  void close() {
    const std::lock_guard lock(mutex_);
    io_ = nullptr;
  }

 private:
  std::mutex mutex_;
  asio::io_context* io_;
};

// What the engine thread has for one request. The sink holds the inbox, the connection holds the mailbox.
template <typename Item>
class Mailbox : public std::enable_shared_from_this<Mailbox<Item>> {
 public:
  class Inbox {
   public:
    Inbox(std::shared_ptr<Hub> hub, std::weak_ptr<Mailbox> owner)
        : hub_(std::move(hub)), owner_(std::move(owner)) {}
    void put(Item item) {
      {
        const std::lock_guard lock(mutex_);
        items_.push_back(std::move(item));
      }
      ring();
    }
    void ring() {
      hub_->post([owner = owner_] {
        if (const auto mailbox = owner.lock()) mailbox->bell_.cancel();
      });
    }
    std::deque<Item> take() {
      const std::lock_guard lock(mutex_);
      return std::exchange(items_, {});
    }
    bool empty() {
      const std::lock_guard lock(mutex_);
      return items_.empty();
    }

   private:
    std::shared_ptr<Hub> hub_;
    std::weak_ptr<Mailbox> owner_;
    std::mutex mutex_;
    std::deque<Item> items_;
  };

  static std::shared_ptr<Mailbox> make(asio::io_context& io, const std::shared_ptr<Hub>& hub) {
    auto mailbox = std::make_shared<Mailbox>(io);
    mailbox->inbox_ = std::make_shared<Inbox>(hub, mailbox);
    return mailbox;
  }
  explicit Mailbox(asio::io_context& io) : bell_(io) {}

  const std::shared_ptr<Inbox>& inbox() const { return inbox_; }
  void ring() { bell_.cancel(); }
  std::deque<Item> take() { return inbox_->take(); }
  /// Returns when something was put, somebody rang, or the time is over.
  Task<void> wait(std::chrono::milliseconds most) {
    if (!inbox_->empty()) co_return;
    bell_.expires_after(most);
    boost::system::error_code ignored;
    co_await bell_.async_wait(asio::redirect_error(use_awaitable, ignored));
  }

 private:
  std::shared_ptr<Inbox> inbox_;
  asio::steady_timer bell_;
};

// (Outside of the coroutines: g++ 12 cannot keep an initialiser list across a suspension.)
Json status_word(const char* word) {
  return {{"status", word}};
}
Json cancelled_document(const std::string& id) {
  return {{"id", id}, {"cancelled", true}};
}
const char* admission_word(Admission admission) {
  return admission == Admission::admitted ? "guaranteed" : "best_effort";
}
HeaderList answer_headers(Admission admission, const std::string& id) {
  HeaderList headers;
  headers.emplace_back("x-ballast-admission", admission_word(admission));
  headers.emplace_back("x-request-id", id);
  return headers;
}

// A request of this key is here for as long as this lives.
class KeyHold {
 public:
  explicit KeyHold(ApiKey* key) : key_(key) {
    ApiKeys::admit(key, std::chrono::duration<double, std::milli>(Clock::now().time_since_epoch()).count());
  }
  ~KeyHold() { ApiKeys::leave(key_); }
  KeyHold(const KeyHold&) = delete;

 private:
  ApiKey* key_;
};

}  // namespace

class HttpServer::Endpoints final : public Application {
 public:
  Endpoints(Service& service, const ServerOptions& options)
      : service_(service),
        options_(options),
        keys_(ApiKeys::read(options.api_keys_file)),
        listener_(*this, options),
        hub_(std::make_shared<Hub>(listener_.io())),
        drain_timer_(listener_.io()) {
    for (const ApiKey& key : keys_.keys()) {
      if (!key.tier.empty() && !service.settings().tiers.contains(key.tier))
        throw InvalidInput(fmt::format("{}: the tier '{}' is not known", options.api_keys_file, key.tier));
    }
  }

  ~Endpoints() override { hub_->close(); }

  Listener& listener() { return listener_; }

  Task<void> answer(Exchange& exchange) override {
    const HttpRequest& request = exchange.request();
    const std::string& path = request.path;
    if (path == "/health") co_return co_await exchange.send_json(200, status_word("ok"));
    if (path == "/ready") {
      if (service_.ready()) co_return co_await exchange.send_json(200, status_word("ready"));
      throw ApiError(503, "draining", "the server is being drained");
    }
    if (path == "/") {
      request.require("GET");
      co_return co_await exchange.send(200, "text/html; charset=utf-8", std::string(dashboard_page()), {});
    }
    ApiKey* const key = keys_.find(request.header("authorization"));
    if (path == "/metrics") {
      request.require("GET");
      co_return co_await exchange.send(200, "text/plain; version=0.0.4; charset=utf-8", service_.metrics(),
                                       {});
    }
    if (path == "/v1/models") {
      request.require("GET");
      co_return co_await exchange.send_json(200, service_.models());
    }
    if (path == "/v1/plan") {
      request.require("GET");
      co_return co_await exchange.send_json(200, service_.plan());
    }
    if (path == "/tokenize") {
      request.require("POST");
      co_return co_await exchange.send_json(200, service_.tokenize(request.body));
    }
    if (path == "/admin/drain") {
      request.require("POST");
      start_drain();
      co_return co_await exchange.send_json(200, status_word("draining"));
    }
    if (path == "/events") {
      request.require("GET");
      co_return co_await feed_dashboard(exchange);
    }
    if (path == "/v1/chat/completions" || path == "/v1/completions") {
      request.require("POST");
      co_return co_await complete(exchange, path == "/v1/chat/completions", key);
    }
    if (path == "/v1/embeddings") {
      request.require("POST");
      co_return co_await embed(exchange, key);
    }
    constexpr std::string_view kRequests = "/v1/requests/";
    if (path.starts_with(kRequests)) {
      request.require("DELETE");
      const auto found = by_name_.find(path.substr(kRequests.size()));
      if (found == by_name_.end()) throw ApiError(404, "not_found", "no such request is under way");
      service_.engine().cancel(found->second);
      co_return co_await exchange.send_json(200, cancelled_document(found->first));
    }
    throw ApiError(404, "not_found", fmt::format("there is no {}", path.substr(0, 100)));
  }

  void start_drain() {
    service_.drain();
    if (std::exchange(draining_, true)) return;
    asio::co_spawn(listener_.io(), watch_drain(), asio::detached);
  }

 private:
  Task<void> complete(Exchange& exchange, bool chat, ApiKey* key) {
    const HttpRequest& request = exchange.request();
    SloHeaders promises;
    promises.ttft_ms = request.header("x-slo-ttft-ms");
    promises.tpot_ms = request.header("x-slo-tpot-ms");
    promises.elapsed_ms = request.header("x-slo-elapsed-ms");
    if (key != nullptr) promises.default_tier = key->tier;
    const KeyHold hold(key);
    const Completion completion = service_.parse(request.body, chat, promises);
    const auto mailbox = Mailbox<Event>::make(listener_.io(), hub_);
    Sink sink = [inbox = mailbox->inbox()](Event event) { inbox->put(std::move(event)); };
    Service::Submitted submitted = service_.submit(completion, std::move(sink));
    const Engine::Id id = submitted.id;
    Answer& document = submitted.answer;
    by_name_[document.id()] = id;
    exchange.watch([this, id, mailbox] {
      service_.engine().cancel(id);
      mailbox->ring();
    });

    Admission admission = Admission::pending;
    Json whole;
    bool done = false, told = false;
    std::optional<ApiError> refusal;
    while (!done) {
      co_await mailbox->wait(std::chrono::hours(1));
      std::string text;
      for (const Event& event : mailbox->take()) {
        if (event.kind == Event::Kind::admitted) {
          admission = event.admission;
        } else if (event.kind == Event::Kind::text) {
          text += document.text_chunk(event);
        } else {
          done = true;
          if (event.finish_reason == "declined" && !exchange.events_started()) {
            refusal = ApiError(429, "slo_unattainable", event.reason);
            refusal->retry_after_ms = event.retry_after_ms;
          } else if (!completion.stream) {
            if (event.finish_reason == "stop" || event.finish_reason == "length")
              whole = document.whole(event);
            else
              refusal =
                  ApiError(event.finish_reason == "cancelled" ? 499 : 500, event.finish_reason, event.reason);
          } else {
            text += document.last_chunks(event);
          }
        }
      }
      if (!completion.stream || exchange.broken() || (refusal && !exchange.events_started())) continue;
      if (!exchange.events_started() && (admission != Admission::pending || done))
        co_await exchange.start_events(answer_headers(admission, document.id()));
      if (exchange.events_started() && !text.empty()) co_await exchange.send_events(text);
      if (exchange.broken() && !done && !std::exchange(told, true)) service_.engine().cancel(id);
    }
    by_name_.erase(document.id());
    if (exchange.events_started() && !exchange.broken()) co_await exchange.end_events();
    co_await exchange.end_watch();
    if (exchange.broken() || exchange.events_started()) co_return;
    if (refusal) throw *refusal;
    co_await exchange.send_json(200, whole, answer_headers(admission, document.id()));
  }

  Task<void> embed(Exchange& exchange, ApiKey* key) {
    const KeyHold hold(key);
    const EmbeddingWish wish = service_.parse_embeddings(exchange.request().body);
    using Result = std::pair<std::size_t, std::vector<float>>;
    const auto mailbox = Mailbox<Result>::make(listener_.io(), hub_);
    for (std::size_t i = 0; i < wish.inputs.size(); ++i)
      service_.engine().embed(wish.inputs[i], [inbox = mailbox->inbox(), i](std::vector<float> values) {
        inbox->put({i, std::move(values)});
      });
    std::vector<std::vector<float>> rows(wish.inputs.size());
    for (std::size_t arrived = 0; arrived < rows.size();) {
      co_await mailbox->wait(std::chrono::hours(1));
      for (Result& result : mailbox->take()) {
        rows[result.first] = std::move(result.second);
        ++arrived;
      }
    }
    co_await exchange.send_json(200, service_.embeddings_document(wish, rows));
  }

  Task<void> feed_dashboard(Exchange& exchange) {
    const auto bell = Mailbox<int>::make(listener_.io(), hub_);
    exchange.watch([bell] { bell->ring(); });
    exchange.close_after();
    co_await exchange.start_events({});
    while (!exchange.broken() && !service_.drained()) {
      co_await exchange.send_events(Answer::event_of(service_.dashboard_point()));
      co_await bell->wait(std::chrono::milliseconds(500));
    }
    co_await exchange.end_watch();
  }

  Task<void> watch_drain() {
    const auto deadline = Clock::now() + std::chrono::milliseconds(
                                             static_cast<std::int64_t>(options_.limits.drain_seconds * 1000));
    bool ended_best_effort = false;
    boost::system::error_code ignored;
    while (!service_.drained()) {
      drain_timer_.expires_after(std::chrono::milliseconds(20));
      co_await drain_timer_.async_wait(asio::redirect_error(use_awaitable, ignored));
      if (Clock::now() < deadline || ended_best_effort) continue;
      service_.engine().cancel_best_effort();
      ended_best_effort = true;
    }
    // The last answers are on their way to their sockets.
    drain_timer_.expires_after(std::chrono::milliseconds(100));
    co_await drain_timer_.async_wait(asio::redirect_error(use_awaitable, ignored));
    listener_.stop();
  }

  Service& service_;
  ServerOptions options_;
  ApiKeys keys_;
  Listener listener_;
  std::shared_ptr<Hub> hub_;
  asio::steady_timer drain_timer_;
  bool draining_ = false;
  std::unordered_map<std::string, Engine::Id> by_name_;  // answers under way, for DELETE
};

HttpServer::HttpServer(Service& service, const ServerOptions& options)
    : endpoints_(std::make_unique<Endpoints>(service, options)) {}
HttpServer::~HttpServer() = default;

std::uint16_t HttpServer::port() const {
  return endpoints_->listener().port();
}
int HttpServer::connections() const {
  return endpoints_->listener().connections();
}
void HttpServer::run() {
  endpoints_->listener().run();
}
void HttpServer::stop() {
  endpoints_->listener().stop();
}
void HttpServer::drain() {
  asio::post(endpoints_->listener().io(), [endpoints = endpoints_.get()] { endpoints->start_drain(); });
}

}  // namespace ballast::serve
