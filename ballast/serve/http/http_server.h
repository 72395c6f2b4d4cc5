// The OpenAI-compatible server of one engine: the endpoints, on a Listener.
//
//   HttpServer server(service, {.host = "127.0.0.1", .port = 0});
//   server.port();        // the port that was really bound
//   server.run();         // until stop() or a finished drain
//
// A client that goes away is noticed while its request waits, computes or streams: a read is always pending
// beside the answer. A slow reader never holds up the engine: tokens wait in the request's mailbox.
#pragma once

#include <cstdint>
#include <memory>

#include "ballast/serve/http/listener.h"
#include "ballast/serve/http/service.h"

namespace ballast::serve {

class HttpServer {
 public:
  /// Binds; throws Unavailable when the port is in use or a file cannot be read.
  HttpServer(Service& service, const ServerOptions& options);
  ~HttpServer();
  std::uint16_t port() const;
  /// Serves until stop(), or until a drain has finished all requests.
  void run();
  /// From any thread.
  void stop();
  /// Refuses new requests, lets those here finish, then run() returns. From any thread.
  void drain();
  /// Connections that are open now.
  int connections() const;

  class Endpoints;  ///< private to http_server.cc

 private:
  std::unique_ptr<Endpoints> endpoints_;
};

}  // namespace ballast::serve
