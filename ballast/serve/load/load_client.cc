#include "ballast/serve/load/load_client.h"

#include <utility>  // Boost 1.74's asio forgets it
// (kept apart: asio must come after it)
#include <fmt/format.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>

#include "ballast/base/errors.h"
#include "ballast/serve/http/call.h"
#include "ballast/serve/http/sse.h"

// g++ 12 takes the frame allocation of asio's coroutines for a mismatch with its own deallocation.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

namespace ballast::serve {
namespace asio = boost::asio;
using asio::use_awaitable;

LoadTarget parse_url(const std::string& url) {
  constexpr std::string_view kScheme = "http://";
  LoadTarget target;
  if (!url.starts_with(kScheme)) throw InvalidInput("--url", url, "http://HOST:PORT");
  std::string rest = url.substr(kScheme.size());
  if (const auto slash = rest.find('/'); slash != std::string::npos) {
    if (slash + 1 < rest.size()) target.path = rest.substr(slash);
    rest.resize(slash);
  }
  const auto colon = rest.rfind(':');
  target.host = rest.substr(0, colon);
  target.port = colon == std::string::npos ? "80" : rest.substr(colon + 1);
  if (target.host.empty() || target.port.empty()) throw InvalidInput("--url", url, "http://HOST:PORT");
  return target;
}

namespace {

using Clock = std::chrono::steady_clock;

class Load {
 public:
  Load(const LoadTarget& target, std::vector<LoadRequest>& requests,
       const std::function<void(std::size_t)>& progress)
      : target_(target), requests_(requests), progress_(progress) {}

  void run() {
    start_ = Clock::now() + std::chrono::milliseconds(50);
    for (LoadRequest& request : requests_)
      asio::co_spawn(
          io_, [this, &request] { return one(request); }, asio::detached);
    io_.run();
  }

 private:
  double now_ms() const { return std::chrono::duration<double, std::milli>(Clock::now() - start_).count(); }

  asio::awaitable<void> one(LoadRequest& request) {
    asio::steady_timer timer(
        io_, start_ + std::chrono::microseconds(static_cast<std::int64_t>(request.log.scheduled_ms * 1000)));
    co_await timer.async_wait(use_awaitable);
    try {
      co_await exchange(request);
    } catch (const std::exception& failure) {
      if (request.log.finish.empty()) request.log.finish = failure.what();
    }
    if (progress_) progress_(++done_);
  }

  asio::awaitable<void> exchange(LoadRequest& request) {
    LoggedRequest& log = request.log;
    HttpCall call(io_, target_.give_up_seconds);
    HttpMessage message{.host = target_.host, .port = target_.port, .method = "POST", .path = target_.path};
    if (!target_.api_key.empty()) message.headers.emplace_back("authorization", "Bearer " + target_.api_key);
    message.body = std::move(request.body);
    log.sent_ms = now_ms();
    co_await call.send(std::move(message));
    log.status = co_await call.status();
    log.admission = call.header("x-ballast-admission");
    if (log.status != 200) {
      const std::string text = co_await call.rest();
      const Json body = Json::parse(text, nullptr, false);
      const Json error = body.is_object() ? body.value("error", Json::object()) : Json::object();
      log.finish = error.is_object() ? error.value("code", "refused") : "refused";
      co_return;
    }
    SseSplitter splitter;
    for (;;) {
      const std::string bytes = co_await call.more();
      if (bytes.empty()) break;
      for (const std::string& data : splitter.add(bytes)) take_event(data, log);
    }
    if (log.finish.empty()) log.finish = "the stream ended early";
  }

  // Each event is stamped with the moment at which it was seen complete.
  void take_event(const std::string& data, LoggedRequest& log) const {
    if (data == "[DONE]") return;
    const Json event = Json::parse(data, nullptr, false);
    if (event.is_discarded()) return;
    if (event.contains("error")) log.finish = "error in the stream";
    if (event.contains("usage") && event["usage"].is_object()) {
      log.prompt_tokens = event["usage"].value("prompt_tokens", 0);
      log.output_tokens = event["usage"].value("completion_tokens", 0);
      if (const auto slo = event["usage"].find("slo"); slo != event["usage"].end())
        log.server_says_met = slo->value("met", false);
    }
    if (!event.contains("choices") || event["choices"].empty()) return;
    const Json& choice = event["choices"][0];
    const Json content =
        choice.contains("delta") ? choice["delta"].value("content", Json()) : choice.value("text", Json());
    if (content.is_string() && !content.get_ref<const std::string&>().empty()) {
      log.token_ms.push_back(now_ms());
      log.token_counts.push_back(std::max(1, event.value("tokens", 1)));
    }
    if (choice.contains("finish_reason") && choice["finish_reason"].is_string())
      log.finish = choice["finish_reason"];
  }

  LoadTarget target_;
  std::vector<LoadRequest>& requests_;
  std::function<void(std::size_t)> progress_;
  asio::io_context io_{1};
  Clock::time_point start_;
  std::size_t done_ = 0;
};

}  // namespace

std::vector<LoggedRequest> run_load(const LoadTarget& target, std::vector<LoadRequest> requests,
                                    const std::function<void(std::size_t)>& progress) {
  Load(target, requests, progress).run();
  std::vector<LoggedRequest> log;
  log.reserve(requests.size());
  for (LoadRequest& request : requests) log.push_back(std::move(request.log));
  return log;
}

}  // namespace ballast::serve
