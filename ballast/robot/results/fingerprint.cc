#include "ballast/robot/results/fingerprint.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "ballast/base/bench.h"
#include "ballast/base/errors.h"
#include "ballast/robot/harness/schedule.h"
#include "ballast/robot/trace/points.h"
#include "ballast/robot/wire/dds.h"

namespace ballast::robot {
namespace {

namespace fs = std::filesystem;

std::string line_of(const std::string& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

std::uint64_t number_of(const std::string& file) {
  return std::strtoull(line_of(file).c_str(), nullptr, 10);
}

bool is_virtual() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("flags") && line.find(" hypervisor") != std::string::npos) return true;
  return false;
}

std::vector<std::string> matching(const std::string& folder, const std::string& prefix) {
  std::vector<std::string> result;
  std::error_code ignored;
  for (const auto& item : fs::directory_iterator(folder, ignored))
    if (item.path().filename().string().starts_with(prefix)) result.push_back(item.path().string());
  std::sort(result.begin(), result.end());
  return result;
}

/// How late the harness's own sleep wakes, 99th percentile of 200 periods of 1 ms, in microseconds.
double wake_up_p99_us() {
  MonotonicClock clock;
  std::vector<double> late;
  std::int64_t due = clock.now_ns();
  for (int i = 0; i < 200; ++i) {
    due += 1'000'000;
    clock.sleep_until(due);
    late.push_back(static_cast<double>(clock.now_ns() - due) * 1e-3);
  }
  std::sort(late.begin(), late.end());
  return late[197];
}

}  // namespace

Json fingerprint() {
  Json facts = machine_facts();
  utsname names;
  ::uname(&names);
  facts["kernel"] = names.release;
  facts["machine"] = names.machine;
  facts["host"] = names.nodename;
  facts["virtual"] = is_virtual();
  const std::string governor = line_of("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
  facts["governor"] = governor.empty() ? "not observable" : governor;
  const std::string turbo = line_of("/sys/devices/system/cpu/intel_pstate/no_turbo");
  facts["turbo"] = turbo.empty() ? "not observable" : turbo == "0" ? "on" : "off";
  const std::string smt = line_of("/sys/devices/system/cpu/smt/active");
  facts["smt"] = smt.empty() ? "not observable" : smt == "1" ? "on" : "off";
  facts["rmem_max"] = number_of("/proc/sys/net/core/rmem_max");
  facts["memory_mib"] = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                            static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) >>
                        20;
  facts["dds"] = "Cyclone DDS 0.10";
  return facts;
}

std::vector<EnergyProvider> energy_providers() {
  std::vector<EnergyProvider> list;
  const auto zones = matching("/sys/class/powercap", "intel-rapl:");
  if (zones.empty()) {
    list.push_back({"rapl", false, "no zone under /sys/class/powercap"});
  } else {
    const bool readable = ::access((zones[0] + "/energy_uj").c_str(), R_OK) == 0;
    list.push_back({"rapl", readable,
                    readable ? fmt::format("{} zones", zones.size())
                             : zones[0] + "/energy_uj is readable by root only"});
  }
  const bool pmu = fs::exists("/sys/bus/event_source/devices/power");
  list.push_back({"perf", pmu, pmu ? "PMU power/energy-pkg/" : "no PMU /sys/bus/event_source/devices/power"});
  void* nvml = ::dlopen("libnvidia-ml.so.1", RTLD_LAZY);
  list.push_back({"nvml", nvml != nullptr, nvml ? "libnvidia-ml.so.1" : "libnvidia-ml.so.1 is not here"});
  if (nvml) ::dlclose(nvml);
  std::size_t rails = 0;
  for (const auto& device : matching("/sys/class/hwmon", "hwmon")) rails += matching(device, "power").size();
  list.push_back(
      {"hwmon", rails > 0,
       rails > 0 ? fmt::format("{} power inputs", rails) : "no power*_input under /sys/class/hwmon"});
  list.push_back({"meter", false, "give the CSV of an external meter with --meter FILE"});
  return list;
}

std::vector<Diagnosis> diagnose() {
  std::vector<Diagnosis> list;
  const auto add = [&](std::string what, bool good, std::string found, std::string advice) {
    list.push_back({std::move(what), good, std::move(found), good ? "" : std::move(advice)});
  };
  try {
    const ros::PrivateDomain domain;
    ros::Context context({.domain_id = domain.id()});
    ros::RawPublisher out(context, "/doctor", "std_msgs/msg/String", {});
    ros::RawSubscription in(context, "/doctor", "std_msgs/msg/String", {});
    MonotonicClock clock;
    const auto until = clock.now_ns() + 5'000'000'000;
    while ((out.matched() == 0 || in.matched() == 0) && clock.now_ns() < until)
      clock.sleep_until(clock.now_ns() + 1'000'000);
    const auto start = clock.now_ns();
    out.publish(ros::serialize(std_msgs::String{"?"}));
    const bool got = in.take_within(std::chrono::seconds(5)).has_value();
    add("DDS on loopback", got,
        got ? fmt::format("a message came in {:.0f} us", static_cast<double>(clock.now_ns() - start) * 1e-3)
            : "no message came within 5 s",
        "look at CYCLONEDDS_URI and whether the interface lo is up");
  } catch (const std::exception& error) {
    add("DDS on loopback", false, error.what(), "look at CYCLONEDDS_URI and whether the interface lo is up");
  }
  const auto limit = number_of("/proc/sys/net/core/rmem_max");
  add("socket receive buffer", limit >= 4194304, fmt::format("net.core.rmem_max {}", limit),
      "sysctl -w net.core.rmem_max=4194304: images of megabytes lose fragments with less");
  add("LTTng", trace::has_lttng(),
      trace::has_lttng() ? "tracepoints are compiled in" : "built without LTTng-UST",
      "the internal tracer serves; for LTTng install liblttng-ust-dev and build again");
  struct statvfs shared;
  if (::statvfs("/dev/shm", &shared) == 0) {
    const auto free_mib = shared.f_bavail * shared.f_frsize >> 20;
    const auto need_mib = 5ull * 4 * static_cast<unsigned long long>(::sysconf(_SC_NPROCESSORS_ONLN));
    add("/dev/shm for trace buffers", free_mib >= need_mib,
        fmt::format("{} MiB free, {} MiB needed for 4 sub-buffers of 4 MiB a CPU", free_mib, need_mib),
        "mount a larger /dev/shm or make the channel smaller");
  }
  const double wake = wake_up_p99_us();
  add("clock", wake < 500, fmt::format("sends are at most {:.0f} us late (p99 of 200)", wake),
      "the machine is busy: rates will be flagged; stop other work");
  const std::string governor = line_of("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
  add("CPU frequency", governor == "performance" || governor.empty(),
      governor.empty() ? "not observable here" : "governor " + governor,
      "cpupower frequency-set -g performance");
  add("real machine", !is_virtual(), is_virtual() ? "a virtual machine" : "no hypervisor seen",
      "steal and missing counters make maxima unstable: report percentiles");
  for (const auto& provider : energy_providers())
    if (provider.name != "meter")
      add("energy: " + provider.name, provider.available, provider.reason,
          "power stays absent, it is never 0");
  return list;
}

Rapl::Rapl(const std::string& root) {
  for (const auto& zone : matching(root, "intel-rapl:")) {
    const std::string name = line_of(zone + "/name");
    // Sub-zones core and uncore are part of their package: counting them too would count twice.
    if (!name.starts_with("package") && name != "dram") continue;
    if (::access((zone + "/energy_uj").c_str(), R_OK) != 0) continue;
    zones_.push_back(
        {zone + "/energy_uj", number_of(zone + "/energy_uj"), number_of(zone + "/max_energy_range_uj")});
  }
  if (zones_.empty()) throw Unavailable("no readable RAPL zone under " + root);
}

double Rapl::joules() {
  double total = 0;
  for (auto& zone : zones_) {
    const std::uint64_t now = number_of(zone.file);
    total += static_cast<double>(now >= zone.last ? now - zone.last : zone.range - zone.last + now) * 1e-6;
    zone.last = now;
  }
  return total;
}

double meter_joules(const std::string& csv, const std::string& file, double from_s, double to_s) {
  std::istringstream lines(csv);
  std::uint64_t number = 0;
  double joules = 0, last_t = 0, last_w = 0;
  bool any = false;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.empty() || line[0] == '#' || (number == 1 && std::isalpha(static_cast<unsigned char>(line[0]))))
      continue;
    double t, w;
    if (std::sscanf(line.c_str(), "%lf,%lf", &t, &w) != 2 || !std::isfinite(t) || !std::isfinite(w))
      throw InvalidInput::at(file, number, "no sample", "seconds,watts");
    if (any && t < last_t) throw InvalidInput::at(file, number, "time runs backwards");
    if (any && t > last_t) {
      const double a = std::max(last_t, from_s), b = std::min(t, to_s);
      const auto power = [&](double at) { return last_w + (w - last_w) * (at - last_t) / (t - last_t); };
      if (b > a) joules += (b - a) * (power(a) + power(b)) / 2;
    }
    last_t = t;
    last_w = w;
    any = true;
  }
  if (!any || last_t < to_s) throw InvalidInput(file + " does not cover the measured window");
  return joules;
}

}  // namespace ballast::robot
