// What the files of the bench verb share.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ballast/base/bench.h"
#include "ballast/serve/capacity.h"

namespace ballast::serve {

struct BenchOptions {
  bool quick = false;
  std::vector<std::string> suites;
  std::string perf = "a100-opt13b-tp1";
};

struct Suite {
  const BenchOptions& options;
  Bench& bench;
  PerfModel perf;
  std::uint64_t seed;

  CapacityQuery query(const std::string& scenario, const std::string& policy, int replicas) const {
    CapacityQuery q;
    q.scenario = scenario;
    q.policy = policy;
    q.replicas = replicas;
    q.seed = seed;
    q.seeds = options.quick ? 1 : 3;
    q.requests = (options.quick ? 300 : 1500) * (replicas > 1 ? 2 : 1);
    q.tolerance = options.quick ? 0.05 : 0.02;
    return q;
  }
  double capacity(const CapacityQuery& q) const { return find_capacity(q, perf).per_second; }
};

/// E7: how well the model explains the real engine.
void bench_fit(Suite& suite);
/// E8: the real engine under load beside llama-server and beside our own `slots` policy, and what the
/// simulator had said of it.
void bench_engine(Suite& suite);

}  // namespace ballast::serve
