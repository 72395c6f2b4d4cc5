// Peak sustainable throughput: the highest rate that a system under test keeps up with.
//
// Sustainable at f: loss within the limit, outputs as fast as inputs, no queue that grows (Theil-Sen slope of
// the latency), and a generator that itself kept the rate; else the rate is generator-limited and says
// nothing.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ballast/robot/harness/accounting.h"

namespace ballast::robot {

/// What one run at one rate showed.
struct Probe {
  double rate_hz = 0;
  double loss_percent = 0;
  double send_rate_hz = 0, receive_rate_hz = 0;
  double slope = 0;  ///< latency growth, ns a ns
  double duration_s = 0;
  double median_ms = 0;
  bool generator_ok = true;
};
Probe probe_of(const Analysis& analysis, double rate_hz, double duration_s);

struct Verdict {
  bool sustained = false;
  std::string reason;  ///< of the first rule that failed
};

struct SearchOptions {
  double lower_hz = 10, upper_hz = 1000;
  double resolution = 1.02;  ///< strict: bisect until upper/lower is at most this
  double acceptable_loss_percent = 1;
  double receive_share = 0.98;  ///< strict: receive rate at least this share of the send rate
};

struct PeakResult {
  double hz = 0;          ///< 0: not even the lowest rate was sustained
  bool at_bound = false;  ///< the upper bound was sustained: the peak lies above
  bool generator_limited = false;
  bool confirmed = false;
  std::string note;
  std::vector<Probe> probes;  ///< in order
};

using ProbeFunction = std::function<Probe(double rate_hz)>;

Verdict judge_strict(const Probe& probe, const SearchOptions& options);

/// Exponential bracket from the lower bound, bisection, confirmation by repeated runs. Throws InvalidInput
/// for bounds that are not 0 < lower < upper.
PeakResult find_peak(const ProbeFunction& probe, const SearchOptions& options = {});

/// ros2_benchmark's search: bisection to 10 Hz with 5 % loss, then steps of 5 Hz.
PeakResult find_peak_compat(const ProbeFunction& probe, double lower_hz = 10, double upper_hz = 100);

}  // namespace ballast::robot
