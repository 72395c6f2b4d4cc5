// A bare socket as a client, and a server on a free port in this process: what is on the wire is what is
// checked.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "ballast/serve/http/http_server.h"
#include "ballast/serve/test_profile.h"

namespace ballast::serve {

class Client {
 public:
  explicit Client(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) close();
    const timeval patience{120, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  ~Client() { close(); }
  Client(const Client&) = delete;
  void close() {
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));
  }
  /// Closes with a reset, as a killed process does.
  void kill() {
    const linger now{1, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }
  /// No more will be sent; answers could still be read.
  void half_close() { ::shutdown(socket_, SHUT_WR); }
  bool connected() const { return socket_ >= 0; }
  bool write(std::string_view bytes) const {
    return ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }
  /// More bytes, or false when the server has closed.
  bool more() {
    char buffer[4096];
    const ssize_t got = ::recv(socket_, buffer, sizeof buffer, 0);
    if (got <= 0) return false;
    text_.append(buffer, static_cast<std::size_t>(got));
    return true;
  }
  bool read_until(std::string_view mark) {
    while (text_.find(mark) == std::string::npos) {
      if (!more()) return false;
    }
    return true;
  }
  std::string& text() { return text_; }

 private:
  int socket_;
  std::string text_;
};

struct Reply {
  int status = 0;
  std::string header, body;
  Json json() const { return Json::parse(body, nullptr, false); }
};

/// Reads one reply with a Content-Length or chunks.
inline Reply read_reply(Client& client) {
  Reply reply;
  if (!client.read_until("\r\n\r\n")) return reply;
  const std::size_t end = client.text().find("\r\n\r\n") + 4;
  reply.header = client.text().substr(0, end);
  client.text().erase(0, end);
  reply.status = std::atoi(reply.header.c_str() + 9);
  if (const auto at = reply.header.find("Content-Length: "); at != std::string::npos) {
    const auto length = static_cast<std::size_t>(std::atoll(reply.header.c_str() + at + 16));
    while (client.text().size() < length && client.more()) {
    }
    reply.body = client.text().substr(0, length);
    client.text().erase(0, length);
    return reply;
  }
  for (;;) {
    if (!client.read_until("\r\n")) return reply;
    const std::size_t line = client.text().find("\r\n");
    const std::size_t length = std::stoul(client.text().substr(0, line), nullptr, 16);
    while (client.text().size() < line + 2 + length + 2 && client.more()) {
    }
    reply.body += client.text().substr(line + 2, length);
    client.text().erase(0, line + 2 + length + 2);
    if (length == 0) return reply;
  }
}

inline std::string post(const std::string& path, const std::string& body, const std::string& headers = {}) {
  return "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         headers + "\r\n" + body;
}
inline std::string get(const std::string& path, const std::string& headers = {}) {
  return "GET " + path + " HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n";
}

inline Reply ask(std::uint16_t port, const std::string& request) {
  Client client(port);
  client.write(request);
  return read_reply(client);
}

struct RunningOptions {
  ServerOptions server = {};
  int slots = 4;
  int max_pending = 16;
  std::string policy = "slos";
  std::function<bool()> fault = {};
};

/// The server in this process.
class Running {
 public:
  explicit Running(const llama::Model& model, ServerOptions options = {}, int slots = 4)
      : Running(model, RunningOptions{.server = std::move(options), .slots = slots}) {}
  Running(const llama::Model& model, const RunningOptions& options)
      : engine_(model, generous(), make_policy(options.policy, settings()), engine_options(options)),
        service_(model, engine_, api()),
        server_(std::make_unique<HttpServer>(service_, options.server)),
        thread_([this] { server_->run(); }) {}
  ~Running() { stop(); }
  /// As a killed process: every connection is cut, nothing is told to anybody.
  void stop() {
    if (server_) server_->stop();
    if (thread_.joinable()) thread_.join();
    server_.reset();
  }
  void join() { thread_.join(); }
  std::uint16_t port() const { return server_->port(); }
  Engine& engine() { return engine_; }
  HttpServer& server() { return *server_; }
  Reply ask(const std::string& request) const { return serve::ask(port(), request); }

 private:
  static PolicySettings settings() {
    PolicySettings result;
    result.slos = {1e5, 1e5, 1e5, 1e5};
    return result;
  }
  static EngineOptions engine_options(const RunningOptions& options) {
    EngineOptions result;
    result.executor = {.slots = options.slots, .slot_tokens = 512, .batch = 128, .threads = 1};
    result.max_pending = options.max_pending;
    result.fault = options.fault;
    return result;
  }
  static ApiSettings api() {
    ApiSettings result;
    result.model_name = "smol";
    result.tiers = tiers_of(settings().slos);
    result.longest = 512;
    return result;
  }
  Engine engine_;
  Service service_;
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
};

}  // namespace ballast::serve
