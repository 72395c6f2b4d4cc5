// What processes use, from /proc: the system under test, the harness and the rest of the machine apart.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "ballast/base/json.h"

namespace ballast::robot {

struct ProcessUse {
  double cpu_s = 0;                     ///< user + system
  std::uint64_t resident_peak_kib = 0;  ///< VmHWM
  std::uint64_t proportional_kib = 0;   ///< PSS now; 0 when /proc does not tell
  std::uint64_t voluntary_switches = 0, involuntary_switches = 0, major_faults = 0;
};

/// Of the process and all its descendants; zeros when it is gone.
ProcessUse process_use(pid_t pid);

struct SystemUse {
  double busy_s = 0, idle_s = 0, steal_s = 0;
};
SystemUse system_use();

/// A reading of everything at one moment; the difference of two is a run's use.
struct ResourceSnapshot {
  std::int64_t time_ns = 0;
  ProcessUse sut, harness;
  SystemUse system;
};
ResourceSnapshot snapshot_resources(const std::vector<pid_t>& sut);

struct ResourceUse {
  double seconds = 0;
  double sut_cpu_percent = 0, harness_cpu_percent = 0, rest_cpu_percent = 0;  ///< 100 = one core
  double steal_percent = 0;                                                   ///< of all cores
  std::uint64_t sut_resident_peak_kib = 0, sut_proportional_kib = 0;
  std::uint64_t sut_switches = 0, sut_major_faults = 0;
};
ResourceUse difference(const ResourceSnapshot& before, const ResourceSnapshot& after);
Json to_json(const ResourceUse& use);

}  // namespace ballast::robot
