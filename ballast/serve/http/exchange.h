// One request on one connection, as an application behind a Listener sees it: plain strings in, bytes out. No
// transport type appears here but the coroutine itself.
#pragma once

#include <utility>  // Boost 1.74's asio forgets it
// (kept apart: asio must come after it)
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "ballast/serve/http/api_error.h"

namespace ballast::serve {

template <typename T>
using Task = boost::asio::awaitable<T>;

using HeaderList = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method;  ///< "GET", ...
  std::string path;    ///< without the query
  std::string body;
  HeaderList headers;  ///< names in lower case

  /// The first header of this (lower-case) name, or an empty text.
  std::string header(std::string_view name) const;
  /// Throws ApiError 405 for another method.
  void require(std::string_view method) const;
};

/// The other end of the request. Everything runs on the listener's I/O thread.
class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual const HttpRequest& request() const = 0;

  /// One whole answer.
  virtual Task<void> send(int status, std::string type, std::string text, HeaderList headers) = 0;
  /// A stream of server-sent events: the header, then any number of events, then the end.
  virtual Task<void> start_events(HeaderList headers) = 0;
  virtual Task<void> send_events(std::string bytes) = 0;
  virtual Task<void> end_events() = 0;
  virtual bool events_started() const = 0;

  /// Watches the connection from now until end_watch(): `gone` is called once if the client goes away. A
  /// client that has closed its sending side counts as gone: it cannot be told apart from one that closed
  /// both.
  virtual void watch(std::function<void()> gone) = 0;
  virtual Task<void> end_watch() = 0;
  /// The client is gone or a write has failed: nothing more can be sent.
  virtual bool broken() const = 0;
  /// The connection is not kept for another request.
  virtual void close_after() = 0;

  Task<void> send_json(int status, const Json& json, HeaderList headers = {});
  Task<void> refuse(const ApiError& error);
};

/// What answers requests. An ApiError that leaves answer() becomes the answer, if none was begun.
class Application {
 public:
  virtual ~Application() = default;
  virtual Task<void> answer(Exchange& exchange) = 0;
};

}  // namespace ballast::serve
