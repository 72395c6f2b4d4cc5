#include "ballast/serve/http/transport.h"

// (kept apart: asio must come after <utility>)
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/tcp_stream.hpp>

namespace ballast::serve {
namespace asio = boost::asio;
using asio::use_awaitable;

namespace {

class PlainTransport final : public Transport {
 public:
  explicit PlainTransport(asio::ip::tcp::socket socket) : stream_(std::move(socket)) {}

  Task<bool> open() override { co_return true; }
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
    stream_.socket().shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
    co_return;
  }
  void expires_after(std::chrono::milliseconds time) override { stream_.expires_after(time); }
  void expires_never() override { stream_.expires_never(); }
  void cancel() override { stream_.cancel(); }
  bool survives_cancel() const override { return true; }

 private:
  boost::beast::tcp_stream stream_;
};

}  // namespace

std::unique_ptr<Transport> plain_transport(asio::ip::tcp::socket socket) {
  return std::make_unique<PlainTransport>(std::move(socket));
}

}  // namespace ballast::serve
