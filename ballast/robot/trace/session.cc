#include "ballast/robot/trace/session.h"

#include <fmt/format.h>
#include <signal.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "ballast/base/errors.h"

namespace ballast::trace {
namespace {

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
  if (::access("/usr/bin/babeltrace2", X_OK) != 0) return "babeltrace2 is not installed";
  struct statvfs shared;
  const auto need = static_cast<std::uint64_t>((kSubBuffers + 1) * kSubBufferMib) << 20;
  const auto cpus = static_cast<std::uint64_t>(::sysconf(_SC_NPROCESSORS_CONF));
  if (::statvfs("/dev/shm", &shared) == 0 && shared.f_bavail * shared.f_frsize < need * cpus)
    return fmt::format("/dev/shm has {} MiB free and the channel needs {}",
                       (shared.f_bavail * shared.f_frsize) >> 20, (need * cpus) >> 20);
  return "";
}

LttngSession::LttngSession(const std::string& folder) : name_(fmt::format("ballast-{}", ::getpid())) {
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
  for (const char* provider : {"ros2", "ros2_image_pipeline"})
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

void LttngSession::stop() {
  if (!running_) return;
  running_ = false;
  lttng("stop " + name_);
  lttng("destroy " + name_);
}

bool parse_babeltrace_line(const std::string& line, Event& event) {
  // [12345.678901234] (+?.?????????) host provider:name: { cpu_id = 0 }, { vpid = 1, ... }, { field = 0x2A,
  // text = "x" }
  if (line.empty() || line[0] != '[') return false;
  const auto close = line.find(']'), brace = line.find(": {", close);
  if (close == std::string::npos || brace == std::string::npos) return false;
  const auto name_start = line.rfind(' ', brace - 1);
  if (name_start == std::string::npos) return false;
  event = {};
  event.name = line.substr(name_start + 1, brace - name_start - 1);
  const std::string time = line.substr(1, close - 1);
  const auto dot = time.find('.');
  event.time_ns = std::strtoll(time.c_str(), nullptr, 10) * 1'000'000'000;
  if (dot != std::string::npos)
    event.time_ns += std::strtoll((time.substr(dot + 1) + "000000000").substr(0, 9).c_str(), nullptr, 10);
  std::size_t at = brace;
  while ((at = line.find(" = ", at)) != std::string::npos) {
    std::size_t start = at;
    while (start > 0 && (std::isalnum(static_cast<unsigned char>(line[start - 1])) || line[start - 1] == '_'))
      --start;
    const std::string field = line.substr(start, at - start);
    at += 3;
    if (at < line.size() && line[at] == '"') {
      const auto end = line.find('"', at + 1);
      if (end == std::string::npos) return false;
      event.texts[field] = line.substr(at + 1, end - at - 1);
      at = end + 1;
    } else if (at < line.size() && (std::isdigit(static_cast<unsigned char>(line[at])) || line[at] == '-')) {
      const std::uint64_t value =
          line[at] == '-' ? static_cast<std::uint64_t>(std::strtoll(line.c_str() + at, nullptr, 10))
                          : std::strtoull(line.c_str() + at, nullptr, 0);
      if (field == "vpid") event.pid = value;
      if (field == "vtid") event.tid = value;
      event.values[field] = value;
    }
  }
  return true;
}

Trace read_ctf(const std::string& folder) {
  if (::access("/usr/bin/babeltrace2", X_OK) != 0) throw Unavailable("babeltrace2 is not installed");
  if (!std::filesystem::is_directory(folder)) throw Unavailable(folder + " is no folder");
  const auto [code, output] = shell("babeltrace2 --clock-seconds " + quoted_word(folder));
  Trace trace;
  std::size_t start = 0;
  while (start < output.size()) {
    const auto end = std::min(output.find('\n', start), output.size());
    const std::string line = output.substr(start, end - start);
    start = end + 1;
    Event event;
    if (parse_babeltrace_line(line, event)) {
      trace.events.push_back(std::move(event));
    } else if (const auto at = line.find("racer discarded "); at != std::string::npos) {
      trace.discarded += std::max<std::uint64_t>(1, std::strtoull(line.c_str() + at + 16, nullptr, 10));
    }
  }
  if (code != 0) throw InvalidInput(folder + " is no CTF trace: " + output.substr(0, 200));
  if (trace.events.empty()) throw InvalidInput(folder + " holds no event");
  std::stable_sort(trace.events.begin(), trace.events.end(),
                   [](const Event& a, const Event& b) { return a.time_ns < b.time_ns; });
  return trace;
}

}  // namespace ballast::trace
