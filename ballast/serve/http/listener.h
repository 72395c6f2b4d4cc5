// HTTP/1.1 over Boost.Beast: one I/O thread of coroutines that accepts connections, plain or TLS, reads
// requests within limits, and hands them to an Application. It moves bytes and watches clients; what is
// answered is the application's.
//
//   Listener listener(application, {.host = "127.0.0.1", .port = 0});
//   listener.port();      // the port that was really bound
//   listener.run();       // until stop()
//
// A slow reader never holds up anybody: a write that makes no progress for `write_seconds` ends its
// connection; a slow sender has `request_seconds` for a whole request.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "ballast/serve/http/exchange.h"

namespace boost::asio {
class io_context;
}

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
  ServerLimits limits = {};
  std::string api_keys_file = {};                  ///< see api_keys.h; empty: no key is asked for
  std::string tls_certificate = {}, tls_key = {};  ///< PEM files; both or neither
};

class Listener {
 public:
  /// Binds. Throws Unavailable when the port is in use or a file cannot be read, InvalidInput for an address
  /// that is none.
  Listener(Application& application, const ServerOptions& options);
  ~Listener();
  std::uint16_t port() const;
  void run();
  /// From any thread.
  void stop();
  /// Connections that are open now.
  int connections() const;
  boost::asio::io_context& io();

  struct State;  ///< private to listener.cc

 private:
  std::unique_ptr<State> state_;
};

}  // namespace ballast::serve
