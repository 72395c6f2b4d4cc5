// Every byte that crosses the wire, held against every sample and against the ledger.
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <mutex>
#include <optional>

#include <filesystem>

#include "ballast/base/testing.h"
#include "ballast/data/safetensors.h"
#include "ballast/federate/net/checkpoint.h"
#include "ballast/federate/net/deployment.h"

namespace ballast::federate {
namespace {

using testing::HasSubstr;

/// A forwarder that keeps all bytes of both directions.
class Tap {
 public:
  explicit Tap(int target) {
    listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address);
    socklen_t size = sizeof address;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port = ntohs(address.sin_port);
    ::listen(listener_, 16);
    acceptor_ = std::thread([this, target] {
      for (int in; (in = ::accept(listener_, nullptr, nullptr)) >= 0;) {
        const int out = ::socket(AF_INET, SOCK_STREAM, 0);
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        to.sin_port = htons(static_cast<std::uint16_t>(target));
        if (::connect(out, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) continue;
        const std::lock_guard lock(mutex_);
        pumps_.emplace_back([this, in, out] { pump(in, out); });
      }
    });
  }
  std::string finish() {
    done_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    ::close(listener_);
    acceptor_.join();
    for (auto& pump : pumps_) pump.join();
    std::string joined;
    for (auto& [key, bytes] : streams_) joined += bytes;
    return joined;
  }
  int port = 0;

 private:
  void pump(int a, int b) {
    char buffer[1 << 16];
    pollfd ends[2] = {{a, POLLIN, 0}, {b, POLLIN, 0}};
    for (bool open = true; open;) {
      if (::poll(ends, 2, 200) == 0 && done_) break;
      for (int i = 0; i < 2; ++i) {
        if ((ends[i].revents & (POLLIN | POLLHUP | POLLERR)) == 0) continue;
        const auto got = ::recv(ends[i].fd, buffer, sizeof buffer, 0);
        if (got <= 0) {
          open = false;
          break;
        }
        {
          const std::lock_guard lock(mutex_);
          streams_[2 * a + i].append(buffer, static_cast<std::size_t>(got));
        }
        for (ssize_t at = 0; at < got;) {
          const auto sent =
              ::send(ends[1 - i].fd, buffer + at, static_cast<std::size_t>(got - at), MSG_NOSIGNAL);
          if (sent <= 0) break;
          at += sent;
        }
      }
    }
    ::close(a);
    ::close(b);
  }
  int listener_;
  std::atomic<bool> done_{false};
  std::mutex mutex_;
  std::map<int, std::string> streams_;
  std::thread acceptor_;
  std::vector<std::thread> pumps_;
};

// Every byte of both directions is held against every sample. That the search would find one is checked with
// a model's bytes, which must be there.
TEST(Deployment, NoSampleCrossesTheWire) {
  const auto federation = small(3, 2);
  const TemporaryFolder folder;
  FederationServer server(server_options(folder, 3, federation.steps()));
  Tap tap(server.port());
  std::optional<RunLog> log;
  {
    Sites sites(federation, tap.port);
    log = server.run();
  }
  const std::string wire = tap.finish();
  ASSERT_GT(wire.size(), 10'000u);
  for (int step = 0; step <= federation.steps(); ++step) {
    for (int c = 0; c < federation.clients(); ++c) {
      const Samples& samples = federation.batch(c, step);
      for (std::size_t i = 0; i < samples.size(); ++i) {
        const std::string_view row(reinterpret_cast<const char*>(samples.row(i)), 2 * sizeof(float));
        ASSERT_EQ(wire.find(row), std::string::npos)
            << "client " << c << ", step " << step << ", sample " << i;
      }
    }
  }
  const Params& model = log->parameters.at(0);
  EXPECT_NE(wire.find(std::string_view(reinterpret_cast<const char*>(model.data()), 32)), std::string::npos);
}

// The ledger counts payload; what the sockets carry beside it (HTTP/2 frames, tasks, metadata) is small once
// models are of a real size.
TEST(Deployment, LedgerIsWithinTwoPercentOfTheSocket) {
  const auto federation = small(3, 2);
  const TemporaryFolder folder;
  ServerOptions options = server_options(folder, 3, federation.steps());
  options.config.hidden = 8192;  // 164 kB a model
  options.config.rounds = 3;
  options.config.local_steps = 2;
  FederationServer server(options);
  Tap tap(server.port());
  std::optional<RunLog> log;
  {
    Sites sites(federation, tap.port);
    log = server.run();
  }
  const auto wire = static_cast<double>(tap.finish().size()),
             counted = static_cast<double>(log->ledger.total());
  EXPECT_GT(counted, 5e6);
  EXPECT_NEAR(wire / counted, 1.0, 0.02);
}

}  // namespace
}  // namespace ballast::federate
