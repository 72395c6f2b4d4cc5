// The emulated device: real execution on this machine's cores under three limits that are emulated and always
// labelled so: device memory (memory.h), the link between device and host, and the rate of the host's
// optimizer.
//
//   EmulatedDevice device({.budget = Bytes::mib(900), .link = {.d2h = 2e9, .h2d = 2e9}});
//   device.d2h().copy(host, gradient, bytes);          // the real copy, then the rest of the emulated time
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "ballast/base/units.h"
#include "ballast/tune/memory.h"

namespace ballast::tune {

struct LinkSpeed {
  double d2h = 0;        ///< bytes/s from device to host; 0: as fast as memory
  double h2d = 0;        ///< bytes/s from host to device
  double latency_s = 0;  ///< of each transfer
  bool half_duplex = false;
};

/// One direction of the link. Used by one thread at a time.
class LinkChannel {
 public:
  LinkChannel(double bytes_per_s, double latency_s, std::mutex* shared)
      : rate_(bytes_per_s), latency_(latency_s), shared_(shared) {}

  /// Copies, then waits until latency + bytes/rate have passed since the start.
  void copy(void* to, const void* from, std::int64_t bytes);
  void set_speed(double bytes_per_s, double latency_s);
  double bytes_per_s() const { return rate_; }
  double latency_s() const { return latency_; }
  std::int64_t bytes() const { return bytes_; }  ///< counted, since the start
  std::int64_t transfers() const { return transfers_; }
  double busy_seconds() const { return busy_; }

 private:
  std::atomic<double> rate_, latency_;
  std::mutex* shared_;  // both directions' when half duplex, else null
  std::atomic<std::int64_t> bytes_{0}, transfers_{0};
  std::atomic<double> busy_{0};
};

struct DeviceOptions {
  Bytes budget = {};  ///< 0: no limit
  LinkSpeed link = {};
  double host_rate = 0;  ///< parameters/s that the host may update; 0: as fast as it is
};

class EmulatedDevice {
 public:
  explicit EmulatedDevice(const DeviceOptions& options);

  const std::shared_ptr<DeviceMemory>& memory() const { return memory_; }
  LinkChannel& d2h() { return d2h_; }
  LinkChannel& h2d() { return h2d_; }
  double host_rate() const { return host_rate_; }
  void set_host_rate(double parameters_per_s) { host_rate_ = parameters_per_s; }
  /// The cores of the device's compute and of the host's workers: halves of what this process may use. Empty
  /// when there is one core only; then nothing is pinned and overlap cannot be measured.
  const std::vector<int>& device_cores() const { return device_cores_; }
  const std::vector<int>& host_cores() const { return host_cores_; }
  /// "emulated: 900 MiB, link 2.0/2.0 GB/s, host 100 M parameters/s"
  std::string label() const;

 private:
  std::shared_ptr<DeviceMemory> memory_;
  std::mutex half_duplex_;
  LinkChannel d2h_, h2d_;
  std::atomic<double> host_rate_;
  std::vector<int> device_cores_, host_cores_;
};

/// Sleeps until `seconds` (steady clock) and spins for the last 50 microseconds.
void wait_until(double seconds);
/// The steady clock in seconds.
double now();
/// Processor seconds of the calling thread: what its work costs, however busy
/// the machine is.
double thread_seconds();

/// How emulated speeds are chosen so that an experiment has the shape of the paper's machines: times of the
/// *full* gradients' transfer and update as multiples of the measured time of a forward and backward pass.
struct Regime {
  std::string name;
  double link = 0;    ///< T_D2H = T_H2D in units of T_FWD + T_BWD; 0: no cap
  double update = 0;  ///< T_UPD in the same units; 0: no cap
};
/// "workstation" (0.8, 1.5), "laptop" (1.6, 2.2) or "raw" (no caps). Throws InvalidInput otherwise.
Regime regime_from_string(const std::string& word);
/// Sets link and host rate for full gradients of `parameters` f32 values.
void match_regime(EmulatedDevice& device, const Regime& regime, std::int64_t parameters,
                  double compute_seconds);

}  // namespace ballast::tune
