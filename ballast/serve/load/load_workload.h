// A scenario as HTTP requests for a small machine: lengths keep their proportions, cut to what it can do
// within a run; texts are common short words, of about one token each in the vocabularies of today.
#pragma once

#include <string>
#include <vector>

#include "ballast/serve/load/load_client.h"
#include "ballast/serve/workload.h"

namespace ballast::serve {

struct LoadShape {
  int most_prompt = 160, most_output = 48;  ///< tokens
  bool slo_fields = true;                   ///< send the promises (a server may refuse unknown fields)
};

/// Bodies of streaming chat requests, with promises and scheduled times in their logs.
std::vector<LoadRequest> load_requests(const std::string& scenario, const std::vector<Arrival>& arrivals,
                                       const SloTable& slos, std::uint64_t seed, const LoadShape& shape = {});

/// Fills in the idle prefill time of each prompt as the server has counted it; lateness is judged by it.
void set_idle_times(std::vector<LoggedRequest>& log, const PerfModel& perf);

/// What was asked for, as the simulator takes it: scheduled times, counted prompts, promises.
std::vector<Request> simulated(const std::vector<LoggedRequest>& log, int output_tokens_if_unanswered);

}  // namespace ballast::serve
