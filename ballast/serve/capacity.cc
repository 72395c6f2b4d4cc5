#include "ballast/serve/capacity.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/statistics.h"

namespace ballast::serve {

std::vector<Request> requests_at(const CapacityQuery& query, double per_second, std::uint64_t seed) {
  std::string source = query.arrivals;
  if (source == "auto") source = query.scenario == "chatbot" ? "azure-conv" : "azure-code";
  if (source == "poisson")
    return make_requests(query.scenario, poisson_arrivals(per_second, query.requests, seed),
                         query.settings.slos, seed);
  const NamedTrace trace = find_trace(source, query.seed);
  const auto arrivals =
      arrivals_of(trace.trace, per_second, query.rescale, static_cast<std::size_t>(query.requests), seed);
  // The trace's own lengths are those of a chat; the other scenarios draw theirs.
  return make_requests(query.scenario, arrivals, query.settings.slos, seed, query.scenario == "chatbot");
}

RunResult run_at(const CapacityQuery& query, const PerfModel& perf, double per_second, std::uint64_t seed) {
  const auto requests = requests_at(query, per_second, seed);
  SimulationSettings simulation = query.simulation;
  simulation.replicas = query.replicas;
  simulation.seed = seed;
  RunResult run = simulate(
      requests, perf, [&] { return make_policy(query.policy, query.settings); }, simulation);
  for (Live& live : run.requests) live.request = nullptr;  // they pointed into `requests`
  return run;
}

namespace {

double search(const CapacityQuery& query, const PerfModel& perf, std::uint64_t seed,
              std::vector<double>& plan_ms) {
  auto served = [&](double rate) {
    cli::stop_if_interrupted();
    RunResult run = run_at(query, perf, rate, seed);
    const bool enough = run.attainment(query.metric) >= query.attain;
    if (enough) plan_ms = std::move(run.plan_ms);
    return enough;
  };
  const double least = 0.02 * query.replicas;
  double low = 0.25 * query.replicas, high;
  if (served(low)) {
    high = low * 2;
    while (served(high)) {
      low = high;
      high *= 2;
      if (high > 1e5) return low;
    }
  } else {
    high = low;
    low /= 2;
    while (!served(low)) {
      high = low;
      low /= 2;
      if (low < least) return 0;
    }
  }
  while (high / low > 1 + query.tolerance) {
    const double middle = std::sqrt(low * high);
    (served(middle) ? low : high) = middle;
  }
  return low;
}

}  // namespace

Capacity find_capacity(const CapacityQuery& query, const PerfModel& perf) {
  if (!(query.attain > 0 && query.attain <= 1))
    throw InvalidInput("--attain", std::to_string(query.attain), "above 0, up to 1");
  Capacity capacity;
  capacity.replicas = query.replicas;
  std::vector<double> plan_ms;
  for (int i = 0; i < query.seeds; ++i)
    capacity.by_seed.push_back(search(query, perf, query.seed + static_cast<std::uint64_t>(i), plan_ms));
  capacity.per_second = median(capacity.by_seed);
  if (!plan_ms.empty()) {
    capacity.plan_ms_mean = mean(plan_ms);
    capacity.plan_ms_p99 = quantile(plan_ms, 0.99);
  }
  return capacity;
}

}  // namespace ballast::serve
