// A server or a client that dies at any instant and is started again.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "ballast/base/testing.h"
#include "ballast/data/safetensors.h"
#include "ballast/federate/net/checkpoint.h"
#include "ballast/federate/net/deployment.h"

namespace ballast::federate {
namespace {

using testing::HasSubstr;

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

}  // namespace
}  // namespace ballast::federate
