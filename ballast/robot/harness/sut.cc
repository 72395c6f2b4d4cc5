#include "ballast/robot/harness/sut.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <filesystem>
#include <utility>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"

extern char** environ;

namespace ballast::robot {
namespace {

pid_t start(const std::vector<std::string>& words, const std::vector<std::string>& environment,
            const std::string& log_file) {
  std::vector<char*> arguments;
  for (const auto& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  std::vector<std::string> variables = environment;
  for (char** variable = environ; *variable; ++variable) variables.emplace_back(*variable);
  std::vector<char*> pointers;
  for (auto& variable : variables) pointers.push_back(variable.data());
  pointers.push_back(nullptr);
  const std::string log = log_file.empty() ? "/dev/null" : log_file;
  int failure[2];
  if (::pipe2(failure, O_CLOEXEC) != 0) throw Unavailable::from_errno(words[0], "cannot be started");
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) throw Unavailable::from_errno(words[0], "cannot be started");
  if (child == 0) {
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);
    const int descriptor = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (descriptor >= 0) {
      ::dup2(descriptor, 1);
      ::dup2(descriptor, 2);
    }
    ::execvpe(arguments[0], arguments.data(), pointers.data());
    const int error = errno;
    if (::write(failure[1], &error, sizeof error) < 0) ::_exit(126);
    ::_exit(127);
  }
  ::setpgid(child, child);
  ::close(failure[1]);
  int error = 0;
  const auto got = ::read(failure[0], &error, sizeof error);
  ::close(failure[0]);
  if (got == sizeof error) {
    ::waitpid(child, nullptr, 0);
    errno = error;
    throw Unavailable::from_errno(words[0], "cannot be started");
  }
  return child;
}

std::string last_line(const std::string& log_file) {
  if (log_file.empty()) return "";
  std::string text;
  try {
    text = read_file(log_file, 1 << 24);
  } catch (const std::exception&) {
    return "";
  }
  while (!text.empty() && text.back() == '\n') text.pop_back();
  const auto newline = text.rfind('\n');
  return newline == std::string::npos ? text : text.substr(newline + 1);
}

}  // namespace

std::string own_program() {
  std::error_code error;
  const auto path = std::filesystem::read_symlink("/proc/self/exe", error);
  // Tests link the library and find the program beside them.
  const auto beside = path.parent_path() / "ballast-robot";
  return std::filesystem::exists(beside) ? beside.string() : path.string();
}

Sut Sut::command(const std::vector<std::string>& words, std::uint32_t domain, const std::string& log_file,
                 const std::vector<std::string>& environment) {
  if (words.empty()) throw InvalidInput("the system's command is empty");
  std::vector<std::string> variables = environment;
  variables.push_back(fmt::format("ROS_DOMAIN_ID={}", domain));
  variables.push_back("ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST");
  variables.push_back("ROS_LOCALHOST_ONLY=1");
  Sut sut;
  sut.pids_.push_back(start(words, variables, log_file));
  sut.names_.push_back(fmt::format("{}", fmt::join(words, " ")));
  sut.logs_.push_back(log_file);
  return sut;
}

Sut Sut::graph(const GraphSpec& graph, std::uint32_t domain, const std::string& folder,
               const std::vector<std::string>& host_flags) {
  if (!graph.command.empty()) return command(graph.command, domain, folder + "/system.log");
  const std::string file = folder + "/graph.yaml";
  write_file(file, to_yaml(graph));
  std::vector<std::string> words{own_program(), "component-host", "--graph",
                                 file,          "--domain",       std::to_string(domain)};
  words.insert(words.end(), host_flags.begin(), host_flags.end());
  if (!graph.process_per_node) return command(words, domain, folder + "/host.log");
  Sut sut;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    auto own = words;
    own.insert(own.end(), {"--node", graph.nodes[i].name});
    Sut one = command(own, domain, fmt::format("{}/host-{}.log", folder, i));
    sut.pids_.push_back(one.pids_.at(0));
    sut.names_.push_back(one.names_.at(0));
    sut.logs_.push_back(one.logs_.at(0));
    one.pids_.clear();
  }
  return sut;
}

Sut::Sut(Sut&& other) noexcept
    : pids_(std::exchange(other.pids_, {})), names_(std::move(other.names_)), logs_(std::move(other.logs_)) {}
Sut& Sut::operator=(Sut&& other) noexcept {
  std::swap(pids_, other.pids_);
  std::swap(names_, other.names_);
  std::swap(logs_, other.logs_);
  return *this;
}
Sut::~Sut() {
  stop();
}

std::optional<std::string> Sut::ended() {
  for (std::size_t i = 0; i < pids_.size(); ++i) {
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(pids_[i]), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
        info.si_pid == 0)
      continue;
    const std::string how = info.si_code == CLD_EXITED ? fmt::format("exit code {}", info.si_status)
                                                       : fmt::format("signal {}", info.si_status);
    const std::string line = last_line(logs_[i]);
    return fmt::format("'{}' ended with {}{}{}", names_[i], how, line.empty() ? "" : ": ", line);
  }
  return std::nullopt;
}

void Sut::stop() {
  for (const pid_t pid : pids_) ::kill(-pid, SIGTERM);
  for (const pid_t pid : pids_) {
    bool gone = false;
    for (int tick = 0; tick < 500 && !gone; ++tick) {
      gone = ::waitpid(pid, nullptr, WNOHANG) == pid;
      const timespec wait{0, 10'000'000};
      if (!gone) ::nanosleep(&wait, nullptr);
    }
    ::kill(-pid, SIGKILL);
    if (!gone) ::waitpid(pid, nullptr, 0);
  }
  pids_.clear();
}

}  // namespace ballast::robot
