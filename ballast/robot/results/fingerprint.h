// What a machine is, as far as it changes results: CPU, cores, governor, kernel, DDS, clock, whether it is
// virtual.
#pragma once

#include <string>
#include <vector>

#include "ballast/base/json.h"

namespace ballast::robot {

Json fingerprint();

/// One thing that `doctor` looks at.
struct Diagnosis {
  std::string what;
  bool good = false;
  std::string found;   ///< with the numbers
  std::string advice;  ///< empty when good
};
std::vector<Diagnosis> diagnose();

/// Where energy could be read: one entry a provider, each with the reason when it is not available.
struct EnergyProvider {
  std::string name;
  bool available = false;
  std::string reason;  ///< why not; or what it reads
};
std::vector<EnergyProvider> energy_providers();

/// Joules since some start, of all package and DRAM zones; throws Unavailable without RAPL.
class Rapl {
 public:
  explicit Rapl(const std::string& root = "/sys/class/powercap");
  /// Energy used since the last call (or the constructor), in joules; a counter that wrapped is continued.
  double joules();

 private:
  struct Zone {
    std::string file;
    std::uint64_t last = 0, range = 0;
  };
  std::vector<Zone> zones_;
};

/// An external meter's log, CSV `seconds,watts`: joules between two times, trapezoidal.
double meter_joules(const std::string& csv, const std::string& file, double from_s, double to_s);

}  // namespace ballast::robot
