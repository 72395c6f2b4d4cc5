// What tests of whole programs share.
#pragma once

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <string>

namespace ballast {

struct CommandResult {
  int code;            ///< exit code; -1: it did not exit by itself (a signal)
  std::string output;  ///< standard output and standard error together
};

/// Runs a command line with the shell, without input.
inline CommandResult run_command(const std::string& command) {
  std::FILE* pipe = ::popen(("{ " + command + "\n} 2>&1 </dev/null").c_str(), "r");
  if (pipe == nullptr) return {-1, "cannot be started"};
  std::string output;
  std::array<char, 4096> chunk;
  while (const std::size_t got = std::fread(chunk.data(), 1, chunk.size(), pipe))
    output.append(chunk.data(), got);
  const int status = ::pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, output};
}

}  // namespace ballast
