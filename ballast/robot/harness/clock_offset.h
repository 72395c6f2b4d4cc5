// n3: the offset between the clocks of two hosts from an exchange of time stamps (NTP's four times; the
// exchange with the smallest round trip is the one least disturbed), and one-way latencies that it allows.
#pragma once

#include <cstdint>
#include <vector>

namespace ballast::robot {

struct ClockExchange {
  std::int64_t sent_ns = 0, answered_ns = 0;  ///< by our clock
  std::int64_t remote_ns = 0;                 ///< when the other host had it, by its clock
};

struct ClockOffset {
  std::int64_t offset_ns = 0;       ///< remote clock - ours
  std::int64_t uncertainty_ns = 0;  ///< half of the smallest round trip
};
/// Throws InvalidInput without an exchange.
ClockOffset estimate_offset(const std::vector<ClockExchange>& exchanges);

struct OneWay {
  bool measured = false;  ///< false: half of the round trip, because the clocks are not known well enough
  double there_ms = 0, back_ms = 0;
  double uncertainty_ms = 0, drift_ms = 0;  ///< drift: of the offset between the first and last tenth
};
/// Medians of both ways. One-way numbers only when the uncertainty is below 10 % of the median.
OneWay one_way(const std::vector<ClockExchange>& exchanges);

}  // namespace ballast::robot
