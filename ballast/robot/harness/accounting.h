// From what was sent and what came back to counts that add up and latencies that mean something.
//
// Always: sent = received (unique) + lost. Duplicates, unmatched (a key that was never sent) and late ones
// (after the drain) are counted apart. Two latencies are kept: from the actual send (the service's view) and
// from the intended one (corrected: what a user with a fixed rate sees), which is the default headline.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ballast/base/json.h"

namespace ballast::robot {

struct Sent {
  std::int64_t key = 0;
  std::int64_t intended_ns = 0;
  std::int64_t actual_ns = 0;
};

struct Received {
  std::int64_t key = 0;
  std::int64_t time_ns = 0;
};

/// How an output is paired with its input.
enum class KeyMode {
  stamp,  ///< header.stamp, set to the intended send time
  order,  ///< the k-th output belongs to the k-th input: only without any loss
  user,   ///< a field of the caller's choice
};

struct LatencySummary {
  std::size_t count = 0;
  double min_ms = 0, mean_ms = 0, rms_ms = 0, median_ms = 0, p90_ms = 0, p95_ms = 0, p99_ms = 0, p999_ms = 0,
         max_ms = 0, std_ms = 0;
};
LatencySummary summarise(std::vector<std::int64_t> latencies_ns);

struct Counts {
  std::size_t sent = 0, received = 0, lost = 0, duplicates = 0, unmatched = 0, late = 0, reordered = 0;
  double loss_percent() const {
    return sent == 0 ? 0.0 : 100.0 * static_cast<double>(lost) / static_cast<double>(sent);
  }
};

struct Analysis {
  Counts counts;
  LatencySummary service, corrected;                   ///< from actual and from intended send times
  std::vector<std::int64_t> service_ns, corrected_ns;  ///< by number of the message; -1: lost
  double send_rate_hz = 0, receive_rate_hz = 0;        ///< (n-1)/(last - first)
  double compat_frame_rate_hz = 0;                     ///< n/(last - first), as the public suite divides
  double jitter_std_ms = 0;                            ///< of the time between arrivals
  double jitter_p99_ms = 0;                            ///< of |time between arrivals - period|
  double compat_jitter_mean_ms = 0, compat_jitter_max_ms = 0, compat_jitter_min_ms = 0,
         compat_jitter_std_ms = 0;  ///< |second difference of arrival|
  double lateness_p99_ms = 0;       ///< of the generator: actual - intended
  double rate_error = 0;            ///< of the generator, relative
  double first_latency_ms = 0, last_latency_ms = 0, received_duration_ms = 0;
  double latency_slope = 0;  ///< Theil-Sen, ns of latency a ns of time: growth of a queue
  double deadline_miss_percent = 0;
};

struct AnalysisOptions {
  KeyMode key = KeyMode::stamp;
  std::int64_t drain_end_ns = INT64_MAX;  ///< arrivals after it are late, not received
  double rate_hz = 0;                     ///< intended mean rate; 0: not checked
  double deadline_ms = 0;                 ///< 0: none
};

/// Throws InvalidInput with KeyMode::order when the numbers of outputs and inputs differ.
Analysis analyse(const std::vector<Sent>& sent, const std::vector<Received>& received,
                 const AnalysisOptions& options = {});

/// Median of the slopes between pairs of points (Theil, Sen); all pairs up to 300 points, else evenly chosen
/// ones.
double theil_sen(const std::vector<double>& xs, const std::vector<double>& ys);

Json to_json(const LatencySummary& summary);
Json to_json(const Analysis& analysis);

}  // namespace ballast::robot
