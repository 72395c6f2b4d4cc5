#include "ballast/kv/peers/servers.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "ballast/base/errors.h"
#include "ballast/base/histogram.h"
#include "ballast/base/random.h"
#include "ballast/base/testing.h"

namespace ballast::kv {
namespace {

using Clock = std::chrono::steady_clock;

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// A port that was free a moment ago.
std::uint16_t free_port() {
  const int probe = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = loopback(0);
  socklen_t length = sizeof address;
  if (probe < 0 || ::bind(probe, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::getsockname(probe, reinterpret_cast<sockaddr*>(&address), &length) != 0)
    throw Unavailable::from_errno("loopback", "no port is free");
  ::close(probe);
  return ntohs(address.sin_port);
}

int connect_to(std::uint16_t port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in address = loopback(port);
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    ::close(socket);
    return -1;
  }
  const int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return socket;
}

std::string first_line_of(const std::string& command) {
  const auto result = run_command(command);
  return result.code == 0 ? result.output.substr(0, result.output.find('\n')) : "";
}

// The bytes of one request and of its answer: all answers of one kind are of one length.
struct Wording {
  Wording(Protocol spoken, const Load& load)
      : protocol(spoken), writes(load.writes), value(load.value_bytes, 'x') {
    if (protocol == Protocol::resp) {
      answer = writes ? 5 : fmt::formatted_size("${}\r\n{}\r\n", value.size(), value);
      good = writes ? "+OK" : "$";
    } else {
      answer =
          writes ? 8 : fmt::formatted_size("VALUE {} 0 {}\r\n{}\r\nEND\r\n", key(0), value.size(), value);
      good = writes ? "STORED" : "VALUE";
    }
  }
  static std::string key(std::uint64_t number) { return fmt::format("key:{:08}", number); }
  void append(std::string& to, std::uint64_t number) const {
    const std::string name = key(number);
    if (protocol == Protocol::resp && writes) {
      to += fmt::format("*3\r\n$3\r\nSET\r\n${}\r\n{}\r\n${}\r\n{}\r\n", name.size(), name, value.size(),
                        value);
    } else if (protocol == Protocol::resp) {
      to += fmt::format("*2\r\n$3\r\nGET\r\n${}\r\n{}\r\n", name.size(), name);
    } else if (writes) {
      to += fmt::format("set {} 0 0 {}\r\n{}\r\n", name, value.size(), value);
    } else {
      to += fmt::format("get {}\r\n", name);
    }
  }

  Protocol protocol;
  bool writes;
  std::string value, good;
  std::size_t answer = 0;  ///< bytes
};

class Line {
 public:
  explicit Line(std::uint16_t port) : socket_(connect_to(port)) {
    if (socket_ < 0) throw Unavailable::from_errno("loopback", "a server does not take connections");
  }
  ~Line() { ::close(socket_); }
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  void send(const std::string& requests, std::size_t expected) {
    since = Clock::now();
    expected_ = expected;
    begin_.clear();
    for (std::size_t at = 0; at < requests.size();) {
      const auto sent = ::send(socket_, requests.data() + at, requests.size() - at, MSG_NOSIGNAL);
      if (sent <= 0) throw Unavailable::from_errno("loopback", "a server hangs up");
      at += static_cast<std::size_t>(sent);
    }
  }
  /// True when all answers are there.
  bool receive(const std::string& good) {
    char chunk[1 << 16];
    const auto got = ::recv(socket_, chunk, std::min(sizeof chunk, expected_), 0);
    if (got <= 0) throw Unavailable::from_errno("loopback", "a server hangs up");
    if (begin_.size() < good.size()) {
      begin_.append(chunk, std::min(static_cast<std::size_t>(got), good.size()));
      if (begin_.compare(0, std::min(begin_.size(), good.size()), good, 0,
                         std::min(begin_.size(), good.size())) != 0)
        throw Unavailable("a server answers '" + begin_ + "'");
    }
    expected_ -= static_cast<std::size_t>(got);
    return expected_ == 0;
  }
  int socket() const { return socket_; }
  Clock::time_point since;

 private:
  int socket_;
  std::size_t expected_ = 0;
  std::string begin_;
};

}  // namespace

ServerProcess::ServerProcess(std::string name, std::string version, Protocol protocol, std::uint16_t port,
                             const std::vector<std::string>& words)
    : name_(std::move(name)), version_(std::move(version)), protocol_(protocol), port_(port) {
  std::vector<char*> arguments;
  for (const auto& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const int parent = ::getpid();
  process_ = ::fork();
  if (process_ < 0) throw Unavailable::from_errno(name_, "cannot be started");
  if (process_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // it does not outlive us
    if (::getppid() != parent) ::_exit(127);
    const int nowhere = ::open("/dev/null", O_RDWR);
    for (int stream : {0, 1, 2}) ::dup2(nowhere, stream);
    ::execvp(arguments[0], arguments.data());
    ::_exit(127);
  }
  for (int turn = 0; turn < 200; ++turn) {
    const int socket = connect_to(port_);
    if (socket >= 0) {
      ::close(socket);
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  ::kill(process_, SIGKILL);
  ::waitpid(process_, nullptr, 0);
  throw Unavailable(name_ + " does not answer on port " + std::to_string(port_));
}

ServerProcess::~ServerProcess() {
  ::kill(process_, SIGTERM);
  ::waitpid(process_, nullptr, 0);
}

std::unique_ptr<ServerProcess> ServerProcess::ballast(int machines) {
  const std::uint16_t port = free_port();
  return std::unique_ptr<ServerProcess>(new ServerProcess(
      "ballast kv serve", "", Protocol::resp, port,
      {std::filesystem::read_symlink("/proc/self/exe").string(), "serve", "--resp",
       fmt::format("127.0.0.1:{}", port), "--machines", std::to_string(machines), "--max-delay-us", "0"}));
}

std::unique_ptr<ServerProcess> ServerProcess::redis() {
  const std::string version = first_line_of("redis-server --version");
  if (version.empty()) return nullptr;
  const std::uint16_t port = free_port();
  return std::unique_ptr<ServerProcess>(
      new ServerProcess("Redis", version, Protocol::resp, port,
                        {"redis-server", "--port", std::to_string(port), "--bind", "127.0.0.1", "--save", "",
                         "--appendonly", "no", "--dir", "/tmp"}));
}

std::unique_ptr<ServerProcess> ServerProcess::memcached() {
  const std::string version = first_line_of("memcached --version");
  if (version.empty()) return nullptr;
  const std::uint16_t port = free_port();
  return std::unique_ptr<ServerProcess>(
      new ServerProcess("memcached", version, Protocol::memcached, port,
                        {"memcached", "-l", "127.0.0.1", "-p", std::to_string(port), "-U", "0", "-t", "2",
                         "-m", "256", "-u", "nobody", "-R", "200"}));
}

LoadResult run_load(const ServerProcess& server, const Load& load) {
  const Wording wording(server.protocol(), load);
  Random random(load.seed);
  std::vector<std::unique_ptr<Line>> lines;
  std::vector<pollfd> waiting;
  std::uint64_t sent = 0, answered = 0;
  const auto pipeline = static_cast<std::uint64_t>(load.pipeline);
  std::string requests;
  const auto send = [&](Line& line) {
    requests.clear();
    for (std::uint64_t i = 0; i < pipeline; ++i) wording.append(requests, random.below(load.keys));
    line.send(requests, wording.answer * pipeline);
    sent += pipeline;
  };
  for (int i = 0; i < load.connections; ++i) {
    lines.push_back(std::make_unique<Line>(server.port()));
    waiting.push_back({lines.back()->socket(), POLLIN, 0});
  }
  Histogram latency_us{HistogramRange{.lowest = 1, .highest = 60'000'000, .significant_digits = 2}};
  const auto start = Clock::now();
  for (auto& line : lines) send(*line);
  while (answered < sent) {
    if (::poll(waiting.data(), waiting.size(), 10'000) <= 0)
      throw Unavailable(server.name() + " has not answered for 10 s");
    for (std::size_t i = 0; i < lines.size(); ++i) {
      if ((waiting[i].revents & (POLLIN | POLLERR | POLLHUP)) == 0) continue;
      if (!lines[i]->receive(wording.good)) continue;
      answered += pipeline;
      latency_us.record(
          std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - lines[i]->since).count());
      if (sent < load.requests) {
        send(*lines[i]);
      } else {
        waiting[i].events = 0;
      }
    }
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return {static_cast<double>(answered) / seconds, static_cast<double>(latency_us.percentile(50)),
          static_cast<double>(latency_us.percentile(99))};
}

void fill(const ServerProcess& server, const Load& load) {
  Load all = load;
  all.writes = true;
  const Wording wording(server.protocol(), all);
  Line line(server.port());
  for (std::uint64_t key = 0; key < load.keys;) {
    std::string requests;
    std::size_t count = 0;
    for (; count < 64 && key < load.keys; ++count, ++key) wording.append(requests, key);
    line.send(requests, wording.answer * count);
    while (!line.receive(wording.good)) {
    }
  }
}

}  // namespace ballast::kv
