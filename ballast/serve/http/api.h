// The OpenAI-compatible interface without its transport: JSON in, a Job out, and the documents that go back.
// Everything here is a plain function that tests call directly; http_server.cc only moves bytes.
#pragma once

#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "ballast/base/json.h"
#include "ballast/serve/engine.h"
#include "ballast/serve/slo.h"

namespace ballast::serve {

/// A refusal as OpenAI's clients expect it: an HTTP status and {error: {message, type, param, code}}.
struct ApiError : std::runtime_error {
  ApiError(int http_status, std::string error_code, const std::string& message, std::string parameter = {});
  int status;
  std::string code, param;
  double retry_after_ms = 0;
  Json to_json() const;
};

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
  std::string tier;
  bool wants_tool_call = false;  ///< the output is to be read as a call of one of the request's tools
};

/// x-slo-ttft-ms, x-slo-tpot-ms; the names that llm-d uses.
struct SloHeaders {
  std::string ttft_ms, tpot_ms;
};

/// POST /v1/chat/completions and /v1/completions. Throws ApiError: 400 for malformed or unsupported input
/// (the field is named), `context_length_exceeded`, 422 `slo_impossible` for a promise below what an idle
/// machine can do.
Completion parse_completion(std::string_view body, bool chat, const SloHeaders& headers,
                            const llama::Model& model, const PerfModel& perf, const ApiSettings& settings);

/// Makes the documents of one answer: the whole, or chunk by chunk.
class Answer {
 public:
  Answer(const Completion& completion, const ApiSettings& settings, const llama::Model& model,
         std::uint64_t id, std::int64_t created);
  const std::string& id() const { return id_; }

  /// One SSE event ("data: {...}\n\n") for this text, or an empty string when there is nothing to show.
  std::string text_chunk(const Event& event);
  /// The last events: finish reason, usage if asked for, and [DONE].
  std::string last_chunks(const Event& done);
  /// The whole answer of a request that does not stream; call text_chunk for every event before.
  Json whole(const Event& done) const;
  static std::string event_of(const Json& json);

 private:
  Json chunk(Json delta, const char* finish) const;
  Json usage(const Event& done) const;
  std::string finish_word(const Event& done) const;
  bool chat_, include_usage_, tool_call_;
  std::string id_, model_name_, text_;
  const llama::Model& model_;
  std::int64_t created_;
  bool first_ = true;
};

}  // namespace ballast::serve
