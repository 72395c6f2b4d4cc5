// Serving on virtual time: the same Replica and Policy objects as the real engine, driven by the performance
// model. No clock is read and nothing sleeps; the same seed gives the same result to the bit.
//
//   RunResult run = simulate(requests, perf, [&] { return make_policy("slos", settings); }, {.replicas = 4});
//   run.attainment(Metric::token)
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ballast/serve/policy.h"

namespace ballast::serve {

enum class Metric { token, mean };
Metric metric_from_string(const std::string& word);
std::string to_string(Metric metric);

/// How requests find a replica (section 4.7). With `hand_over` the first replica's plan decides; if it
/// declines, the next is asked at once, up to `limit` in all (0: all); then the request is best-effort where
/// most is free.
struct Routing {
  enum class Balancer { round_robin, least_tokens, power_of_two };
  Balancer first = Balancer::round_robin;
  bool hand_over = true;
  int limit = 0;
};

struct SimulationSettings {
  int replicas = 1;
  Routing routing;
  double alpha = 0.7;  ///< true acceptance probability of a drafted token
  double noise = 0;    ///< sigma of a log-normal factor on every step's time
  std::uint64_t seed = 1;
  bool record_tokens = false;
  int kv_block = 16;
  double tool_hold_ms = 5000;
  double kv_bytes_per_token = 819200;  ///< moved from a prefill to a decode replica (OPT-13B in 16 bits) ...
  double kv_gbytes_per_s = 64;         ///< ... at this rate
};

struct RunResult {
  std::vector<Live> requests;  ///< final states, in the order of the input
  std::vector<ReplicaCounters> replicas;
  std::vector<double> plan_ms;  ///< real time of every plan
  std::int64_t plans_truncated = 0, plans_overcommitted = 0;
  int handed_over = 0;
  double end_ms = 0;        ///< virtual time of the last event
  double wall_seconds = 0;  ///< real time that the simulation took
  Metric metric = Metric::token;

  /// Share of all submitted requests whose every round kept its promises.
  double attainment(Metric metric) const;
  std::int64_t steps() const;
  /// Share of the admitted requests that kept theirs; 1 if none was admitted.
  double admitted_attainment(Metric metric) const;
  double quantile_slowdown(double q) const;
  double quantile_tpot(double q) const;
  int count(Admission admission) const;
};

using PolicyFactory = std::function<std::unique_ptr<Policy>()>;

/// Serves all requests (sorted by arrival; throws InvalidInput if not) until each has left.
RunResult simulate(const std::vector<Request>& requests, const PerfModel& perf, const PolicyFactory& policy,
                   const SimulationSettings& settings = {});

}  // namespace ballast::serve
