// HTTP/1.1 and SSE over Boost.Beast: one I/O thread of coroutines. It moves bytes and watches clients; what
// is answered is in service.h and api.h.
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
#include <string>

#include "ballast/serve/http/service.h"

namespace ballast::serve {

struct ServerLimits {
  std::uint64_t body_bytes = std::uint64_t{1} << 20;
  std::uint32_t header_bytes = 8192;
  int connections = 1024;
  double request_seconds = 15;  ///< for a whole request to arrive, once its first byte is here
  double idle_seconds = 60;     ///< between requests of one connection
  double write_seconds = 30;    ///< without progress of a write
  double drain_seconds = 10;    ///< after which best-effort requests of a drain are ended
};

struct ServerOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;  ///< 0: any free one
  ServerLimits limits;
  std::string api_keys_file;             ///< one key a line; empty: no key is asked for
  std::string tls_certificate, tls_key;  ///< PEM files; both or neither
};

class HttpServer {
 public:
  /// Binds; throws Unavailable when the port is in use or a file cannot be read.
  HttpServer(Service& service, const ServerOptions& options);
  ~HttpServer();
  std::uint16_t port() const;
  /// Serves until stop(), or until a drain has finished all requests.
  void run();
  /// From any thread or a signal handler's thread.
  void stop();
  /// Refuses new requests, lets those here finish, then run() returns.
  void drain();
  /// Connections that are open now.
  int connections() const;

  struct State;  ///< private to http_server.cc

 private:
  std::unique_ptr<State> state_;
};

}  // namespace ballast::serve
