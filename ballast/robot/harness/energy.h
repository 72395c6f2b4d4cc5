// Where energy comes from, and what a run used of it. A machine without any source says so: power is then
// absent, never 0.
//
//   EnergyMeter meter;                   // the first provider that this machine has
//   meter.start(); work(); EnergyUse use = meter.stop();
//   if (use.joules) print(*use.joules / use.seconds); else print(use.unavailable);
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "ballast/base/json.h"

namespace ballast::robot {

/// One entry a provider, each with the reason when it is not available.
struct EnergyProvider {
  std::string name;
  bool available = false;
  std::string reason;  ///< why not; or what it reads
};
std::vector<EnergyProvider> energy_providers();

/// A counter of joules since some start. Implementations throw Unavailable where the machine has none.
class EnergyCounter {
 public:
  virtual ~EnergyCounter() = default;
  virtual std::string name() const = 0;
  /// Energy used since the last call (or the constructor), in joules.
  virtual double joules() = 0;
  virtual double resolution_j() const = 0;
};

/// All package and DRAM zones under /sys/class/powercap; a counter that wrapped is continued.
class Rapl : public EnergyCounter {
 public:
  explicit Rapl(const std::string& root = "/sys/class/powercap");
  std::string name() const override { return "rapl"; }
  double joules() override;
  double resolution_j() const override { return 1e-6; }

 private:
  struct Zone {
    std::string file;
    std::uint64_t last = 0, range = 0;
  };
  std::vector<Zone> zones_;
};

/// Power inputs (power*_input in microwatts, or rails as in*_input mV x curr*_input mA: Jetson, Kria),
/// sampled at 10 Hz by a thread and integrated by trapezoids.
class Hwmon : public EnergyCounter {
 public:
  explicit Hwmon(const std::string& root = "/sys/class/hwmon", int period_ms = 100);
  ~Hwmon() override;
  std::string name() const override { return "hwmon"; }
  double joules() override;
  double resolution_j() const override { return 1e-3; }
  double watts_now() const;

 private:
  struct Rail {
    std::string first, second;  ///< microwatts, or millivolts and milliamperes
  };
  std::vector<Rail> rails_;
  std::atomic<bool> over_{false};
  std::atomic<double> total_{0};
  double told_ = 0;
  std::thread thread_;
};

/// The PMU event power/energy-pkg/ of all sockets.
class PerfEnergy : public EnergyCounter {
 public:
  PerfEnergy();
  ~PerfEnergy() override;
  std::string name() const override { return "perf"; }
  double joules() override;
  double resolution_j() const override { return scale_; }

 private:
  std::vector<int> descriptors_;
  double scale_ = 0;
  std::uint64_t last_ = 0;
};

/// All GPUs of NVIDIA's management library, loaded at run time.
class Nvml : public EnergyCounter {
 public:
  Nvml();
  ~Nvml() override;
  std::string name() const override { return "nvml"; }
  double joules() override;
  double resolution_j() const override { return 1e-3; }

 private:
  std::uint64_t millijoules() const;
  void* library_ = nullptr;
  std::vector<void*> devices_;
  std::uint64_t last_ = 0;
};

struct EnergyUse {
  std::optional<double> joules;
  double seconds = 0, uncertainty_w = 0;  ///< resolution / window
  std::string provider, unavailable;      ///< one of both
};
Json to_json(const EnergyUse& use);

class EnergyMeter {
 public:
  EnergyMeter();
  void start();
  EnergyUse stop();

 private:
  std::unique_ptr<EnergyCounter> counter_;
  std::string why_not_;
  std::int64_t started_ns_ = 0;
};

/// An external meter's log, CSV `seconds,watts`: joules between two times, trapezoidal.
double meter_joules(const std::string& csv, const std::string& file, double from_s, double to_s);

}  // namespace ballast::robot
