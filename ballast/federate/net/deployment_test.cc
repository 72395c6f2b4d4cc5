// Deployments over real sockets: the bits of a simulation, deadlines, TLS.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <optional>

#include "ballast/base/testing.h"
#include "ballast/data/safetensors.h"
#include "ballast/federate/net/checkpoint.h"
#include "ballast/federate/net/deployment.h"

namespace ballast::federate {
namespace {

using testing::HasSubstr;

// Oracle 7: over gRPC as on threads. The ledger of the simulation counts the models that really travelled.
TEST(Deployment, SameBitsAsTheSimulation) {
  const auto federation = small();
  const auto expected = simulated(federation, config_of());
  EXPECT_GT(*std::max_element(expected.models.begin(), expected.models.end()), 1);
  const TemporaryFolder folder;
  ServerOptions options = server_options(folder, 4, federation.steps());
  FederationServer server(options);
  Sites sites(federation, server.port());
  const RunLog log = server.run();
  sites.join();
  EXPECT_EQ(log.parameters, expected.parameters);
  EXPECT_EQ(log.prequential, expected.prequential);
  EXPECT_EQ(log.serving, expected.serving);
  const auto sent = static_cast<double>(sites.down),
             counted = static_cast<double>(expected.ledger.models_down);
  EXPECT_EQ(sent, counted);
  EXPECT_THAT(read_file(options.state + "/status.html"), HasSubstr("<td>c0</td>"));
  EXPECT_EQ(Json::parse(read_file(options.state + "/status.json")).at("state"), "ended");
  for (std::size_t slot = 0; slot < log.parameters.size(); ++slot) {
    if (log.parameters[slot].empty()) continue;
    const data::SafetensorsFile file(options.state + "/models/" + std::to_string(slot) + ".safetensors");
    const auto values = file.tensor("parameters").as<float>();
    EXPECT_TRUE(
        std::equal(values.begin(), values.end(), log.parameters[slot].begin(), log.parameters[slot].end()));
  }
}

// A client that is registered and silent: the deadline is a timer, the round goes on without it.
TEST(Deployment, SilentClientDoesNotHoldTheOthers) {
  const auto federation = small(3, 2);
  const TemporaryFolder folder;
  ServerOptions options = server_options(folder, 3, federation.steps());
  options.desk.open_deadline_s = options.desk.round_deadline_s = 2;
  options.config.rounds = 1;
  FederationServer server(options);
  std::vector<std::thread> threads;
  std::vector<Store> stores;
  for (int c = 0; c < 3; ++c) stores.emplace_back(federation, c);
  for (int c = 0; c < 3; ++c) {
    threads.emplace_back([&, c] {
      int calls = 0;
      try {
        run_client(client_options(c, server.port()), stores[static_cast<std::size_t>(c)],
                   [&] { return c == 2 && ++calls > 1; });
      } catch (const Interrupted&) {
      }
    });
  }
  const RunLog log = server.run();
  for (auto& thread : threads) thread.join();
  ASSERT_EQ(log.prequential.size(), 2u);
  EXPECT_GT(log.prequential[1][0].n + log.prequential[1][1].n, 0u);
  EXPECT_EQ(log.prequential[1][2].n, 0u);
}

/// A deployment's log with one more setting, and what the simulation says.
void expect_same_bits(const Federation& federation, const std::function<void(RunConfig&)>& change) {
  const TemporaryFolder folder;
  ServerOptions options = server_options(folder, federation.clients(), federation.steps());
  change(options.config);
  const RunLog expected = simulated(federation, options.config);
  FederationServer server(options);
  Sites sites(federation, server.port());
  const RunLog log = server.run();
  sites.join();
  EXPECT_EQ(log.parameters, expected.parameters);
  EXPECT_EQ(log.serving, expected.serving);
}

TEST(Deployment, SecureSumsHaveTheSimulationsBits) {
  expect_same_bits(small(), [](RunConfig& config) { config.secure = true; });
}

TEST(Deployment, ModelsOfLibtorchHaveTheSimulationsBits) {
  if (!std::filesystem::exists(std::string(BALLAST_BINARY_DIR) + "/bin/ballast-federate-torch"))
    GTEST_SKIP() << "built without libtorch";
  expect_same_bits(small(3, 2), [](RunConfig& config) {
    config.model = ModelKind::torch_mlp;
    config.rounds = 2;
  });
}

// A client that is there from step 2 on takes part from then on, and is not called drifted when it comes.
TEST(Deployment, LateJoinerTakesPartFromTheNextStep) {
  const auto federation =
      make_federation({.name = "sine", .samples = 80, .seed = 6}, ConceptPattern::stationary(3, 4));
  const TemporaryFolder folder;
  ServerOptions options = server_options(folder, 3, federation.steps());
  options.desk.min_clients = 2;
  FederationServer server(options);
  std::vector<Store> stores;
  for (int c = 0; c < 3; ++c) stores.emplace_back(federation, c);
  std::vector<std::thread> threads;
  std::atomic<int> step_seen{0};
  const auto start = [&](int c) {
    threads.emplace_back([&, c] {
      try {
        run_client(client_options(c, server.port()), stores[static_cast<std::size_t>(c)]);
      } catch (const std::exception& error) {
        ADD_FAILURE() << error.what();
      }
    });
  };
  start(0);
  start(1);
  std::thread late([&] {
    // The state folder tells the step; the joiner registers in the middle of a step.
    for (int wait = 0; wait < 6000; ++wait) {
      if (std::filesystem::exists(options.state + "/status.json")) {
        try {
          step_seen = read_json(options.state + "/status.json").value("step", 0);
        } catch (const std::exception&) {  // it is being replaced
        }
      }
      if (step_seen >= 1) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    start(2);
  });
  const RunLog log = server.run();
  late.join();
  for (auto& thread : threads) thread.join();
  ASSERT_EQ(log.prequential.size(), 4u);
  EXPECT_EQ(log.traffic.at(0).at(2).total(), 0u);  // it was not there
  if (step_seen < 3) {
    EXPECT_GT(log.traffic.at(4).at(2).total(), 0u);
  }
  for (const Event& event : log.events) EXPECT_NE(event.client, 2) << event.kind;
}

// Too few reports: the round is tried again, the server says so, and goes on once somebody is back.
TEST(Deployment, TooFewReportsDegradeAndRecover) {
  const auto federation = small(2, 1);
  const TemporaryFolder folder;
  ServerOptions options = server_options(folder, 2, 1);
  options.desk.round_deadline_s = 0.5;
  options.min_reports = 2;
  options.config.rounds = 2;
  FederationServer server(options);
  std::atomic<bool> away{false}, degraded{false};
  std::atomic<int> looked{0};  // at client 1's data: twice at OPEN, then to train
  struct Watched : Store {
    Watched(const Federation& data, int client, std::atomic<int>& count)
        : Store(data, client), looked(count) {}
    const Samples* batch(int step) override {
      ++looked;
      return Store::batch(step);
    }
    std::atomic<int>& looked;
  };
  std::atomic<int> ignored{0};
  Watched first(federation, 0, ignored), second(federation, 1, looked);
  std::vector<std::thread> threads;
  for (int c = 0; c < 2; ++c) {
    threads.emplace_back([&, c] {
      ClientStore& store = c == 0 ? static_cast<ClientStore&>(first) : second;
      const ClientOptions one = client_options(c, server.port());
      try {  // client 1 trains its first round and leaves with the result
        run_client(one, store, [&] { return c == 1 && looked >= 3; });
        return;
      } catch (const Interrupted&) {
        away = true;
      }
      for (int wait = 0; wait < 4000 && !degraded; ++wait) {
        degraded = server.status().value("state", "").starts_with("DEGRADED");
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
      try {
        run_client(one, store);
      } catch (const std::exception& error) {
        ADD_FAILURE() << error.what();
      }
    });
  }
  const RunLog log = server.run();
  for (auto& thread : threads) thread.join();
  EXPECT_TRUE(away);
  EXPECT_TRUE(degraded);
  EXPECT_FALSE(log.parameters.empty());
  EXPECT_EQ(server.status().value("state", ""), "ended");
}

// An operator ends the run after the present step; started again, it ends in the bits of a run that was not
// stopped.
TEST(Deployment, DrainedRunGoesOnExactly) {
  const auto federation = small();
  const auto expected = simulated(federation, config_of());
  const TemporaryFolder folder;
  const ServerOptions options = server_options(folder, 4, federation.steps());
  std::optional<RunLog> log;
  for (int life = 0; life < 2; ++life) {
    FederationServer server(options);
    if (life == 0) write_file(options.state + "/drain", "");
    Sites sites(federation, server.port(), folder.path());
    log = server.run();
    sites.join();
    EXPECT_EQ(server.drained(), life == 0);
    EXPECT_EQ(log->prequential.size(), life == 0 ? 0u : static_cast<std::size_t>(federation.steps()));
  }
  EXPECT_EQ(log->parameters, expected.parameters);
}

TEST(Deployment, OptionsThatContradictAreRefused) {
  const TemporaryFolder folder;
  ServerOptions options = server_options(folder, 2, 1);
  options.listen = "0.0.0.0:0";
  EXPECT_THROW(FederationServer{options}, InvalidInput);
  options.listen = "127.0.0.1:0";
  options.insecure = false;
  EXPECT_THROW(FederationServer{options}, InvalidInput);
  options.insecure = true;
  options.desk.min_clients = 3;
  EXPECT_THROW(FederationServer{options}, InvalidInput);
}

/// Certificates of a throw-away authority; false when there is no openssl.
bool make_certificates(const TemporaryFolder& folder) {
  const std::string d = folder.path();
  return run_command("cd " + d +
                     " && openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj "
                     "/CN=authority"
                     " && for n in server client; do openssl req -newkey rsa:2048 -nodes -keyout $n.key -out "
                     "$n.csr -subj /CN=$n &&"
                     " printf 'subjectAltName=IP:127.0.0.1' > $n.ext && openssl x509 -req -in $n.csr -CA "
                     "ca.pem -CAkey ca.key"
                     " -CAcreateserial -out $n.pem -days 2 -extfile $n.ext || exit 1; done")
             .code == 0;
}

TEST(Deployment, MutualTls) {
  const TemporaryFolder folder;
  if (!make_certificates(folder)) GTEST_SKIP() << "openssl is not installed";
  const auto federation = small(2, 1);
  ServerOptions options = server_options(folder, 2, 1);
  options.insecure = false;
  options.certificate = folder.file("server.pem");
  options.key = folder.file("server.key");
  options.client_ca = folder.file("ca.pem");
  FederationServer server(options);
  Store first(federation, 0), second(federation, 1);
  ClientOptions plain = client_options(0, server.port());
  plain.patience_s = 1;
  for (int kind = 0; kind < 2; ++kind) {  // no TLS; TLS without a certificate of its own
    plain.insecure = kind == 0;
    plain.ca = folder.file("ca.pem");
    try {
      run_client(plain, first);
      ADD_FAILURE();
    } catch (const Unavailable& error) {
      EXPECT_THAT(error.what(), HasSubstr("it is down, or the TLS handshake fails"));
    }
  }
  std::vector<std::thread> threads;
  for (int c = 0; c < 2; ++c) {
    threads.emplace_back([&, c] {
      ClientOptions right = client_options(c, server.port());
      right.insecure = false;
      right.ca = folder.file("ca.pem");
      right.certificate = folder.file("client.pem");
      right.key = folder.file("client.key");
      try {
        run_client(right, c == 0 ? first : second);
      } catch (const std::exception& error) {
        ADD_FAILURE() << error.what();
      }
    });
  }
  const RunLog log = server.run();
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(log.parameters, simulated(federation, config_of()).parameters);
}

}  // namespace
}  // namespace ballast::federate
