#include "ballast/serve/http/router.h"

// (kept apart: asio must come after <utility>)
#include <fmt/format.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <optional>

#include "ballast/base/errors.h"
#include "ballast/serve/http/answer.h"
#include "ballast/serve/http/api_keys.h"
#include "ballast/serve/http/call.h"
#include "ballast/serve/http/fields.h"
#include "ballast/serve/http/sse.h"

// g++ 12 takes the frame allocation of asio's coroutines for a mismatch with its own deallocation.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

namespace ballast::serve {
namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;

namespace {

Json word_document(const char* word) {
  return {{"status", word}};
}

// A request on its way through the fleet.
struct Passage {
  Json body;
  bool stream = false, wants_ids = false;
  Clock::time_point arrived = Clock::now();
  std::vector<std::int64_t> tokens;  // of the answer so far
  std::string id;                    // as the client knows it
  bool any_event = false;
  std::optional<ApiError> refusal;  // the last one
  std::shared_ptr<HttpCall> call;   // under way
};

enum class End {
  done,     // the client has its answer
  refused,  // no promise, or no room: another may be asked
  lost      // the replica is gone; what came so far is in the passage
};

// Counts a request at a replica for as long as it lives.
class Visit {
 public:
  explicit Visit(ReplicaEntry& entry) : entry_(entry) {
    ++entry_.here;
    ++entry_.asked;
  }
  ~Visit() { --entry_.here; }
  Visit(const Visit&) = delete;

 private:
  ReplicaEntry& entry_;
};

}  // namespace

class Router::Endpoints final : public Application {
 public:
  Endpoints(const std::vector<std::string>& replicas, const RouteSettings& settings,
            const ServerOptions& options, std::uint64_t seed)
      : fleet_(replicas, settings, seed),
        keys_(ApiKeys::read(options.api_keys_file)),
        listener_(*this, options),
        timer_(listener_.io()) {}

  Listener& listener() { return listener_; }

  void run() {
    asio::co_spawn(listener_.io(), watch_fleet(), asio::detached);
    listener_.run();
  }
  void start_drain() { draining_ = true; }

  Task<void> answer(Exchange& exchange) override {
    const HttpRequest& request = exchange.request();
    const std::string& path = request.path;
    if (path == "/health") co_return co_await exchange.send_json(200, word_document("ok"));
    if (path == "/ready") {
      if (!draining_ && fleet_.up() > 0) co_return co_await exchange.send_json(200, word_document("ready"));
      throw ApiError(503, draining_ ? "draining" : "no_replica",
                     draining_ ? "the router is being drained" : "no replica is up");
    }
    keys_.find(request.header("authorization"));
    if (path == "/v1/router") co_return co_await exchange.send_json(200, fleet_.to_json());
    if (path == "/metrics")
      co_return co_await exchange.send(200, "text/plain; version=0.0.4; charset=utf-8", metrics(), {});
    if (path == "/v1/chat/completions" || path == "/v1/completions") {
      request.require("POST");
      if (draining_) throw ApiError(503, "draining", "the router is being drained: no new requests");
      ++here_;
      std::exception_ptr failure;
      try {
        co_await complete(exchange);
      } catch (...) {
        failure = std::current_exception();
      }
      --here_;
      if (failure) std::rethrow_exception(failure);
      co_return;
    }
    if (path.starts_with("/v1/requests/")) {
      request.require("DELETE");
      co_return co_await forward(exchange, /*all=*/true);
    }
    if (path == "/v1/models" || path == "/v1/embeddings" || path == "/tokenize" || path == "/v1/plan")
      co_return co_await forward(exchange, /*all=*/false);
    throw ApiError(404, "not_found", fmt::format("there is no {}", path.substr(0, 100)));
  }

 private:
  HttpMessage message_to(const ReplicaEntry& replica, const HttpRequest& request, std::string body) const {
    HttpMessage message{
        .host = replica.host, .port = replica.port, .method = request.method, .path = request.path};
    for (const char* name : {"authorization", "x-slo-ttft-ms", "x-slo-tpot-ms"}) {
      if (const std::string value = request.header(name); !value.empty())
        message.headers.emplace_back(name, value);
    }
    message.body = std::move(body);
    return message;
  }

  // Requests without a promise: the first replica that answers; DELETE asks all until one knows the request.
  Task<void> forward(Exchange& exchange, bool all) {
    int status = 0;
    std::string text;
    const std::vector<std::size_t> order = fleet_.route();
    for (const std::size_t i : order) {
      ReplicaEntry& replica = fleet_.replicas()[i];
      try {
        HttpCall call(listener_.io(), kPatience);
        co_await call.send(message_to(replica, exchange.request(), exchange.request().body));
        status = co_await call.status();
        text = co_await call.rest();
      } catch (const std::exception&) {
        lose(replica);
        continue;
      }
      if (!all || status == 200) break;
    }
    if (status == 0) throw ApiError(503, "no_replica", "no replica is up");
    co_await exchange.send(status, "application/json", std::move(text), {});
  }

  static void lose(ReplicaEntry& replica) {
    ++replica.lost;
    replica.up = false;  // until it says that it is ready again
  }

  Task<void> complete(Exchange& exchange) {
    Passage passage;
    passage.body = parse_body(exchange.request().body);
    const Fields body(passage.body, "");
    passage.stream = body.flag("stream");
    passage.wants_ids = body.flag("return_token_ids");
    if (passage.stream) passage.body["return_token_ids"] = true;
    auto backup = fleet_.settings().backup;
    if (body.has("slo")) {
      const std::string miss = Fields(body.at("slo"), "slo").text("on_miss");
      if (miss == "decline" || miss == "hand_over") backup = RouteSettings::Backup::decline;
      if (miss == "best_effort") backup = RouteSettings::Backup::best_effort;
      if (miss == "downgrade") backup = RouteSettings::Backup::downgrade;
    }
    exchange.watch([&passage] {
      if (passage.call) passage.call->cancel();
    });

    End end = End::refused;
    const std::vector<std::size_t> order = fleet_.route();
    for (const std::size_t i : order) {
      end = co_await attempt(exchange, passage, i, "hand_over");
      if (end == End::done || exchange.broken() || exchange.events_started()) break;
    }
    if (end == End::refused && backup == RouteSettings::Backup::decline && passage.refusal &&
        !exchange.broken()) {
      co_await exchange.end_watch();
      throw *passage.refusal;
    }
    if (end == End::refused && backup == RouteSettings::Backup::downgrade) {
      passage.body["slo"] = Json::object();
      passage.body["slo"]["tier"] = fleet_.settings().downgrade_tier;
    }
    // Without a promise, or to go on with what a lost replica had begun: whoever has the least to do.
    while (end != End::done && !exchange.broken()) {
      const auto next = fleet_.least_loaded();
      if (!next) break;
      const End before = end;
      end = co_await attempt(exchange, passage, *next, "best_effort");
      if (end == End::refused && before == End::refused) break;
    }
    if (exchange.broken()) co_return co_await exchange.end_watch();
    if (end != End::done) {
      const ApiError gone = end == End::refused && passage.refusal
                                ? *passage.refusal
                                : ApiError(503, "no_replica", "no replica is up to serve this request");
      if (!exchange.events_started()) {
        co_await exchange.end_watch();
        throw gone;
      }
      co_await exchange.send_events(Answer::event_of(gone.to_json()));
    }
    if (exchange.events_started()) co_await exchange.end_events();
    co_await exchange.end_watch();
  }

  // One replica. A refusal is left in the passage; another mistake of the client's is its answer.
  Task<End> attempt(Exchange& exchange, Passage& passage, std::size_t index, const char* on_miss) {
    ReplicaEntry& replica = fleet_.replicas()[index];
    const Visit visit(replica);
    Json body = passage.body;
    if (!body.contains("slo") || body["slo"].is_null()) body["slo"] = Json::object();
    body["slo"]["on_miss"] = on_miss;
    if (!passage.tokens.empty()) body["resume"]["token_ids"] = passage.tokens;
    HttpMessage message =
        message_to(replica, exchange.request(), body.dump(-1, ' ', false, Json::error_handler_t::replace));
    const double elapsed = std::chrono::duration<double, std::milli>(Clock::now() - passage.arrived).count();
    message.headers.emplace_back("x-slo-elapsed-ms", fmt::format("{:.3f}", std::max(0.001, elapsed)));
    passage.call = std::make_shared<HttpCall>(listener_.io(), kPatience);
    const std::shared_ptr<HttpCall> call = passage.call;
    End end = End::lost;
    int status = 0;
    std::string text;
    try {
      co_await call->send(std::move(message));
      status = co_await call->status();
      if (status == 200 && passage.stream)
        end = co_await stream(exchange, passage, *call);
      else
        text = co_await call->rest();
    } catch (const std::exception&) {
      status = status == 200 && passage.stream ? 200 : 0;
    }
    passage.call = nullptr;
    if (exchange.broken()) co_return End::done;
    if (status == 200 && passage.stream) {
      if (end == End::done)
        ++replica.taken;
      else
        lose(replica);
      co_return end;
    }
    if (status == 0) {
      lose(replica);
      co_return End::lost;
    }
    if (status == 429 || status == 503) {
      if (auto refusal = refusal_of(status, text, call->header("retry-after"))) {
        ++replica.refused;
        passage.refusal = std::move(refusal);
        co_return End::refused;
      }
    }
    ++replica.taken;
    if (exchange.events_started()) {
      // A stream that was begun elsewhere could not be taken up (another model, say).
      co_await exchange.send_events("data: " + text + "\n\n");
      co_return End::done;
    }
    co_await exchange.end_watch();
    HeaderList headers;
    if (const std::string said = call->header("x-ballast-admission"); !said.empty())
      headers.emplace_back("x-ballast-admission", said);
    co_await exchange.send(status, "application/json", std::move(text), std::move(headers));
    co_return End::done;
  }

  // A plan's no, a full queue or a drain; nullopt: this key's own limit, which no other replica may stretch.
  static std::optional<ApiError> refusal_of(int status, const std::string& text,
                                            const std::string& retry_after) {
    const Json json = Json::parse(text, nullptr, false);
    const Json error = json.is_object() ? json.value("error", Json::object()) : Json::object();
    const std::string code = error.is_object() ? error.value("code", "refused") : "refused";
    if (code == "rate_limit_exceeded") return std::nullopt;
    ApiError refusal(status, code, error.is_object() ? error.value("message", "refused") : "refused");
    refusal.retry_after_ms = 1000.0 * std::atoi(retry_after.c_str());
    return refusal;
  }

  // Passes the events on, and remembers the tokens for the case that the replica is lost.
  Task<End> stream(Exchange& exchange, Passage& passage, HttpCall& call) {
    if (!exchange.events_started()) {
      passage.id = call.header("x-request-id");
      HeaderList headers;
      headers.emplace_back("x-ballast-admission", call.header("x-ballast-admission"));
      headers.emplace_back("x-request-id", passage.id);
      co_await exchange.start_events(std::move(headers));
    }
    SseSplitter splitter;
    for (;;) {
      const std::string bytes = co_await call.more();
      if (bytes.empty()) co_return End::lost;  // the end without [DONE]
      std::string out;
      bool done = false, lost = false;
      for (const std::string& data : splitter.add(bytes)) {
        if (data == "[DONE]") {
          out += "data: [DONE]\n\n";
          done = true;
          continue;
        }
        Json event = Json::parse(data, nullptr, false);
        if (event.is_discarded() || event.contains("error")) {
          lost = true;
          break;
        }
        out += Answer::event_of(pass_on(passage, std::move(event)));
      }
      if (!out.empty()) co_await exchange.send_events(std::move(out));
      if (exchange.broken()) co_return End::done;
      if (done) co_return End::done;
      if (lost) co_return End::lost;
    }
  }

  static Json pass_on(Passage& passage, Json event) {
    if (event.contains("token_ids")) {
      for (const Json& token : event["token_ids"]) passage.tokens.push_back(token.get<std::int64_t>());
      if (!passage.wants_ids) event.erase("token_ids");
    }
    if (!passage.id.empty()) event["id"] = passage.id;
    if (passage.any_event && event.contains("choices") && !event["choices"].empty()) {
      Json& choice = event["choices"][0];
      if (choice.contains("delta") && choice["delta"].contains("content")) choice["delta"].erase("role");
    }
    passage.any_event = true;
    return event;
  }

  // Asks every replica each second whether it is ready, and ends a drain.
  Task<void> watch_fleet() {
    for (int tick = 0;; ++tick) {
      if (draining_ && here_ == 0) break;
      if (tick % 10 == 0) {
        for (std::size_t i = 0; i < fleet_.replicas().size(); ++i)
          asio::co_spawn(listener_.io(), look_at(i), asio::detached);
      }
      timer_.expires_after(std::chrono::milliseconds(100));
      boost::system::error_code ignored;
      co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
    timer_.expires_after(std::chrono::milliseconds(100));
    boost::system::error_code ignored;
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    listener_.stop();
  }

  Task<void> look_at(std::size_t index) {
    ReplicaEntry& replica = fleet_.replicas()[index];
    bool ready = false;
    try {
      HttpCall call(listener_.io(), 2);
      HttpMessage message{.host = replica.host, .port = replica.port, .path = "/ready"};
      co_await call.send(std::move(message));
      ready = co_await call.status() == 200;
    } catch (const std::exception&) {
      ready = false;
    }
    replica.up = ready;
  }

  std::string metrics() const {
    prometheus::Registry registry;
    auto& up = prometheus::BuildGauge().Name("ballast_replica_up").Help("1: ready").Register(registry);
    auto& here = prometheus::BuildGauge()
                     .Name("ballast_replica_requests")
                     .Help("Requests there now")
                     .Register(registry);
    auto& answers = prometheus::BuildCounter()
                        .Name("ballast_routed_total")
                        .Help("Requests by replica and how it answered")
                        .Register(registry);
    for (const ReplicaEntry& replica : fleet_.replicas()) {
      const std::string url = replica.url();
      up.Add({{"replica", url}}).Set(replica.up ? 1 : 0);
      here.Add({{"replica", url}}).Set(replica.here);
      for (const auto& [word, count] :
           {std::pair{"taken", replica.taken}, {"refused", replica.refused}, {"lost", replica.lost}})
        answers.Add({{"replica", url}, {"answer", word}}).Increment(static_cast<double>(count));
    }
    return prometheus::TextSerializer().Serialize(registry.Collect());
  }

  static constexpr double kPatience = 300;  // seconds without a byte from a replica
  Fleet fleet_;
  ApiKeys keys_;
  Listener listener_;
  asio::steady_timer timer_;
  int here_ = 0;
  bool draining_ = false;
};

Router::Router(const std::vector<std::string>& replicas, const RouteSettings& settings,
               const ServerOptions& options, std::uint64_t seed)
    : endpoints_(std::make_unique<Endpoints>(replicas, settings, options, seed)) {}
Router::~Router() = default;

std::uint16_t Router::port() const {
  return endpoints_->listener().port();
}
void Router::run() {
  endpoints_->run();
}
void Router::stop() {
  endpoints_->listener().stop();
}
void Router::drain() {
  asio::post(endpoints_->listener().io(), [endpoints = endpoints_.get()] { endpoints->start_drain(); });
}

}  // namespace ballast::serve
