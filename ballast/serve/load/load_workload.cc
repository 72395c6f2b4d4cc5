#include "ballast/serve/load/load_workload.h"

#include <algorithm>

#include "ballast/base/random.h"

namespace ballast::serve {
namespace {

std::string words(int tokens, Random& random) {
  static const char* kWords[] = {"time", "house", "water", "light", "road",  "tree",  "stone",
                                 "ship", "wind",  "hand",  "book",  "river", "night", "day",
                                 "city", "song",  "fire",  "field", "door",  "bread"};
  std::string text;
  for (int i = 0; i < std::max(1, tokens); ++i)
    text += std::string(i == 0 ? "" : " ") + kWords[random.below(20)];
  return text;
}

}  // namespace

std::vector<LoadRequest> load_requests(const std::string& scenario, const std::vector<Arrival>& arrivals,
                                       const SloTable& slos, std::uint64_t seed, const LoadShape& shape) {
  std::vector<LoadRequest> requests;
  Random random(seed, 0x6c6f6164);
  for (const Request& request : make_requests(scenario, arrivals, slos, seed)) {
    const Round& round = request.rounds.front();
    LoadRequest item;
    item.log.id = request.id;
    item.log.scenario = request.scenario;
    item.log.scheduled_ms = request.arrival_ms;
    item.log.ttft_slowdown = round.ttft_slowdown;
    item.log.tpot_ms = round.output.front().tpot_ms;
    const int prompt = std::clamp(round.prompt / 12, 8, shape.most_prompt);
    const int output = std::clamp(round.output.front().tokens / 4, 4, shape.most_output);
    item.log.prompt_tokens = prompt;
    item.log.output_tokens = output;
    Json body{{"messages", Json::array({{{"role", "user"}, {"content", words(prompt, random)}}})},
              {"max_tokens", output},
              {"temperature", 0},
              {"ignore_eos", true},
              {"stream", true},
              {"stream_options", {{"include_usage", true}}}};
    if (shape.slo_fields)
      body["slo"] = {{"ttft_slowdown", item.log.ttft_slowdown}, {"tpot_ms", item.log.tpot_ms}};
    item.body = body.dump();
    requests.push_back(std::move(item));
  }
  return requests;
}

void set_idle_times(std::vector<LoggedRequest>& log, const PerfModel& perf) {
  for (LoggedRequest& request : log)
    request.idle_ms = perf.idle_prefill_ms(std::max(1, request.prompt_tokens)) / (1 + perf.safety);
}

std::vector<Request> simulated(const std::vector<LoggedRequest>& log, int output_tokens_if_unanswered) {
  std::vector<Request> requests;
  for (const LoggedRequest& logged : log) {
    Request request;
    request.id = logged.id;
    request.arrival_ms = logged.scheduled_ms;
    request.scenario = logged.scenario;
    Round round;
    round.prompt = std::max(1, logged.prompt_tokens);
    round.ttft_slowdown = logged.ttft_slowdown;
    round.ttft_ms = logged.ttft_ms;
    const int tokens = logged.output_tokens > 0 ? logged.output_tokens : output_tokens_if_unanswered;
    round.output = {{Segment::Kind::decode, tokens, logged.tpot_ms}};
    request.rounds = {round};
    requests.push_back(std::move(request));
  }
  return requests;
}

}  // namespace ballast::serve
