#include "ballast/robot/harness/schedule.h"

#include <errno.h>
#include <fmt/format.h>
#include <time.h>

#include <cmath>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/random.h"

namespace ballast::robot {
namespace {

constexpr std::int64_t kSpin = 50'000;
constexpr double kBurstSpeed = 10;

}  // namespace

std::int64_t MonotonicClock::now_ns() {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

void MonotonicClock::sleep_until(std::int64_t time_ns) {
  const std::int64_t early = time_ns - kSpin;
  if (early > now_ns()) {
    const timespec until{early / 1'000'000'000, early % 1'000'000'000};
    while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) == EINTR) {
    }
  }
  while (now_ns() < time_ns) {
  }
}

Arrival arrival_from_string(const std::string& word) {
  cli::require_one_of("arrival pattern", word, {"periodic", "poisson", "burst", "ramp"});
  return word == "periodic"  ? Arrival::periodic
         : word == "poisson" ? Arrival::poisson
         : word == "burst"   ? Arrival::burst
                             : Arrival::ramp;
}

Schedule make_schedule(const ArrivalOptions& options, std::size_t count, std::uint64_t seed) {
  const auto positive = [](double rate) { return std::isfinite(rate) && rate > 0 && rate <= 1e6; };
  if (!positive(options.rate_hz))
    throw InvalidInput("rate", fmt::format("{}", options.rate_hz), "more than 0 and at most 1000000 Hz");
  if (options.kind == Arrival::ramp && !positive(options.end_rate_hz))
    throw InvalidInput("end rate", fmt::format("{}", options.end_rate_hz),
                       "more than 0 and at most 1000000 Hz");
  if (options.kind == Arrival::burst && options.burst_length < 1)
    throw InvalidInput("burst length", std::to_string(options.burst_length), "at least 1");
  Schedule schedule{{}, options.rate_hz};
  schedule.intended_ns.reserve(count);
  Random random(seed, 0x5c4ed);
  const double period = 1e9 / options.rate_hz;
  double time = 0;
  for (std::size_t i = 0; i < count; ++i) {
    // Each time is computed from i alone where it can be: no rounding error adds up.
    switch (options.kind) {
      case Arrival::periodic:
        time = static_cast<double>(i) * period;
        break;
      case Arrival::poisson:
        if (i > 0) time += random.exponential() * period;
        break;
      case Arrival::burst: {
        const auto length = static_cast<std::size_t>(options.burst_length);
        time = static_cast<double>(i / length) * static_cast<double>(length) * period +
               static_cast<double>(i % length) * period / kBurstSpeed;
        break;
      }
      case Arrival::ramp: {
        // The rate grows linearly with the message's number.
        const double share = count > 1 ? static_cast<double>(i) / static_cast<double>(count - 1) : 0;
        const double rate = options.rate_hz + share * (options.end_rate_hz - options.rate_hz);
        if (i > 0) time += 1e9 / rate;
        break;
      }
    }
    schedule.intended_ns.push_back(static_cast<std::int64_t>(std::llround(time)));
  }
  return schedule;
}

Playback playback_from_string(const std::string& word) {
  cli::require_one_of("playback mode", word, {"looping", "sweeping"});
  return word == "looping" ? Playback::looping : Playback::sweeping;
}

std::size_t frame_index(Playback mode, std::size_t message, std::size_t buffered) {
  const std::size_t at = message % buffered;
  const bool backward = mode == Playback::sweeping && message / buffered % 2 == 1;
  return backward ? buffered - 1 - at : at;
}

}  // namespace ballast::robot
