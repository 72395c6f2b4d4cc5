#include "ballast/robot/harness/search.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ballast/base/errors.h"

namespace ballast::robot {
namespace {

void check_bounds(double lower, double upper) {
  if (!(std::isfinite(lower) && std::isfinite(upper) && lower > 0 && lower < upper))
    throw InvalidInput("search bounds", fmt::format("{} to {} Hz", lower, upper), "0 < lower < upper");
}

}  // namespace

Probe probe_of(const Analysis& analysis, double rate_hz, double duration_s) {
  return {.rate_hz = rate_hz,
          .loss_percent = analysis.counts.loss_percent(),
          .send_rate_hz = analysis.send_rate_hz,
          .receive_rate_hz = analysis.receive_rate_hz,
          .slope = analysis.latency_slope,
          .duration_s = duration_s,
          .median_ms = analysis.corrected.median_ms,
          .generator_ok = std::abs(analysis.rate_error) <= 0.02};
}

Verdict judge_strict(const Probe& probe, const SearchOptions& options) {
  if (!probe.generator_ok) return {false, "the generator did not keep the rate"};
  if (probe.loss_percent > options.acceptable_loss_percent)
    return {false, fmt::format("lost {:.2f} %", probe.loss_percent)};
  if (probe.receive_rate_hz < options.receive_share * probe.send_rate_hz)
    return {false, fmt::format("received {:.1f} of {:.1f} Hz", probe.receive_rate_hz, probe.send_rate_hz)};
  const double growth_ms = probe.slope * probe.duration_s * 1e3;
  const double allowed_ms = std::max(1e3 / probe.rate_hz, 0.1 * probe.median_ms);
  if (growth_ms > allowed_ms)
    return {false,
            fmt::format("the queue grew by {:.2f} ms of latency (allowed {:.2f})", growth_ms, allowed_ms)};
  return {true, ""};
}

PeakResult find_peak(const ProbeFunction& probe, const SearchOptions& options) {
  check_bounds(options.lower_hz, options.upper_hz);
  PeakResult result;
  const auto holds = [&](double rate) {
    const Probe run = probe(rate);
    result.probes.push_back(run);
    const Verdict verdict = judge_strict(run, options);
    if (!verdict.sustained) result.note = fmt::format("{:.1f} Hz: {}", rate, verdict.reason);
    if (!run.generator_ok) result.generator_limited = true;
    return verdict.sustained;
  };
  double low = options.lower_hz, high = options.lower_hz;
  if (!holds(low)) return result;
  while (low < options.upper_hz) {  // bracket
    high = std::min(high * 2, options.upper_hz);
    if (!holds(high)) break;
    low = high;
  }
  result.hz = low;
  if (low >= options.upper_hz) {
    result.at_bound = true;
    result.note = "the upper bound is sustained: the peak lies above it";
    return result;
  }
  for (int attempt = 0; attempt < 3; ++attempt) {
    while (high / low > options.resolution) {
      const double middle = std::sqrt(low * high);
      (holds(middle) ? low : high) = middle;
    }
    result.hz = low;
    // Confirmation: passes thrice at the peak and fails at least once of thrice 5 % above it.
    const bool passes = holds(low) && holds(low);
    bool fails = false;
    for (int run = 0; run < 2 && !fails && passes; ++run) fails = !holds(low * 1.05);
    if (passes && fails) {
      result.confirmed = true;
      return result;
    }
    if (!passes) {
      high = low;
      low = std::max(low / 1.1, options.lower_hz);
    } else {
      low *= 1.05;
      high = std::min(low * 1.1, options.upper_hz);
      if (low >= options.upper_hz) break;
    }
  }
  result.note = "not confirmed: repeated runs at the same rate disagree";
  return result;
}

PeakResult find_peak_compat(const ProbeFunction& probe, double lower_hz, double upper_hz) {
  check_bounds(lower_hz, upper_hz);
  PeakResult result;
  const auto holds = [&](double rate, double loss_percent, double drop_hz) {
    const Probe run = probe(rate);
    result.probes.push_back(run);
    return run.loss_percent <= loss_percent && run.send_rate_hz - run.receive_rate_hz <= drop_hz;
  };
  double low = lower_hz, high = upper_hz;
  probe((low + high) / 2);  // the trial run, whose outcome is ignored
  while (high - low > 10) {
    const double middle = (low + high) / 2;
    (holds(middle, 5, 10) ? low : high) = middle;
  }
  double target = low;
  for (double rate = target + 5; rate <= upper_hz && holds(rate, 5, 5); rate += 5) target = rate;
  result.hz = target;
  result.at_bound = target + 5 > upper_hz || target - 5 < lower_hz;
  if (result.at_bound) result.note = "within 5 Hz of a search bound";
  return result;
}

}  // namespace ballast::robot
