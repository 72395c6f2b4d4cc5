// A server as a child process, for benchmarks: started, awaited until it answers, ended with the object.
//
//   ServerProcess server({program, "--port", port, ...}, port);    // throws Unavailable when it does not
//   come up server.url()
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace ballast::serve {

/// A port of 127.0.0.1 that nobody listens on at this moment.
std::uint16_t free_port();

/// llama-server of the same source tree as our library: $BALLAST_LLAMA_SERVER, or the file beside this
/// program
/// (`cmake --build build --target llama-server`). Empty: it was not built.
std::string find_llama_server();
/// The program that runs now.
std::string own_program();

class ServerProcess {
 public:
  /// Waits until GET /health says 200, two minutes at most. Its output goes to `log`.
  ServerProcess(const std::vector<std::string>& command, std::uint16_t port, const std::string& log);
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

 private:
  pid_t child_ = -1;
  std::uint16_t port_;
};

}  // namespace ballast::serve
