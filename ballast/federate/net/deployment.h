// What the tests of deployments share: a small federation, a server's and a client's options, clients on
// threads.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/federate/net/client.h"
#include "ballast/federate/net/server.h"

namespace ballast::federate {

class Store : public ClientStore {
 public:
  Store(const Federation& federation, int client) : federation_(federation), client_(client) {}
  const Samples* batch(int step) override {
    return step <= federation_.steps() ? &federation_.batch(client_, step) : nullptr;
  }

 private:
  const Federation& federation_;
  int client_;
};

inline Federation small(int clients = 4, int steps = 3) {
  std::vector<std::vector<int>> rows(static_cast<std::size_t>(steps) + 1,
                                     std::vector<int>(static_cast<std::size_t>(clients), 0));
  for (std::size_t step = 1; step < rows.size(); ++step) rows[step][0] = rows[step][1] = 1;
  return make_federation({.name = "sine", .samples = 80, .seed = 6}, ConceptPattern(rows));
}

inline RunConfig config_of() {
  RunConfig config;
  config.rounds = 5;
  config.local_steps = 20;
  return config;
}

/// Names c0, c1, ... with tokens t0, t1, ...
inline std::string roster_file(const TemporaryFolder& folder, int clients) {
  std::string text;
  for (int c = 0; c < clients; ++c)
    text += "c" + std::to_string(c) + " " + to_hex(blake2b("t" + std::to_string(c))) + "\n";
  write_file(folder.file("tokens"), text);
  return folder.file("tokens");
}

inline ServerOptions server_options(const TemporaryFolder& folder, int clients, int steps) {
  ServerOptions options;
  options.insecure = true;
  options.tokens = roster_file(folder, clients);
  options.state = folder.file("state");
  options.steps = steps;
  options.desk = {.min_clients = clients, .open_deadline_s = 120, .round_deadline_s = 120};
  options.strategy = {.name = "feddrift", .drift = {.delta = 0.2}};
  options.config = config_of();
  return options;
}

inline ClientOptions client_options(int client, int port) {
  ClientOptions options;
  options.server = "127.0.0.1:" + std::to_string(port);
  options.name = "c" + std::to_string(client);
  options.token = "t" + std::to_string(client);
  options.insecure = true;
  options.features = 2;
  options.patience_s = 120;
  return options;
}

inline RunLog simulated(const Federation& federation, const RunConfig& config) {
  const auto strategy =
      make_strategy({.name = "feddrift", .drift = {.delta = 0.2, .max_models = 0}}, federation.pattern());
  return run(federation, *strategy, config);
}

/// Clients on threads; joined when it goes.
class Sites {
 public:
  Sites(const Federation& federation, int port, const std::string& state = "") {
    stores_.reserve(static_cast<std::size_t>(federation.clients()));
    for (int c = 0; c < federation.clients(); ++c) {
      Store& store = stores_.emplace_back(federation, c);
      ClientOptions options = client_options(c, port);
      if (!state.empty()) options.state = state + "/client" + std::to_string(c);
      threads_.emplace_back([this, options, &store] {
        try {
          const ClientTraffic traffic = run_client(options, store);
          down += traffic.down;
          up += traffic.up;
        } catch (const std::exception& error) {
          ADD_FAILURE() << options.name << ": " << error.what();
        }
      });
    }
  }
  ~Sites() { join(); }
  void join() {
    for (auto& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }
  std::atomic<std::uint64_t> down{0}, up{0};

 private:
  std::vector<Store> stores_;
  std::vector<std::thread> threads_;
};

}  // namespace ballast::federate
