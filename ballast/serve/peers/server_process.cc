#include "ballast/serve/peers/server_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "ballast/base/errors.h"

namespace ballast::serve {
namespace fs = std::filesystem;

namespace {

// A descriptor that closes itself.
struct Socket {
  int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  ~Socket() { ::close(fd); }
};

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

bool healthy(std::uint16_t port) {
  const Socket socket;
  const sockaddr_in address = loopback(port);
  if (::connect(socket.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return false;
  const std::string ask = "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
  if (::send(socket.fd, ask.data(), ask.size(), MSG_NOSIGNAL) < 0) return false;
  char line[16] = {};
  return ::recv(socket.fd, line, sizeof line - 1, MSG_WAITALL) > 12 &&
         std::string(line).substr(9, 3) == "200";
}

}  // namespace

std::uint16_t free_port() {
  const Socket socket;
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  if (::bind(socket.fd, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::getsockname(socket.fd, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw Unavailable("no free port on 127.0.0.1");
  return ntohs(address.sin_port);
}

std::string own_program() {
  return fs::read_symlink("/proc/self/exe").string();
}

std::string find_llama_server() {
  if (const char* path = std::getenv("BALLAST_LLAMA_SERVER")) return path;
  const fs::path beside = fs::path(own_program()).parent_path() / "llama-server";
  return fs::exists(beside) ? beside.string() : "";
}

ServerProcess::ServerProcess(const std::vector<std::string>& command, std::uint16_t port,
                             const std::string& log)
    : port_(port) {
  std::vector<char*> words;
  for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  child_ = ::fork();
  if (child_ < 0) throw Unavailable("no process can be started");
  if (child_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // it does not outlive the benchmark
    const int out = ::open(log.c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600);
    ::dup2(out, 1);
    ::dup2(out, 2);
    ::execv(words[0], words.data());
    ::_exit(127);
  }
  for (int i = 0; i < 1200; ++i) {
    if (healthy(port)) return;
    if (::waitpid(child_, nullptr, WNOHANG) == child_) {
      child_ = -1;
      throw Unavailable(fmt::format("{} ended before it served; see {}", command.front(), log));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  throw Unavailable(fmt::format("{} does not answer on port {}; see {}", command.front(), port, log));
}

ServerProcess::~ServerProcess() {
  if (child_ < 0) return;
  ::kill(child_, SIGTERM);
  for (int i = 0; i < 100; ++i) {
    if (::waitpid(child_, nullptr, WNOHANG) != 0) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  ::kill(child_, SIGKILL);
  ::waitpid(child_, nullptr, 0);
}

}  // namespace ballast::serve
