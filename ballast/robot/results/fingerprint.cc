#include "ballast/robot/results/fingerprint.h"

#include <fmt/format.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "ballast/base/bench.h"
#include "ballast/base/errors.h"
#include "ballast/robot/harness/energy.h"
#include "ballast/robot/harness/schedule.h"
#include "ballast/robot/trace/points.h"
#include "ballast/robot/wire/dds.h"

namespace ballast::robot {
namespace {

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

}  // namespace ballast::robot
