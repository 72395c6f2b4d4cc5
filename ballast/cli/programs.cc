#include "ballast/cli/programs.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"

namespace ballast::cli {
namespace {

constexpr ComponentProgram kComponents[] = {
    {"orch", "batches of tasks meet skewed data by distributed push-pull"},
    {"kv", "a partitioned key-value store that hot keys cannot drown"},
    {"graph", "a distributed graph engine on the same orchestration"},
    {"index", "an ordered index that skew cannot slow"},
    {"ragged", "a compiler for ragged tensors"},
    {"dynamic", "automatic batching of dynamic neural networks"},
    {"serve", "an OpenAI-compatible server that keeps latency promises"},
    {"tune", "full-parameter fine-tuning beyond device memory"},
    {"federate", "federated learning under staggered concept drift"},
    {"codesign", "networks and their mapping on NPU and compute-in-memory"},
    {"robot", "vendor-neutral benchmarks of ROS 2 computing"},
    {"cluster", "the machines below: transports, accounting, cost model"},
    {"data", "readers, data sets and generators: what is here, what is missing"},
};

}  // namespace

std::span<const ComponentProgram> components() {
  return kComponents;
}

std::string program_path(const std::string& name) {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return "";
  for (const auto& folder : {self.parent_path(), self.parent_path().parent_path() / "libexec/ballast"}) {
    const auto path = folder / ("ballast-" + name);
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return "";
}

int start_component(const std::string& name, char** arguments) {
  std::vector<std::string> names{"tour", "doctor"};
  for (const auto& component : kComponents) names.emplace_back(component.name);
  require_one_of("component", name, names);
  const std::string path = program_path(name);
  if (path.empty()) {
    throw Unavailable(
        fmt::format("component '{0}' was not built; build it with `make build COMPONENTS={0}`", name));
  }
  ::execv(path.c_str(), arguments);
  throw Unavailable::from_errno(path, "cannot be started");
}

int run_and_wait(const std::vector<std::string>& words, const std::string& output_file) {
  std::vector<char*> arguments;
  for (const auto& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const pid_t child = ::fork();
  if (child < 0) throw Unavailable::from_errno(words[0], "cannot be started");
  if (child == 0) {
    if (!output_file.empty()) {
      const int descriptor = ::open(output_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
      if (descriptor >= 0) {
        ::dup2(descriptor, 1);
        ::dup2(descriptor, 2);
      }
    }
    ::execv(arguments[0], arguments.data());
    ::_exit(127);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace ballast::cli
