// When each message is meant to leave: absolute times, fixed before the run, that no slow send can shift.
//
//   Schedule schedule = make_schedule({.kind = Arrival::periodic, .rate_hz = 30}, 300, seed);
//   schedule.intended_ns[i]          // after the run's start
//
// Latency against these times is free of coordinated omission (Gil Tene, "How NOT to measure latency").
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace ballast::robot {

/// Time as the harness sees it; tests run all of it on a simulated one.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual std::int64_t now_ns() = 0;
  /// Returns at or after `time_ns`, as close to it as it can.
  virtual void sleep_until(std::int64_t time_ns) = 0;
};

/// CLOCK_MONOTONIC; sleeps by absolute time and spins for the last 50 us.
class MonotonicClock : public Clock {
 public:
  std::int64_t now_ns() override;
  void sleep_until(std::int64_t time_ns) override;
};

/// Moves only when told or slept on.
class SimulatedClock : public Clock {
 public:
  std::int64_t now_ns() override { return now_; }
  void sleep_until(std::int64_t time_ns) override { now_ = std::max(now_, time_ns); }
  void advance(std::int64_t duration_ns) { now_ += duration_ns; }

 private:
  std::int64_t now_ = 0;
};

enum class Arrival { periodic, poisson, burst, ramp };

struct ArrivalOptions {
  Arrival kind = Arrival::periodic;
  double rate_hz = 30;
  double end_rate_hz = 0;  ///< of ramp: the rate at the end
  int burst_length = 10;   ///< of burst: back to back at 10 times the rate, then silence that keeps the mean
};

Arrival arrival_from_string(const std::string& word);

struct Schedule {
  std::vector<std::int64_t> intended_ns;  ///< from the start of the run, not decreasing
  double rate_hz = 0;                     ///< the mean rate that was asked for
};

/// `count` send times. Throws InvalidInput for rates that are not positive and finite.
Schedule make_schedule(const ArrivalOptions& options, std::size_t count, std::uint64_t seed);

/// How frames of a buffer are repeated. looping: 0 1 2 0 1 2; sweeping: 0 1 2 2 1 0 0 1 2, so that
/// consecutive frames stay similar.
enum class Playback { looping, sweeping };
Playback playback_from_string(const std::string& word);
std::size_t frame_index(Playback mode, std::size_t message, std::size_t buffered);

}  // namespace ballast::robot
