// The log of a run, one JSON line a request, and its verdict. The verdict is recomputed from raw token times
// against the promises that the client asked for; what the server says of itself is shown beside, never
// believed.
#pragma once

#include <string>
#include <vector>

#include "ballast/base/json.h"
#include "ballast/base/table.h"
#include "ballast/serve/perf_model.h"
#include "ballast/serve/request.h"
#include "ballast/serve/request_trace.h"

namespace ballast::serve {

struct LoggedRequest {
  std::uint64_t id = 0;
  std::string scenario;
  double scheduled_ms = 0;  ///< when it was to be sent: lateness counts from here (no coordinated omission)
  double sent_ms = 0;
  int status = 0;                                      ///< HTTP status; 0: no answer
  std::string admission;                               ///< what the server said
  std::string finish;                                  ///< stop, length, or why not
  int prompt_tokens = 0, output_tokens = 0;            ///< as the server counted
  double ttft_slowdown = 0, ttft_ms = 0, tpot_ms = 0;  ///< promises
  double idle_ms = 0;                                  ///< T0 of its prompt, for the slowdown
  bool server_says_met = false;
  std::vector<double> token_ms;   ///< arrival of every content event, same clock as scheduled_ms
  std::vector<int> token_counts;  ///< tokens in each event (1 where the server does not say)

  Json to_json() const;
  static LoggedRequest from_json(const Json& json, const std::string& where);
};

struct LogVerdict {
  bool answered = false, met_token = false, met_mean = false;
  double ttft_ms = 0, slowdown = 0, tpot_ms = 0, worst_gap_ms = 0;
};
LogVerdict judge(const LoggedRequest& request);

struct LogSummary {
  int requests = 0, answered = 0, guaranteed = 0, best_effort = 0, declined = 0, failed = 0;
  double attainment_token = 0, attainment_mean = 0, guaranteed_kept = 0;
  double p50_ttft_ms = 0, p99_ttft_ms = 0, p50_tpot_ms = 0, p99_tpot_ms = 0, worst_gap_ms = 0;
  double output_tokens_per_s = 0;
  int server_disagrees = 0;  ///< requests of which the server says another thing than the client's clock
};
LogSummary summarise(const std::vector<LoggedRequest>& log);
Table summary_table(const LogSummary& summary, const std::string& title);
Json to_json(const LogSummary& summary);

/// The log for write_request_trace.
std::vector<RequestBars> bars(const std::vector<LoggedRequest>& log);

/// Throws InvalidInput with file and line.
std::vector<LoggedRequest> read_log(const std::string& path);
void write_log(const std::string& path, const std::vector<LoggedRequest>& log);

}  // namespace ballast::serve
