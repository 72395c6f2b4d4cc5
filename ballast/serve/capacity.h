// How many requests a second a policy can serve: the highest rate at which at least `attain` of all submitted
// requests keep every promise (bisection on the logarithm of the rate, stopped at 2 %, the median over
// seeds).
//
//   const Capacity c = find_capacity({.policy = "slos", .scenario = "coder", .replicas = 4}, perf);
//   c.per_gpu()
#pragma once

#include <string>
#include <vector>

#include "ballast/serve/simulator.h"
#include "ballast/serve/workload.h"

namespace ballast::serve {

struct CapacityQuery {
  std::string policy = "slos";
  PolicySettings settings = {};
  std::string scenario = "chatbot";
  std::string arrivals =
      "auto";  ///< poisson, a trace (workload.h), or auto: azure-conv for chatbot, else azure-code
  Rescale rescale = Rescale::thin;
  int replicas = 1;
  double attain = 0.90;
  Metric metric = Metric::token;
  int requests = 1000;
  int seeds = 3;
  std::uint64_t seed = 1;
  double tolerance = 0.02;
  SimulationSettings simulation = {};  ///< its replicas and seed are set from this query
};

struct Capacity {
  double per_second = 0;  ///< median over seeds; 0: not even the lowest rate (0.02/s a replica) is served
  std::vector<double> by_seed;
  int replicas = 1;
  double plan_ms_mean = 0, plan_ms_p99 = 0;
  double per_gpu() const { return per_second / replicas; }
};

/// The requests of one point of the search.
std::vector<Request> requests_at(const CapacityQuery& query, double per_second, std::uint64_t seed);
RunResult run_at(const CapacityQuery& query, const PerfModel& perf, double per_second, std::uint64_t seed);
Capacity find_capacity(const CapacityQuery& query, const PerfModel& perf);

}  // namespace ballast::serve
