#include "ballast/tune/device.h"

#include <fmt/format.h>
#include <time.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <optional>

#include "ballast/base/cli.h"
#include "ballast/model/threads.h"

namespace ballast::tune {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double thread_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

void wait_until(double seconds) {
  constexpr double kSpin = 50e-6;
  if (seconds - now() > kSpin) {
    const double wake = seconds - kSpin;
    timespec at{};
    at.tv_sec = static_cast<time_t>(wake);
    at.tv_nsec = static_cast<long>((wake - std::floor(wake)) * 1e9);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr) == EINTR) {
    }
  }
  while (now() < seconds) {
  }
}

void LinkChannel::copy(void* to, const void* from, std::int64_t bytes) {
  std::optional<std::unique_lock<std::mutex>> lock;
  if (shared_ != nullptr) lock.emplace(*shared_);
  const double start = now();
  std::memcpy(to, from, static_cast<std::size_t>(bytes));
  const double rate = rate_;
  if (rate > 0) wait_until(start + latency_ + static_cast<double>(bytes) / rate);
  bytes_ += bytes;
  ++transfers_;
  busy_ = busy_ + (now() - start);
}

void LinkChannel::set_speed(double bytes_per_s, double latency_s) {
  rate_ = bytes_per_s;
  latency_ = latency_s;
}

EmulatedDevice::EmulatedDevice(const DeviceOptions& options)
    : memory_(std::make_shared<DeviceMemory>(options.budget)),
      d2h_(options.link.d2h, options.link.latency_s, options.link.half_duplex ? &half_duplex_ : nullptr),
      h2d_(options.link.h2d, options.link.latency_s, options.link.half_duplex ? &half_duplex_ : nullptr),
      host_rate_(options.host_rate) {
  install_counting_allocator();
  const std::vector<int> cores = model::allowed_cores();
  if (cores.size() >= 2) {
    const auto half = static_cast<long>(cores.size() / 2);
    device_cores_.assign(cores.begin(), cores.begin() + half);
    host_cores_.assign(cores.begin() + half, cores.end());
  }
}

std::string EmulatedDevice::label() const {
  const auto speed = [](double rate) {
    return rate > 0 ? fmt::format("{:.3g}", rate / 1e9) : std::string("uncapped");
  };
  const std::string budget = memory_->budget().count > 0 ? to_string(memory_->budget()) : "no memory limit";
  const std::string host = host_rate_ > 0 ? format_count(host_rate_) + " parameters/s" : "uncapped";
  return fmt::format("emulated: {}, link {}/{} GB/s, host {}", budget, speed(d2h_.bytes_per_s()),
                     speed(h2d_.bytes_per_s()), host);
}

Regime regime_from_string(const std::string& word) {
  cli::require_one_of("--regime", word, {"workstation", "laptop", "raw"});
  if (word == "workstation") return {word, 0.8, 1.5};
  if (word == "laptop") return {word, 1.6, 2.2};
  return {word, 0, 0};
}

void match_regime(EmulatedDevice& device, const Regime& regime, std::int64_t parameters,
                  double compute_seconds) {
  const auto count = static_cast<double>(parameters);
  const double link = regime.link > 0 ? 4 * count / (regime.link * compute_seconds) : 0;
  device.d2h().set_speed(link, device.d2h().latency_s());
  device.h2d().set_speed(link, device.h2d().latency_s());
  device.set_host_rate(regime.update > 0 ? count / (regime.update * compute_seconds) : 0);
}

}  // namespace ballast::tune
