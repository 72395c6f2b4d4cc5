#include "ballast/serve/http/transport.h"

// (kept apart: asio must come after <utility>)
#include <fmt/format.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/tcp_stream.hpp>

#include "ballast/base/errors.h"

namespace ballast::serve {
namespace asio = boost::asio;
using asio::use_awaitable;

namespace {

class TlsTransport final : public Transport {
 public:
  TlsTransport(asio::ip::tcp::socket socket, asio::ssl::context& tls) : stream_(std::move(socket), tls) {}

  Task<bool> open() override {
    ErrorCode error;
    co_await stream_.async_handshake(asio::ssl::stream_base::server,
                                     asio::redirect_error(use_awaitable, error));
    co_return !error;
  }
  Task<std::size_t> read(std::span<char> into, ErrorCode& error) override {
    co_return co_await stream_.async_read_some(asio::mutable_buffer(into.data(), into.size()),
                                               asio::redirect_error(use_awaitable, error));
  }
  Task<void> write(std::string_view bytes, ErrorCode& error) override {
    co_await asio::async_write(stream_, asio::const_buffer(bytes.data(), bytes.size()),
                               asio::redirect_error(use_awaitable, error));
  }
  Task<void> close() override {
    ErrorCode ignored;
    expires_after(std::chrono::seconds(1));
    co_await stream_.async_shutdown(asio::redirect_error(use_awaitable, ignored));
  }
  void expires_after(std::chrono::milliseconds time) override { stream_.next_layer().expires_after(time); }
  void expires_never() override { stream_.next_layer().expires_never(); }
  void cancel() override { stream_.next_layer().cancel(); }
  bool survives_cancel() const override { return false; }  // a cut read leaves TLS undefined

 private:
  asio::ssl::stream<boost::beast::tcp_stream> stream_;
};

}  // namespace

std::unique_ptr<Transport> tls_transport(asio::ip::tcp::socket socket, asio::ssl::context& tls) {
  return std::make_unique<TlsTransport>(std::move(socket), tls);
}

std::shared_ptr<asio::ssl::context> tls_context(const std::string& certificate, const std::string& key) {
  auto tls = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  tls->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_sslv2 |
                   asio::ssl::context::no_sslv3 | asio::ssl::context::no_tlsv1 |
                   asio::ssl::context::no_tlsv1_1);
  boost::system::error_code error;
  tls->use_certificate_chain_file(certificate, error);
  if (error)
    throw Unavailable(fmt::format("{}: no certificate can be read ({})", certificate, error.message()));
  tls->use_private_key_file(key, asio::ssl::context::pem, error);
  if (error) throw Unavailable(fmt::format("{}: no private key can be read ({})", key, error.message()));
  return tls;
}

}  // namespace ballast::serve
