// One request on one connection, as an application behind a Listener sees it: plain strings in, bytes out. No
// transport type appears here but the coroutine itself.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "ballast/serve/http/http_request.h"
#include "ballast/serve/http/task.h"

namespace ballast::serve {

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
