#include "ballast/robot/harness/resources.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "ballast/robot/harness/schedule.h"

namespace ballast::robot {
namespace {

std::string slurp(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// The number behind "Key:" in a /proc status file.
std::uint64_t field(const std::string& text, const std::string& key) {
  const auto at = text.find(key);
  return at == std::string::npos ? 0 : std::strtoull(text.c_str() + at + key.size(), nullptr, 10);
}

double ticks_to_seconds(double ticks) {
  static const double per_second = static_cast<double>(::sysconf(_SC_CLK_TCK));
  return ticks / per_second;
}

ProcessUse single(pid_t pid) {
  ProcessUse use;
  const std::string folder = fmt::format("/proc/{}/", pid);
  const std::string stat = slurp(folder + "stat");
  const auto end = stat.rfind(')');
  if (end == std::string::npos) return use;
  std::istringstream words(stat.substr(end + 2));
  std::vector<std::string> fields;
  for (std::string word; words >> word;) fields.push_back(word);
  if (fields.size() < 15) return use;
  // Fields are numbered from 3 (state) in proc(5).
  use.major_faults = std::strtoull(fields[9].c_str(), nullptr, 10);
  use.cpu_s =
      ticks_to_seconds(std::strtod(fields[11].c_str(), nullptr) + std::strtod(fields[12].c_str(), nullptr));
  const std::string status = slurp(folder + "status");
  use.resident_peak_kib = field(status, "VmHWM:");
  std::error_code ignored;
  for (const auto& task : std::filesystem::directory_iterator(folder + "task", ignored)) {
    const std::string text = slurp(task.path().string() + "/status");
    use.voluntary_switches += field(text, "\nvoluntary_ctxt_switches:");
    use.involuntary_switches += field(text, "nonvoluntary_ctxt_switches:");
  }
  use.proportional_kib = field(slurp(folder + "smaps_rollup"), "Pss:");
  return use;
}

void add(ProcessUse& total, const ProcessUse& part) {
  total.cpu_s += part.cpu_s;
  total.resident_peak_kib += part.resident_peak_kib;
  total.proportional_kib += part.proportional_kib;
  total.voluntary_switches += part.voluntary_switches;
  total.involuntary_switches += part.involuntary_switches;
  total.major_faults += part.major_faults;
}

std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> result;
  std::error_code ignored;
  for (const auto& task : std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid), ignored)) {
    std::istringstream words(slurp(task.path().string() + "/children"));
    for (pid_t child; words >> child;) result.push_back(child);
  }
  return result;
}

}  // namespace

ProcessUse process_use(pid_t pid) {
  ProcessUse total = single(pid);
  for (const pid_t child : children_of(pid)) add(total, process_use(child));
  return total;
}

SystemUse system_use() {
  std::istringstream words(slurp("/proc/stat"));
  std::string name;
  words >> name;
  std::vector<double> ticks(8, 0);
  for (double& value : ticks) words >> value;
  return {.busy_s = ticks_to_seconds(ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6]),
          .idle_s = ticks_to_seconds(ticks[3] + ticks[4]),
          .steal_s = ticks_to_seconds(ticks[7])};
}

ResourceSnapshot snapshot_resources(const std::vector<pid_t>& sut) {
  ResourceSnapshot snapshot;
  snapshot.time_ns = MonotonicClock().now_ns();
  for (const pid_t pid : sut) add(snapshot.sut, process_use(pid));
  snapshot.harness = single(::getpid());
  snapshot.system = system_use();
  return snapshot;
}

ResourceUse difference(const ResourceSnapshot& before, const ResourceSnapshot& after) {
  ResourceUse use;
  use.seconds = static_cast<double>(after.time_ns - before.time_ns) * 1e-9;
  if (use.seconds <= 0) return use;
  const auto percent = [&](double seconds) { return std::max(0.0, 100.0 * seconds / use.seconds); };
  const double sut = after.sut.cpu_s - before.sut.cpu_s;
  const double harness = after.harness.cpu_s - before.harness.cpu_s;
  use.sut_cpu_percent = percent(sut);
  use.harness_cpu_percent = percent(harness);
  use.rest_cpu_percent = percent(after.system.busy_s - before.system.busy_s - sut - harness);
  const double all = after.system.busy_s + after.system.idle_s + after.system.steal_s - before.system.busy_s -
                     before.system.idle_s - before.system.steal_s;
  use.steal_percent = all > 0 ? 100.0 * (after.system.steal_s - before.system.steal_s) / all : 0;
  use.sut_resident_peak_kib = after.sut.resident_peak_kib;
  use.sut_proportional_kib = after.sut.proportional_kib;
  use.sut_switches = after.sut.voluntary_switches + after.sut.involuntary_switches -
                     before.sut.voluntary_switches - before.sut.involuntary_switches;
  use.sut_major_faults = after.sut.major_faults - before.sut.major_faults;
  return use;
}

Json to_json(const ResourceUse& use) {
  return {{"seconds", use.seconds},
          {"sut_cpu_percent", use.sut_cpu_percent},
          {"harness_cpu_percent", use.harness_cpu_percent},
          {"rest_cpu_percent", use.rest_cpu_percent},
          {"steal_percent", use.steal_percent},
          {"sut_resident_peak_kib", use.sut_resident_peak_kib},
          {"sut_proportional_kib", use.sut_proportional_kib},
          {"sut_context_switches", use.sut_switches},
          {"sut_major_faults", use.sut_major_faults}};
}

}  // namespace ballast::robot
