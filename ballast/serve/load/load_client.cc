#include "ballast/serve/load/load_client.h"

#include <utility>  // Boost 1.74's asio forgets it
// (kept apart: asio must come after it)
#include <fmt/format.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <chrono>

#include "ballast/base/errors.h"

namespace ballast::serve {
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Tcp = asio::ip::tcp;
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
      : target_(target), requests_(requests), progress_(progress) {
    Tcp::resolver resolver(io_);
    beast::error_code error;
    endpoints_ = resolver.resolve(target.host, target.port, error);
    if (error)
      throw Unavailable(
          fmt::format("{}:{} cannot be resolved ({})", target.host, target.port, error.message()));
  }

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
    beast::tcp_stream stream(io_);
    const auto patience =
        std::chrono::milliseconds(static_cast<std::int64_t>(target_.give_up_seconds * 1000));
    stream.expires_after(patience);
    co_await stream.async_connect(endpoints_, use_awaitable);
    stream.socket().set_option(Tcp::no_delay(true));
    http::request<http::string_body> post(http::verb::post, target_.path, 11);
    post.set(http::field::host, target_.host);
    post.set(http::field::content_type, "application/json");
    if (!target_.api_key.empty()) post.set(http::field::authorization, "Bearer " + target_.api_key);
    post.keep_alive(false);
    post.body() = std::move(request.body);
    post.prepare_payload();
    log.sent_ms = now_ms();
    co_await http::async_write(stream, post, use_awaitable);

    beast::flat_buffer buffer;
    http::response_parser<http::buffer_body> parser;
    parser.body_limit(std::uint64_t{1} << 30);
    co_await http::async_read_header(stream, buffer, parser, use_awaitable);
    log.status = parser.get().result_int();
    if (const auto said = parser.get()["x-ballast-admission"]; !said.empty())
      log.admission = std::string(said.data(), said.size());
    std::string text;
    char bytes[8192];
    while (!parser.is_done()) {
      parser.get().body().data = bytes;
      parser.get().body().size = sizeof bytes;
      stream.expires_after(patience);
      beast::error_code error;
      co_await http::async_read_some(stream, buffer, parser, asio::redirect_error(use_awaitable, error));
      if (error && error != http::error::need_buffer) throw beast::system_error(error);
      text.append(bytes, sizeof bytes - parser.get().body().size);
      if (log.status == 200) take_events(text, log);
    }
    if (log.status != 200) {
      const Json body = Json::parse(text, nullptr, false);
      const Json error = body.is_object() ? body.value("error", Json::object()) : Json::object();
      log.finish = error.is_object() ? error.value("code", "refused") : "refused";
    } else if (log.finish.empty()) {
      log.finish = "the stream ended early";
    }
  }

  // Whole SSE events at the front of `text`; each is stamped with the moment at which it was seen complete.
  void take_events(std::string& text, LoggedRequest& log) const {
    std::size_t from = 0;
    for (std::size_t end; (end = text.find("\n\n", from)) != std::string::npos; from = end + 2) {
      const std::string_view line = std::string_view(text).substr(from, end - from);
      if (!line.starts_with("data: ") || line == "data: [DONE]") continue;
      const Json event = Json::parse(line.substr(6), nullptr, false);
      if (event.is_discarded()) continue;
      if (event.contains("error")) log.finish = "error in the stream";
      if (event.contains("usage") && event["usage"].is_object()) {
        log.prompt_tokens = event["usage"].value("prompt_tokens", 0);
        log.output_tokens = event["usage"].value("completion_tokens", 0);
        if (const auto slo = event["usage"].find("slo"); slo != event["usage"].end())
          log.server_says_met = slo->value("met", false);
      }
      if (!event.contains("choices") || event["choices"].empty()) continue;
      const Json& choice = event["choices"][0];
      const Json& content =
          choice.contains("delta") ? choice["delta"].value("content", Json()) : choice.value("text", Json());
      if (content.is_string() && !content.get_ref<const std::string&>().empty()) {
        log.token_ms.push_back(now_ms());
        log.token_counts.push_back(std::max(1, event.value("tokens", 1)));
      }
      if (choice.contains("finish_reason") && choice["finish_reason"].is_string())
        log.finish = choice["finish_reason"];
    }
    text.erase(0, from);
  }

  LoadTarget target_;
  std::vector<LoadRequest>& requests_;
  std::function<void(std::size_t)> progress_;
  asio::io_context io_{1};
  Tcp::resolver::results_type endpoints_;
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
