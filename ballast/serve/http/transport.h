// A connection as bytes, plain or TLS: the only place that knows which. Every operation counts against the
// time that was last set with expires_after().
#pragma once

#include <utility>  // Boost 1.74's asio forgets it
// (kept apart: asio must come after it)
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "ballast/serve/http/task.h"

namespace boost::asio::ssl {
class context;
}

namespace ballast::serve {

class Transport {
 public:
  using ErrorCode = boost::system::error_code;
  virtual ~Transport() = default;

  /// The handshake of TLS; false: there was none.
  virtual Task<bool> open() = 0;
  virtual Task<std::size_t> read(std::span<char> into, ErrorCode& error) = 0;
  /// All of the bytes, which must live until then.
  virtual Task<void> write(std::string_view bytes, ErrorCode& error) = 0;
  /// Says goodbye as the protocol wants it.
  virtual Task<void> close() = 0;
  virtual void expires_after(std::chrono::milliseconds time) = 0;
  virtual void expires_never() = 0;
  /// Ends the reading that is under way.
  virtual void cancel() = 0;
  /// Whether the connection can be used on after cancel().
  virtual bool survives_cancel() const = 0;
};

std::unique_ptr<Transport> plain_transport(boost::asio::ip::tcp::socket socket);
/// `tls` must outlive it.
std::unique_ptr<Transport> tls_transport(boost::asio::ip::tcp::socket socket, boost::asio::ssl::context& tls);
/// TLS 1.2 and up with these PEM files. Throws Unavailable for files that cannot be read.
std::shared_ptr<boost::asio::ssl::context> tls_context(const std::string& certificate,
                                                       const std::string& key);

}  // namespace ballast::serve
