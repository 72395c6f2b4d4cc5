#include "ballast/cli/programs.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
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
    {"cost", "models of what work costs, and schedules of tasks over resources"},
    {"base", "histogram logs, and what the measuring tools themselves cost"},
    {"data", "readers, data sets and generators: what is here, what is missing"},
};

constexpr ComponentProgram kFrontWords[] = {
    {"tour", "a guided run of every component, ending in a page"},
    {"report", "results of several runs joined to one page"},
    {"doctor", "what is built, what is missing, how to get it"},
    {"completion", "completion of all words for your shell"},
    {"man", "man pages of all programs"},
};

}  // namespace

std::span<const ComponentProgram> front_words() {
  return kFrontWords;
}

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
  std::vector<std::string> names;
  for (const auto& word : kFrontWords) names.emplace_back(word.name);
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

RunOutcome run_and_wait(const std::vector<std::string>& words, const std::string& output_file, double limit_s,
                        const std::function<void(double)>& tick) {
  using Clock = std::chrono::steady_clock;
  constexpr double kGrace_s = 2;  // a program that was told to stop has this long to tidy up
  std::vector<char*> arguments;
  for (const auto& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const int output = ::open(output_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (output < 0) throw Unavailable::from_errno(output_file, "cannot be created");
  const auto start = Clock::now();
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(output, 1);
    ::dup2(output, 2);
    ::execv(arguments[0], arguments.data());
    ::_exit(127);
  }
  ::close(output);
  if (child < 0) throw Unavailable::from_errno(words[0], "cannot be started");

  RunOutcome outcome;
  double told_at = 0;  // when it was asked to stop; 0: not yet
  for (int status = 0;;) {
    const pid_t ended = ::waitpid(child, &status, WNOHANG);
    outcome.seconds = std::chrono::duration<double>(Clock::now() - start).count();
    if (ended == child) {
      outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      return outcome;
    }
    if (told_at == 0 && outcome.seconds > limit_s) {
      outcome.timed_out = true;
      told_at = outcome.seconds;
      ::kill(child, SIGTERM);
    }
    if (told_at == 0 && interrupted()) told_at = outcome.seconds;  // the terminal told it too
    if (told_at != 0 && outcome.seconds > told_at + kGrace_s) ::kill(child, SIGKILL);
    if (tick) tick(outcome.seconds);
    ::usleep(outcome.seconds < 1 ? 5'000 : 100'000);
  }
}

}  // namespace ballast::cli
