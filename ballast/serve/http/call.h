// One HTTP request to another server, as a client: of the load generator, and of a router to its replicas.
//
//   HttpCall call(io, /*patience_seconds=*/60);
//   co_await call.send({.host = "127.0.0.1", .port = "8080", .method = "POST", .path = "/v1/completions",
//   ...}); const int status = co_await call.status(); while (!(piece = co_await call.more()).empty()) ...
//
// Every failure of the connection (refused, reset, silent for longer than the patience, cancelled) is a
// std::exception out of the coroutine.
#pragma once

#include <memory>
#include <string>

#include "ballast/serve/http/exchange.h"

namespace boost::asio {
class io_context;
}

namespace ballast::serve {

struct HttpMessage {
  std::string host, port, method = "GET", path = "/";
  HeaderList headers = {};
  std::string body = {};
};

class HttpCall {
 public:
  HttpCall(boost::asio::io_context& io, double patience_seconds);
  ~HttpCall();
  HttpCall(const HttpCall&) = delete;

  Task<void> send(HttpMessage message);
  Task<int> status();
  /// Of the answer, after status().
  std::string header(const std::string& name) const;
  /// More bytes of the body; empty: its end.
  Task<std::string> more();
  /// The whole rest of the body.
  Task<std::string> rest();
  /// Ends whatever is under way. From the I/O thread.
  void cancel();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ballast::serve
