// The OpenAI-compatible interface without its transport: JSON in, a Job out, and the documents that go back.
// Everything here is a plain function that tests call directly; the listener only moves bytes.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ballast/base/json.h"
#include "ballast/serve/engine.h"
#include "ballast/serve/http/api_error.h"
#include "ballast/serve/http/structured.h"
#include "ballast/serve/slo.h"

namespace ballast::serve {

/// A named pair of promises that a request may ask for by {"slo": {"tier": NAME}} or service_tier.
struct Tier {
  double ttft_slowdown = 5;
  double ttft_ms = 0;
  double tpot_ms = 100;
};

struct ApiSettings {
  std::string model_name;
  std::map<std::string, Tier> tiers;
  std::string default_tier = "chatbot";
  int default_max_tokens = 256;
  int longest = 1024;  ///< prompt and output tokens of one request
};
/// One tier a scenario of `slos`.
std::map<std::string, Tier> tiers_of(const SloTable& slos);

struct Completion {
  Job job;
  bool chat = false;
  bool stream = false;
  bool include_usage = false;
  bool return_token_ids = false;  ///< chunks carry their tokens (a router resumes a lost stream from them)
  bool seed_given = false;
  std::string tier;
  Tools tools;
};

/// x-slo-ttft-ms, x-slo-tpot-ms (the names that llm-d uses); what is known of the request beside its body.
struct SloHeaders {
  std::string ttft_ms = {}, tpot_ms = {};
  std::string elapsed_ms = {};    ///< x-slo-elapsed-ms: since the request came to a router in front
  std::string default_tier = {};  ///< of its API key; empty: the server's
};

/// POST /v1/chat/completions and /v1/completions. Throws ApiError: 400 for malformed or unsupported input
/// (the field is named), `context_length_exceeded`, 422 `slo_impossible` for a promise below what an idle
/// machine can do.
Completion parse_completion(std::string_view body, bool chat, const SloHeaders& headers,
                            const llama::Model& model, const PerfModel& perf, const ApiSettings& settings);

}  // namespace ballast::serve
