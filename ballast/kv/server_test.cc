// The server as its clients meet it: raw sockets, redis-cli and redis-benchmark, hiredis.
#include "ballast/kv/server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#ifdef BALLAST_HAVE_HIREDIS
#include <hiredis/hiredis.h>
#endif

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/base/testing.h"

namespace ballast::kv {
namespace {

class Served {
 public:
  explicit Served(ServerOptions options = {}) {
    options.port = 0;
    options.machines = 3;
    server_ = std::make_unique<RespServer>(options);
    thread_ = std::thread([this] {
      auto cluster = cluster::Cluster::open({.machines = 3});
      server_->run(cluster, {.hot_keys = 0});
    });
  }
  ~Served() { end(); }
  void end() {
    if (!thread_.joinable()) return;
    server_->stop();
    thread_.join();
  }
  std::uint16_t port() const { return server_->port(); }

 private:
  std::unique_ptr<RespServer> server_;
  std::thread thread_;
};

class Client {
 public:
  explicit Client(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    timeval patience{30, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
      throw Unavailable::from_errno("client", "cannot connect");
  }
  ~Client() { ::close(socket_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void send(const std::string& bytes) {
    std::size_t sent = 0;
    while (sent < bytes.size()) {
      const ssize_t n = ::send(socket_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) return;  // the server has closed
      sent += static_cast<std::size_t>(n);
    }
  }
  /// Reads until `count` bytes have come, or the server closes.
  std::string receive(std::size_t count) {
    std::string bytes(count, '\0');
    std::size_t got = 0;
    while (got < count) {
      const ssize_t n = ::recv(socket_, bytes.data() + got, count - got, 0);
      if (n <= 0) break;
      got += static_cast<std::size_t>(n);
    }
    bytes.resize(got);
    return bytes;
  }
  std::string ask(const std::string& line, const std::string& expected) {
    send(line + "\r\n");
    return receive(expected.size());
  }

 private:
  int socket_;
};

#define EXPECT_ASK(client, line, expected) EXPECT_EQ((client).ask(line, expected), expected)

TEST(Server, APipelineSeesItsOwnWritesInOrder) {
  Served served;
  Client client(served.port());
  client.send(
      "SET a 1\r\nGET a\r\nINCR a\r\nINCRBY a 10\r\nGET a\r\nDEL a b\r\nEXISTS a\r\nGET a\r\nMSET x 1 y "
      "2\r\nMGET x y z\r\nPING\r\n");
  const std::string expected =
      "+OK\r\n$1\r\n1\r\n:2\r\n:12\r\n$2\r\n12\r\n:1\r\n:0\r\n$-1\r\n+OK\r\n*3\r\n$1\r\n1\r\n$1\r\n2\r\n$-"
      "1\r\n+PONG\r\n";
  EXPECT_EQ(client.receive(expected.size()), expected);
  Client other(served.port());
  EXPECT_ASK(other, "GET y", "$1\r\n2\r\n");
}

TEST(Server, ManyClientsCountTogetherWithoutLosingOne) {
  Served served;
  constexpr int kClients = 8, kEach = 50;
  std::vector<std::thread> threads;
  for (int c = 0; c < kClients; ++c) {
    threads.emplace_back([&] {
      Client client(served.port());
      for (int i = 0; i < kEach; ++i) client.send("INCR n\r\n");
      std::size_t replies = 0;
      while (replies < kEach) {
        const std::string byte = client.receive(1);
        if (byte.empty()) break;
        replies += byte == "\n";
      }
      EXPECT_EQ(replies, static_cast<std::size_t>(kEach));
    });
  }
  for (auto& thread : threads) thread.join();
  Client client(served.port());
  EXPECT_ASK(client, "GET n", "$3\r\n400\r\n");
}

TEST(Server, BadClientsHarmNobodyElse) {
  ServerOptions options;
  options.most_waiting = 100;
  Served served(options);
  Client good(served.port());
  EXPECT_ASK(good, "SET k v", "+OK\r\n");
  {
    Client half(served.port());
    half.send("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100\r\nhalf");
    Client huge(served.port());
    huge.send("*2\r\n$3\r\nGET\r\n$99999999999\r\n");
    EXPECT_THAT(huge.receive(200), testing::HasSubstr("invalid bulk length"));  // and then closed
    Client noise(served.port());
    noise.send("*1\r\n!!\r\n");
    EXPECT_THAT(noise.receive(200), testing::HasSubstr("Protocol error"));
    Client flood(served.port());
    std::string pipeline;
    for (int i = 0; i < 5'000; ++i) pipeline += "GET k\r\n";
    flood.send(pipeline);  // far more than may wait, and dropped in the middle
    EXPECT_ASK(good, "GET k", "$1\r\nv\r\n");
    Client patient(served.port());
    patient.send(pipeline);
    EXPECT_EQ(patient.receive(5'000 * 7).size(), 5'000u * 7);
  }
  EXPECT_ASK(good, "GET k", "$1\r\nv\r\n");
}

TEST(Server, APasswordGuardsTheDoor) {
  ServerOptions options;
  options.password = "open sesame";
  Served served(options);
  Client client(served.port());
  EXPECT_THAT(client.ask("GET a", "-NOAUTH"), testing::StartsWith("-NOAUTH"));
  client.receive(std::string(" Authentication required.\r\n").size());
  EXPECT_ASK(client, "AUTH \"open sesame\"", "+OK\r\n");
  EXPECT_ASK(client, "GET a", "$-1\r\n");
  ServerOptions open;
  open.host = "0.0.0.0";
  open.port = 0;
  EXPECT_THROW(RespServer{open}, InvalidInput);
  open.host = "nonsense";
  EXPECT_THROW(RespServer{open}, InvalidInput);
}

TEST(Server, ATakenPortIsUnavailable) {
  Served served;
  ServerOptions options;
  options.port = served.port();
  EXPECT_THROW(RespServer{options}, Unavailable);
}

TEST(Server, ACheckpointKeepsTheStore) {
  const TemporaryFolder folder;
  ServerOptions options;
  options.checkpoint = folder.path();
  {
    Served served(options);
    Client client(served.port());
    EXPECT_ASK(client, "MSET a 1 b 2", "+OK\r\n");
    served.end();
  }
  {
    Served served(options);
    Client client(served.port());
    EXPECT_ASK(client, "MGET a b", "*2\r\n$1\r\n1\r\n$1\r\n2\r\n");
  }
}

std::string output_of(const std::string& command) {
  return run_command(command).output;
}

TEST(Server, RedisCliAndBenchmarkDriveIt) {
  if (std::system("command -v redis-cli >/dev/null && command -v redis-benchmark >/dev/null") != 0)
    GTEST_SKIP() << "redis-tools is not installed";
  Served served;
  const std::string cli = "redis-cli -p " + std::to_string(served.port()) + " ";
  EXPECT_EQ(output_of(cli + "SET greeting 'hello world'"), "OK\n");
  EXPECT_EQ(output_of(cli + "GET greeting"), "hello world\n");
  EXPECT_EQ(output_of(cli + "INCRBY n 41"), "41\n");
  EXPECT_EQ(output_of(cli + "MGET n nothing"), "41\n\n");
  EXPECT_THAT(output_of(cli + "INFO"), testing::HasSubstr("operations:"));
  const std::string bench = output_of("redis-benchmark -p " + std::to_string(served.port()) +
                                      " -t set,get,incr,mset -n 2000 -c 8 -P 16 -r 100 --csv");
  for (const char* test : {"\"SET\"", "\"GET\"", "\"INCR\"", "\"MSET (10 keys)\""})
    EXPECT_THAT(bench, testing::HasSubstr(test));
  EXPECT_THAT(bench, testing::Not(testing::HasSubstr("rror")));
}

#ifdef BALLAST_HAVE_HIREDIS
TEST(Server, HiredisDrivesIt) {
  Served served;
  redisContext* context = redisConnect("127.0.0.1", served.port());
  ASSERT_NE(context, nullptr);
  ASSERT_EQ(context->err, 0) << context->errstr;
  const std::string binary("a\0b\r\n", 5);
  for (int i = 0; i < 500; ++i) redisAppendCommand(context, "SET key%d %b", i, binary.data(), binary.size());
  for (int i = 0; i < 500; ++i) redisAppendCommand(context, "GET key%d", i);
  for (int i = 0; i < 1000; ++i) {
    redisReply* reply = nullptr;
    ASSERT_EQ(redisGetReply(context, reinterpret_cast<void**>(&reply)), REDIS_OK) << context->errstr;
    if (i < 500) {
      EXPECT_EQ(reply->type, REDIS_REPLY_STATUS);
    } else {
      EXPECT_EQ(std::string(reply->str, reply->len), binary);
    }
    freeReplyObject(reply);
  }
  redisFree(context);
}
#endif

}  // namespace
}  // namespace ballast::kv
