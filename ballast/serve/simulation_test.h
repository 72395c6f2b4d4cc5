// What tests of the simulator and of the policies share.
#pragma once

#include <string>
#include <vector>

#include "ballast/serve/simulator.h"

namespace ballast::serve {

inline RunResult run(const std::vector<Request>& requests, const PerfModel& perf, const std::string& policy,
                     const PolicySettings& settings = {}, const SimulationSettings& simulation = {}) {
  return simulate(
      requests, perf, [&] { return make_policy(policy, settings); }, simulation);
}

inline Request plain_request(std::uint64_t id, double arrival, int prompt, int output, double slowdown = 3,
                             double tpot = 50) {
  Request request;
  request.id = id;
  request.arrival_ms = arrival;
  Round round;
  round.prompt = prompt;
  round.ttft_slowdown = slowdown;
  round.output = {{Segment::Kind::decode, output, tpot}};
  request.rounds = {round};
  return request;
}

}  // namespace ballast::serve
