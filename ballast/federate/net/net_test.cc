// Deployments over real sockets: the bits of a simulation, faults, refusals, what crosses the wire.
#include "ballast/federate/net/server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <filesystem>
#include <optional>
#include <thread>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/base/testing.h"
#include "ballast/data/safetensors.h"
#include "ballast/federate/net/checkpoint.h"
#include "ballast/federate/net/client.h"

namespace ballast::federate {
namespace {

using testing::HasSubstr;

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

Federation small(int clients = 4, int steps = 3) {
  std::vector<std::vector<int>> rows(static_cast<std::size_t>(steps) + 1,
                                     std::vector<int>(static_cast<std::size_t>(clients), 0));
  for (std::size_t step = 1; step < rows.size(); ++step) rows[step][0] = rows[step][1] = 1;
  return make_federation({.name = "sine", .samples = 80, .seed = 6}, ConceptPattern(rows));
}

RunConfig config_of() {
  RunConfig config;
  config.rounds = 5;
  config.local_steps = 20;
  return config;
}

/// Names c0, c1, ... with tokens t0, t1, ...
std::string roster_file(const TemporaryFolder& folder, int clients) {
  std::string text;
  for (int c = 0; c < clients; ++c)
    text += "c" + std::to_string(c) + " " + to_hex(blake2b("t" + std::to_string(c))) + "\n";
  write_file(folder.file("tokens"), text);
  return folder.file("tokens");
}

ServerOptions server_options(const TemporaryFolder& folder, int clients, int steps) {
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

ClientOptions client_options(int client, int port) {
  ClientOptions options;
  options.server = "127.0.0.1:" + std::to_string(port);
  options.name = "c" + std::to_string(client);
  options.token = "t" + std::to_string(client);
  options.insecure = true;
  options.features = 2;
  options.patience_s = 120;
  return options;
}

RunLog simulated(const Federation& federation, const RunConfig& config) {
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
  EXPECT_LE(sent, counted);  // a client also keeps models that came back to what they were
  EXPECT_GE(sent, 0.8 * counted);
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

pid_t start_server(const ServerOptions& options, int port) {
  const std::string program = std::string(BALLAST_BINARY_DIR) + "/bin/ballast-federate";
  const std::string listen = "127.0.0.1:" + std::to_string(port);
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string steps = std::to_string(options.steps),
                      clients = std::to_string(options.desk.min_clients);
    const int silent = ::open("/dev/null", O_WRONLY);
    ::dup2(silent, 1);
    ::dup2(silent, 2);
    ::execl(program.c_str(), program.c_str(), "serve", "--insecure", "--listen", listen.c_str(), "--tokens",
            options.tokens.c_str(), "--state", options.state.c_str(), "--steps", steps.c_str(),
            "--min-clients", clients.c_str(), "--rounds", "5", "--local-steps", "20", "--delta", "0.2",
            "--max-models", "12", "--strategy", "feddrift", "--open-deadline", "120", "--round-deadline",
            "120", static_cast<char*>(nullptr));
    ::_exit(127);
  }
  return child;
}

// Oracle 8: the server process is killed (SIGKILL) again and again, wherever it happens to be; the models of
// the end are those of a run that nothing disturbed, bit for bit.
TEST(Deployment, KilledServerGoesOnExactly) {
  const auto federation = small();
  const auto expected = simulated(federation, config_of());
  const TemporaryFolder folder;
  const ServerOptions options = server_options(folder, 4, federation.steps());
  pid_t server = start_server(options, 0);
  int port = 0;
  for (int wait = 0; port == 0 && wait < 1200; ++wait) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    if (std::filesystem::exists(options.state + "/port"))
      port = std::stoi(read_file(options.state + "/port"));
  }
  ASSERT_GT(port, 0);
  Sites sites(federation, port, folder.path());
  for (std::uint64_t kill_at : {2, 5, 9, 13}) {
    for (int wait = 0; wait < 2400; ++wait) {
      if (std::filesystem::exists(options.state + "/checkpoint-" + std::to_string(kill_at))) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    ::kill(server, SIGKILL);
    ::waitpid(server, nullptr, 0);
    server = start_server(options, port);
  }
  sites.join();
  int status = 0;
  ::waitpid(server, &status, 0);
  EXPECT_EQ(status, 0);
  for (std::size_t slot = 0; slot < expected.parameters.size(); ++slot) {
    if (expected.parameters[slot].empty()) continue;
    const data::SafetensorsFile file(options.state + "/models/" + std::to_string(slot) + ".safetensors");
    const auto values = file.tensor("parameters").as<float>();
    EXPECT_EQ(Params(values.begin(), values.end()), expected.parameters[slot]) << "slot " << slot;
  }
}

// A client that dies between any two calls and comes back with its state folder changes nothing either.
TEST(Deployment, KilledClientGoesOnExactly) {
  const auto federation = small(2, 2);
  const auto expected = simulated(federation, config_of());
  const TemporaryFolder folder;
  FederationServer server(server_options(folder, 2, federation.steps()));
  std::vector<std::thread> threads;
  for (int c = 0; c < 2; ++c) {
    threads.emplace_back([&, c] {
      ClientOptions options = client_options(c, server.port());
      options.state = folder.file("client" + std::to_string(c));
      for (int life = 0; life < 200; ++life) {
        Store store(federation, c);
        int calls = 0;
        try {
          run_client(options, store,
                     [&] { return c == 0 && ++calls > 7; });  // client 0 lives for seven calls
          return;
        } catch (const Interrupted&) {
        }
      }
      ADD_FAILURE() << "client " << c << " never came to the end";
    });
  }
  const RunLog log = server.run();
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(log.parameters, expected.parameters);
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

TEST(Deployment, WrongTokenAndForeignShapeAreRefused) {
  const auto federation = small(2, 1);
  const TemporaryFolder folder;
  FederationServer server(server_options(folder, 2, 1));
  Store store(federation, 0);
  ClientOptions wrong = client_options(0, server.port());
  wrong.token = "t1";  // another client's
  try {
    run_client(wrong, store);
    FAIL();
  } catch (const InvalidInput& error) {
    EXPECT_THAT(error.what(), HasSubstr("does not know client 'c0'"));
  }
  std::thread waiting([&] { EXPECT_THROW(server.run(), Interrupted); });
  std::thread other([&] { server.desk().register_client(1, 5, 3); });
  while (server.desk().features() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_THROW(server.desk().register_client(0, 2, 2), InvalidInput);
  server.stop();
  waiting.join();
  other.join();
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

// Everything that the desk refuses, on one open training task.
TEST(Desk, WrongResultsAreRefusedAndCounted) {
  Roster roster{{{"a", to_hex(blake2b("x"))}, {"b", to_hex(blake2b("y"))}}};
  ServerDesk desk(roster, {.min_clients = 2, .open_deadline_s = 60, .round_deadline_s = 60});
  EXPECT_EQ(roster.authenticate("a", "x"), 0);
  EXPECT_EQ(roster.authenticate("a", "y"), -1);
  EXPECT_EQ(roster.authenticate("nobody", "x"), -1);
  WireSettings settings{.features = 2, .classes = 2, .config = {}};
  desk.set_problem(settings, "run");
  desk.register_client(0, 2, 2);
  desk.register_client(1, 2, 2);
  EXPECT_THROW(desk.register_client(1, 3, 2), InvalidInput);
  const MlpShape shape{2, 4, 2};
  ModelStore models;
  models.set(0) = fresh_params(shape, 1, 1);
  const auto work_of = [&](const std::vector<ClientTask>& tasks, const std::function<void()>& clients) {
    std::vector<bool> absent;
    std::thread server(
        [&] { desk.perform(tasks, models, false, [&](ClientResult& r) { absent.push_back(r.absent); }); });
    clients();
    server.join();
    return absent;
  };
  ClientTask open0, open1;
  open1.client = 1;
  const auto answer = [&](int client, ClientResult result) {
    const auto work = desk.next_task(client, std::chrono::seconds(20));
    result.client = client;
    result.absent = false;
    return std::pair(work.id, desk.push(client, work.id, to_bytes(result)));
  };
  ClientResult counted;
  counted.samples = 50;
  std::uint64_t old_id = 0;
  work_of({open0, open1}, [&] {
    old_id = answer(0, counted).first;
    EXPECT_EQ(answer(1, counted).second, "");
    EXPECT_EQ(desk.push(0, old_id, "anything"), "have");  // a repeated result is acknowledged
  });
  ClientTask train0, train1;
  train0.phase = train1.phase = Phase::train;
  train1.client = 1;
  train0.trains = train1.trains = {{.slot = 0, .batches = {{0, 1.0}}}};
  Trained right{.slot = 0, .samples = 50, .payload = std::string(shape.size() * 4, '\0')};
  const auto absent = work_of({train0, train1}, [&] {
    ClientResult good;
    good.trained = {right};
    EXPECT_EQ(answer(1, good).second, "");
    ClientResult bad = good;
    bad.trained[0].samples = 5000;
    EXPECT_EQ(answer(0, bad).second, "wrong number of samples");
    bad = good;
    bad.trained[0].payload.resize(12);
    EXPECT_EQ(answer(0, bad).second, "wrong layout");
    bad = good;
    const float nan = std::nanf("");
    std::memcpy(bad.trained[0].payload.data() + 8, &nan, 4);
    EXPECT_EQ(answer(0, bad).second, "parameters that are no finite numbers");  // the third: quarantine
    EXPECT_EQ(desk.push(0, 77, "x"), "quarantined");
  });
  EXPECT_EQ(absent, (std::vector<bool>{true, false}));
  EXPECT_EQ(desk.facts().refused, 3u);
  EXPECT_EQ(desk.facts().quarantined, std::set<int>{0});
  EXPECT_EQ(desk.push(1, 12345, "stale round"), "no such task is open");
  EXPECT_THROW(desk.blob("none"), InvalidInput);
}

TEST(Checkpoint, DamagedOnesArePassedOver) {
  const TemporaryFolder folder;
  EXPECT_FALSE(newest_checkpoint(folder.path()));
  for (std::uint64_t n = 1; n <= 5; ++n) write_checkpoint(folder.path(), n, "record " + std::to_string(n));
  EXPECT_FALSE(std::filesystem::exists(folder.file("checkpoint-2")));
  EXPECT_EQ(newest_checkpoint(folder.path())->record, "record 5");
  write_file(folder.file("checkpoint-5"), "short");
  EXPECT_EQ(newest_checkpoint(folder.path())->record, "record 4");
  std::string bad = read_file(folder.file("checkpoint-4"));
  bad.back() ^= 1;
  write_file(folder.file("checkpoint-4"), bad);
  EXPECT_EQ(newest_checkpoint(folder.path())->record, "record 3");
}

// The programs as a user starts them: token, serve and two clients on folders of CSV files.
TEST(Programs, TwoSitesOnTheirOwnFolders) {
  const TemporaryFolder folder;
  const std::string program = std::string(BALLAST_BINARY_DIR) + "/bin/ballast-federate", d = folder.path();
  for (const char* name : {"north", "south"}) {
    ASSERT_EQ(run_command(program + " token " + name + " --tokens " + d + "/list --out " + d + "/" + name +
                          ".token")
                  .code,
              0);
  }
  EXPECT_EQ(run_command(program + " token north --tokens " + d + "/list --out " + d + "/x").code, 2);
  Random random(3);
  for (const char* name : {"north", "south"}) {
    std::filesystem::create_directories(d + "/" + name);
    for (int step = 0; step <= 2; ++step) {
      std::string rows = "a,b,y\n";
      for (int i = 0; i < 60; ++i) {
        const double a = random.uniform(), b = random.uniform();
        rows += std::to_string(a) + "," + std::to_string(b) + "," + (a > b ? "1\n" : "0\n");
      }
      write_file(d + "/" + name + "/step_" + std::to_string(step) + ".csv", rows);
    }
  }
  const std::string client =
      program + " client --server 127.0.0.1:$port --insecure --patience 60 --state " + d;
  const auto result =
      run_command(program + " serve --insecure --tokens " + d + "/list --state " + d +
                  "/state --steps 2 --min-clients 2 --preset smoke > " + d +
                  "/out & server=$!; for i in $(seq 600); do [ -s " + d +
                  "/state/port ] && break; sleep 0.1; done; port=$(cat " + d + "/state/port); " + client +
                  "/s1 --name north --token-file " + d + "/north.token --data " + d + "/north & one=$!; " +
                  client + "/s2 --name south --token-file " + d + "/south.token --data " + d +
                  "/south; two=$?; wait $one && [ $two = 0 ] && wait $server");
  EXPECT_EQ(result.code, 0) << result.output << read_file(d + "/out");
  EXPECT_THAT(read_file(d + "/out"), HasSubstr("accuracy %"));
  EXPECT_THAT(result.output, HasSubstr("bytes of results sent (counted)"));
  EXPECT_EQ(run_command(program + " serve --insecure --tokens " + d + "/list --state " + d +
                        "/state --steps 2 --delta 0.3")
                .code,
            2);
}

}  // namespace
}  // namespace ballast::federate
