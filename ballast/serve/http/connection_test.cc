// The server's connections: clients that vanish, send too much, too slowly or nonsense; TLS, drains and
// signals.
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/random.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/base/testing.h"
#include "ballast/serve/http/request_reader.h"
#include "ballast/serve/http/test_client.h"
#include "ballast/serve/model_test.h"

namespace ballast::serve {
namespace {

class Connection : public ModelTest<Connection> {};

const char* kHello =
    R"({"messages":[{"role":"user","content":"What is the capital of France?"}],"max_tokens":12,"temperature":0)";

// However the bytes are cut, the requests are the same; what stands behind one belongs to the next.
TEST(RequestReader, RequestsAreWholeHoweverTheBytesCome) {
  const std::string two =
      post("/a?x=1", "body", "X-Key: v\r\n") +
      "POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n" +
      get("/c", "Connection: close\r\n");
  for (std::size_t piece = 1; piece <= two.size(); ++piece) {
    RequestReader reader(1 << 20, 8192);
    std::vector<HttpRequest> got;
    for (std::size_t at = 0; at < two.size(); at += piece) {
      reader.add(std::string_view(two).substr(at, piece));
      while (auto request = reader.next()) {
        got.push_back(std::move(*request));
        EXPECT_EQ(reader.keep_alive(), got.back().path != "/c");
      }
    }
    ASSERT_EQ(got.size(), 3u) << piece;
    EXPECT_EQ(got[0].path, "/a");
    EXPECT_EQ(got[0].body, "body");
    EXPECT_EQ(got[0].header("x-key"), "v");
    EXPECT_EQ(got[1].body, "abcde");
    EXPECT_EQ(got[2].method, "GET");
    EXPECT_EQ(reader.waiting(), 0u);
  }
}

TEST_F(Connection, BindingFailuresAreOneSentence) {
  Running running(*model_);
  ServerOptions same;
  same.port = running.port();
  EXPECT_THROW(Running(*model_, same), Unavailable);
  ServerOptions tls;
  tls.tls_certificate = "/no/such/cert.pem";
  EXPECT_THROW(Running(*model_, tls), InvalidInput);
  tls.tls_key = "/no/such/key.pem";
  EXPECT_THROW(Running(*model_, tls), Unavailable);
  ServerOptions host;
  host.host = "not an address";
  EXPECT_THROW(Running(*model_, host), InvalidInput);
}

int open_descriptors() {
  int count = 0;
  DIR* folder = ::opendir("/proc/self/fd");
  while (::readdir(folder) != nullptr) ++count;
  ::closedir(folder);
  return count;
}

// Clients that vanish while streaming, waiting or half-way through a request: memory comes back, no
// descriptor is left.
TEST_F(Connection, ClientsThatVanishGiveEverythingBack) {
  Running running(*model_, {}, 3);
  const std::string endless = post(
      "/v1/completions", R"({"prompt":"A long story:","max_tokens":400,"stream":true,"ignore_eos":true})");
  int before = 0;
  for (int round = 0; round < 3; ++round) {
    {
      std::vector<std::unique_ptr<Client>> clients;
      for (int i = 0; i < 10; ++i) {
        clients.push_back(std::make_unique<Client>(running.port()));
        ASSERT_TRUE(clients.back()->connected());
        if (i % 5 == 4)
          clients.back()->write("POST /v1/completions HTTP/1.1\r\nContent-Le");
        else
          clients.back()->write(endless);
      }
      // Three of them stream, whichever the plan has let in; the others wait.
      const auto before_tokens = running.engine().snapshot().output_tokens;
      for (int i = 0; i < 3000 && running.engine().snapshot().output_tokens < before_tokens + 6; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
      for (std::size_t i = 0; i < clients.size(); i += 2) clients[i]->kill();
    }
    for (int i = 0; i < 600 && !(running.engine().idle() && running.server().connections() == 0); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_TRUE(running.engine().idle());
    EXPECT_EQ(running.server().connections(), 0);
    if (round == 0) before = open_descriptors();
  }
  EXPECT_LE(open_descriptors(), before);
  EXPECT_EQ(running.ask(post("/v1/completions", R"({"prompt":"x","max_tokens":2})")).status, 200);
  for (int i = 0; i < 100 && running.engine().snapshot().kv_used > 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(running.engine().snapshot().kv_used, 0);
}

// 200 streams, half of the clients killed at once: all memory comes back, the other half is served to its
// end.
TEST_F(Connection, TwoHundredStreamsHalfOfThemKilled) {
  Running running(*model_, RunningOptions{.slots = 8, .max_pending = 400, .policy = "slots:8"});
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 200; ++i) {
    clients.push_back(std::make_unique<Client>(running.port()));
    ASSERT_TRUE(clients.back()->connected());
    // Those that will live ask for little, those that will be killed for more than there is time for.
    ASSERT_TRUE(clients.back()->write(post(
        "/v1/completions", i % 2 == 0 ? R"({"prompt":"x","max_tokens":480,"stream":true,"ignore_eos":true})"
                                      : R"({"prompt":"x","max_tokens":2,"stream":true,"ignore_eos":true})")));
  }
  ASSERT_TRUE(clients.front()->read_until("data:"));
  const auto killed = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < clients.size(); i += 2) clients[i]->kill();
  for (int i = 0; i < 6000 && running.engine().snapshot().cancelled < 100; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  std::printf("100 killed clients were gone from the engine after %.2f s\n",
              std::chrono::duration<double>(std::chrono::steady_clock::now() - killed).count());
  EXPECT_EQ(running.engine().snapshot().cancelled, 100);
  int served = 0;
  for (std::size_t i = 1; i < clients.size(); i += 2) served += clients[i]->read_until("[DONE]") ? 1 : 0;
  EXPECT_EQ(served, 100);
  clients.clear();
  for (int i = 0; i < 1000 && (running.engine().snapshot().kv_used > 0 || running.server().connections() > 0);
       ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(running.engine().snapshot().kv_used, 0);
  EXPECT_EQ(running.server().connections(), 0);
}

// Twenty rounds of clients that end in every way there is: no descriptor is left behind.
TEST_F(Connection, TwentyRoundsLeaveNoDescriptor) {
  Running running(*model_, {}, 3);
  const std::string endless =
      post("/v1/completions", R"({"prompt":"A story:","max_tokens":300,"stream":true,"ignore_eos":true})");
  int before = 0;
  for (int round = 0; round < 20; ++round) {
    {
      Client killed(running.port()), closed(running.port()), half(running.port()), partial(running.port());
      killed.write(endless);
      closed.write(endless);
      half.write(endless);
      partial.write(endless.substr(0, 40));
      ASSERT_TRUE(killed.read_until("data:"));
      killed.kill();
      half.half_close();
    }
    for (int i = 0; i < 1200 && !(running.engine().idle() && running.server().connections() == 0); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(25));
    ASSERT_TRUE(running.engine().idle());
    ASSERT_EQ(running.server().connections(), 0);
    if (round == 0) before = open_descriptors();
  }
  EXPECT_LE(open_descriptors(), before);
}

// A client that closes its sending side only counts as gone: its memory is free, its connection is closed.
TEST_F(Connection, AHalfClosedClientIsGone) {
  Running running(*model_);
  Client half(running.port());
  half.write(post("/v1/completions",
                  R"({"prompt":"A long story:","max_tokens":450,"stream":true,"ignore_eos":true})"));
  ASSERT_TRUE(half.read_until("data:"));
  half.half_close();
  while (half.more()) {
  }
  for (int i = 0; i < 1000 && !running.engine().idle(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(running.engine().snapshot().cancelled, 1);
  EXPECT_EQ(half.text().find("[DONE]"), std::string::npos);
}

// Bodies that grow without end, announce more than they send, or claim a size that is none.
TEST_F(Connection, BodyBombsAreRefused) {
  ServerOptions options;
  options.limits.request_seconds = 2;
  Running running(*model_, options);
  Client chunked(running.port());
  chunked.write("POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string chunk = "10000\r\n" + std::string(0x10000, 'x') + "\r\n";
  for (int i = 0; i < 40 && chunked.write(chunk); ++i) {
  }
  const Reply bomb = read_reply(chunked);
  EXPECT_TRUE(bomb.status == 413 || bomb.status == 0) << bomb.status;  // 0: cut off while it still sent
  Client promises_more(running.port());
  promises_more.write("POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{");
  while (promises_more.more()) {
  }
  for (const char* length : {"-1", "99999999999999999999999", "1e3", "0x10"})
    EXPECT_EQ(running.ask(std::string("POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: ") +
                          length + "\r\n\r\n")
                      .status /
                  100,
              4)
        << length;
  EXPECT_EQ(running.ask(get("/health")).status, 200);
}

TEST_F(Connection, TlsIsServed) {
  if (std::system("command -v openssl >/dev/null && command -v curl >/dev/null") != 0)
    GTEST_SKIP() << "needs openssl and curl";
  const TemporaryFolder folder;
  const CommandResult made = run_command(
      "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext "
      "subjectAltName=IP:127.0.0.1 -keyout " +
      folder.file("key.pem") + " -out " + folder.file("cert.pem"));
  ASSERT_EQ(made.code, 0) << made.output;
  ServerOptions options;
  options.tls_certificate = folder.file("cert.pem");
  options.tls_key = folder.file("key.pem");
  Running running(*model_, options);
  const std::string at = "https://127.0.0.1:" + std::to_string(running.port());
  const std::string curl = "curl -s --max-time 100 --cacert " + folder.file("cert.pem") + " ";
  EXPECT_NE(run_command(curl + at + "/ready").output.find("ready"), std::string::npos);
  EXPECT_NE(
      run_command(curl + at + R"(/v1/completions -d '{"prompt":"1, 2, 3,","max_tokens":3,"stream":true}')")
          .output.find("[DONE]"),
      std::string::npos);
  EXPECT_NE(run_command("curl -s --max-time 20 " + at + "/ready").code, 0)
      << "an unknown certificate is refused";
  EXPECT_EQ(ask(running.port(), get("/ready")).status, 0) << "plain HTTP gets no answer";
}

// The program itself: SIGTERM in mid-stream lets the stream end, refuses new requests, and exits with 0; a
// second signal ends it at once.
TEST_F(Connection, SigtermInMidStreamDrains) {
  for (const bool twice : {false, true}) {
    const TemporaryFolder folder;
    PerfModel perf = generous();
    perf.model = model_->description();
    write_file(folder.file("perf.json"), perf.to_json().dump());
    const pid_t server = ::fork();
    if (server == 0) {
      const int out = ::open(folder.file("log").c_str(), O_CREAT | O_WRONLY, 0600);
      ::dup2(out, 1);
      ::dup2(out, 2);
      ::execl(BALLAST_BINARY_DIR "/bin/ballast-serve", "ballast-serve", "start", "--port", "0", "--port-file",
              folder.file("port").c_str(), "--perf", folder.file("perf.json").c_str(), "--threads", "1",
              "--slots", "2", nullptr);
      ::_exit(127);
    }
    for (int i = 0; i < 1200 && !std::filesystem::exists(folder.file("port")); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    ASSERT_TRUE(std::filesystem::exists(folder.file("port"))) << read_file(folder.file("log"));
    const auto port = static_cast<std::uint16_t>(std::atoi(read_file(folder.file("port")).c_str()));
    Client stream(port);
    stream.write(post(
        "/v1/completions",
        std::string(
            R"({"prompt":"A story:","stream":true,"ignore_eos":true,"slo":{"ttft_slowdown":100000,"tpot_ms":100000},"max_tokens":)") +
            (twice ? "900}" : "60}")));
    ASSERT_TRUE(stream.read_until("data:"));
    ::kill(server, SIGTERM);
    bool refused = false;
    for (int i = 0; i < 300 && !refused; ++i) {
      refused = ask(port, post("/v1/completions", R"({"prompt":"x","max_tokens":1})")).status == 503;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      if (!refused && ::waitpid(server, nullptr, WNOHANG) != 0) break;
    }
    EXPECT_TRUE(refused);
    if (twice) ::kill(server, SIGTERM);
    EXPECT_EQ(stream.read_until("[DONE]"), !twice);
    int status = 0;
    ASSERT_EQ(::waitpid(server, &status, 0), server);
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), twice ? 130 : 0) << read_file(folder.file("log"));
  }
}

TEST_F(Connection, DeleteEndsARequest) {
  Running running(*model_);
  Client client(running.port());
  client.write(post("/v1/completions",
                    R"({"prompt":"A long story:","max_tokens":400,"stream":true,"ignore_eos":true})"));
  ASSERT_TRUE(client.read_until("\r\n\r\n"));
  const auto at = client.text().find("x-request-id: ");
  ASSERT_NE(at, std::string::npos) << client.text();
  const std::string id = client.text().substr(at + 14, client.text().find("\r\n", at) - at - 14);
  ASSERT_TRUE(client.read_until("data:"));
  EXPECT_EQ(running.ask("DELETE /v1/requests/" + id + " HTTP/1.1\r\nHost: x\r\n\r\n").status, 200);
  EXPECT_TRUE(client.read_until("\"error\""));
  EXPECT_TRUE(client.read_until("0\r\n\r\n"));
}

TEST_F(Connection, ADrainFinishesWhatWasPromisedAndRefusesTheRest) {
  auto running = std::make_unique<Running>(*model_);
  Client client(running->port());
  client.write(
      post("/v1/completions", R"({"prompt":"A story:","max_tokens":40,"stream":true,"ignore_eos":true})"));
  ASSERT_TRUE(client.read_until("data:"));
  EXPECT_EQ(running->ask(post("/admin/drain", "")).status, 200);
  EXPECT_EQ(running->ask(get("/ready")).status, 503);
  const Reply refused = running->ask(post("/v1/completions", R"({"prompt":"x"})"));
  EXPECT_EQ(refused.status, 503);
  EXPECT_NE(refused.header.find("Retry-After"), std::string::npos);
  EXPECT_TRUE(client.read_until("[DONE]"));
  running->join();  // run() returns by itself
}

// A slow sender is cut off after the request time, whatever it sends; nothing else is held up meanwhile.
TEST_F(Connection, ASlowSenderIsCutOff) {
  ServerOptions options;
  options.limits.request_seconds = 1;
  Running running(*model_, options);
  Client slow(running.port());
  slow.write("POST /v1/completions HTTP/1.1\r\n");
  std::atomic<bool> over = false;
  std::thread drip([&] {
    while (!over && slow.write("x: y\r\n")) std::this_thread::sleep_for(std::chrono::milliseconds(100));
  });
  EXPECT_EQ(running.ask(get("/health")).status, 200);
  while (slow.more()) {
  }
  over = true;
  drip.join();
  EXPECT_EQ(running.ask(get("/health")).status, 200);
}

// Random damage to valid requests: always an answer or a closed connection, never a crash or a hang.
TEST_F(Connection, DamagedRequestsNeverBringItDown) {
  ServerOptions options;
  options.limits.request_seconds = 1;
  options.limits.idle_seconds = 1;
  Running running(*model_, options);
  std::printf("seed 71\n");
  Random random(71);
  const std::string good =
      post("/v1/chat/completions", std::string(kHello) + R"(,"slo":{"tier":"coder"},"stop":["x"]})");
  for (int round = 0; round < 60; ++round) {
    std::string bad = good;
    for (std::uint64_t i = 1 + random.below(4); i > 0; --i) {
      const std::size_t at = random.below(bad.size());
      if (random.below(2) == 0)
        bad[at] = static_cast<char>(random.below(256));
      else
        bad.erase(at, 1 + random.below(8));
    }
    Client client(running.port());
    client.write(bad);
    if (random.below(3) == 0) client.kill();
  }
  EXPECT_EQ(running.ask(get("/health")).status, 200);
}

}  // namespace
}  // namespace ballast::serve
