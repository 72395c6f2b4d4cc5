#include "ballast/robot/trace/session.h"

#include <fmt/format.h>
#include <signal.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "ballast/base/errors.h"
#include "ballast/robot/trace/ctf_reader.h"

namespace ballast::trace {
namespace {

constexpr const char* kProviders[] = {"ros2", "ros2_image_pipeline", "robotcore_control",
                                      "robotcore_manipulation", "robotperf_benchmarks"};
constexpr int kSubBuffers = 4, kSubBufferMib = 4;

/// The exit code and both outputs of a command line.
std::pair<int, std::string> shell(const std::string& command) {
  std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (!pipe) throw Unavailable::from_errno(command, "cannot be started");
  std::string output;
  char chunk[65536];
  while (const std::size_t got = std::fread(chunk, 1, sizeof chunk, pipe)) output.append(chunk, got);
  const int status = ::pclose(pipe);
  return {WEXITSTATUS(status), output};
}

std::string quoted_word(const std::string& word) {
  std::string result = "'";
  for (const char c : word) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

void lttng(const std::string& words) {
  const auto [code, output] = shell("lttng --no-sessiond " + words);
  if (code != 0) throw Unavailable("lttng " + words + ": " + output.substr(0, 200));
}

bool daemon_answers() {
  return shell("lttng --no-sessiond list").first == 0;
}

}  // namespace

std::string lttng_problem() {
  if (::access("/usr/bin/lttng", X_OK) != 0 || ::access("/usr/bin/lttng-sessiond", X_OK) != 0)
    return "lttng-tools is not installed";
  if (!has_babeltrace()) return "built without libbabeltrace2";
  struct statvfs shared;
  const auto need = static_cast<std::uint64_t>((kSubBuffers + 1) * kSubBufferMib) << 20;
  const auto cpus = static_cast<std::uint64_t>(::sysconf(_SC_NPROCESSORS_CONF));
  if (::statvfs("/dev/shm", &shared) == 0 && shared.f_bavail * shared.f_frsize < need * cpus)
    return fmt::format("/dev/shm has {} MiB free and the channel needs {}",
                       (shared.f_bavail * shared.f_frsize) >> 20, (need * cpus) >> 20);
  return "";
}

LttngSession::LttngSession(const std::string& folder, const std::string& name)
    : name_(name.empty() ? fmt::format("ballast-{}", ::getpid()) : name) {
  if (const auto problem = lttng_problem(); !problem.empty())
    throw Unavailable("LTTng cannot be used: " + problem);
  if (!daemon_answers()) {
    daemon_ = ::fork();
    if (daemon_ == 0) {
      ::setpgid(0, 0);
      if (!::freopen("/dev/null", "w", stdout) || !::freopen("/dev/null", "w", stderr)) ::_exit(127);
      ::execl("/usr/bin/lttng-sessiond", "lttng-sessiond", "--no-kernel", nullptr);
      ::_exit(127);
    }
    for (int i = 0; i < 100 && !daemon_answers(); ++i) ::usleep(50'000);
  }
  lttng(fmt::format("create {} --output={}", name_, quoted_word(folder)));
  running_ = true;
  lttng(fmt::format(
      "enable-channel --userspace --session={} --num-subbuf={} --subbuf-size={}M --discard events", name_,
      kSubBuffers, kSubBufferMib));
  for (const char* provider : kProviders)
    lttng(fmt::format("enable-event --userspace --session={} --channel=events '{}:*'", name_, provider));
  lttng(fmt::format("add-context --userspace --session={} --type=vpid --type=vtid --type=procname", name_));
  lttng("start " + name_);
}

LttngSession::~LttngSession() {
  try {
    stop();
  } catch (const Unavailable&) {
    // The daemon is gone: so is the session.
  }
  if (daemon_ > 0) {
    ::kill(daemon_, SIGTERM);
    ::waitpid(daemon_, nullptr, 0);
  }
}

void LttngSession::leave_running() {
  running_ = false;
  daemon_ = 0;
}

void stop_lttng(const std::string& name) {
  if (!daemon_answers()) throw Unavailable("no LTTng session daemon is running");
  lttng("stop " + name);
  lttng("destroy " + name);
}

void LttngSession::stop() {
  if (!running_) return;
  running_ = false;
  lttng("stop " + name_);
  lttng("destroy " + name_);
}

}  // namespace ballast::trace
