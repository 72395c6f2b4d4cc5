// `ballast kv serve`: the store behind the Redis protocol, so that Redis' own clients drive it. One thread
// does the network, the machines do the batches.
//
//   RespServer server({.port = 0, .machines = 4});
//   std::thread clients([&] { connect to server.port() ... server.stop(); });
//   server.run(cluster, {});                     // until stop() or Ctrl-C
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "ballast/cluster/cluster.h"
#include "ballast/orch/options.h"

namespace ballast::kv {

struct ServerOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 6379;  ///< 0: any free one
  std::string password = {};
  std::size_t batch = 100'000;       ///< a batch closes at so many operations
  std::uint32_t max_delay_us = 100;  ///< or when its oldest has waited so long
  int machines = 4;
  std::size_t most_clients = 1'000;
  std::size_t most_waiting = 10'000;  ///< commands of one client; then it is not read
  std::size_t most_unsent_bytes = std::size_t{64}
                                  << 20;  ///< replies that one client does not fetch; then it is closed
  std::string checkpoint = {};            ///< folder: loaded at start, written at the end; empty: none
};

class RespServer {
 public:
  /// Binds. Throws InvalidInput for an address that is none, or one that is not of this machine alone without
  /// a password; Unavailable when it is taken.
  explicit RespServer(ServerOptions options);
  ~RespServer();

  std::uint16_t port() const;
  /// Serves on the cluster's machines (options.machines of them, threads) until stop() or an interrupt.
  void run(cluster::Cluster& cluster, const orch::Options& how);
  /// From any thread.
  void stop();

 private:
  class Network;
  ServerOptions options_;
  std::unique_ptr<Network> network_;
};

}  // namespace ballast::kv
