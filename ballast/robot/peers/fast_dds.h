// Fast DDS as the second vendor: raw endpoints that carry the same bytes under the same names, to talk to
// ours and to be timed beside them. Present when libfastrtps-dev was there at build time.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ballast/robot/harness/accounting.h"

namespace ballast::robot {

/// Whether this build has Fast DDS.
bool has_fast_dds();

/// A participant of the domain on loopback, without multicast.
class FastDds {
 public:
  /// Throws Unavailable when absent or when the participant cannot be made.
  explicit FastDds(std::uint32_t domain);
  ~FastDds();
  FastDds(const FastDds&) = delete;

  void open_writer(const std::string& topic, const std::string& type);
  void open_reader(const std::string& topic, const std::string& type);
  int matched_readers() const;
  int matched_writers() const;
  void publish(const std::vector<std::uint8_t>& payload);
  std::optional<std::vector<std::uint8_t>> take_within(std::chrono::milliseconds limit);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Sends back what comes on /in to /out until standard input ends: the child of fast_ping.
void fast_echo(std::uint32_t domain);
/// Round trips over Fast DDS alone, between this process and a child.
LatencySummary fast_ping(std::uint32_t domain, std::size_t bytes, std::size_t rounds);

}  // namespace ballast::robot
