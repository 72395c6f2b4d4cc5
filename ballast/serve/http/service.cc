#include "ballast/serve/http/service.h"

#include <fmt/format.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <random>
#include <span>

#include "ballast/base/base64.h"
#include "ballast/base/errors.h"
#include "ballast/base/statistics.h"
#include "ballast/serve/http/fields.h"

namespace ballast::serve {
namespace {

std::int64_t unix_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

Service::Service(const llama::Model& model, Engine& engine, ApiSettings settings)
    : model_(model),
      engine_(engine),
      settings_(std::move(settings)),
      nonce_(fmt::format("{:08x}", std::random_device{}())) {}

Completion Service::parse(std::string_view body, bool chat, const SloHeaders& headers) const {
  Completion completion = parse_completion(body, chat, headers, model_, engine_.perf(), settings_);
  // Who asks for no seed wants another answer each time.
  if (!completion.seed_given) completion.job.sampling.seed = std::random_device{}();
  return completion;
}

EmbeddingWish Service::parse_embeddings(std::string_view text) const {
  const Json json = parse_body(text);
  const Fields body(json, "");
  body.only({"input", "model", "encoding_format", "user", "dimensions"}, "field");
  if (body.has("dimensions") && body.integer("dimensions", 0, 1, 1 << 20) != model_.embedding_size())
    bad_field("dimensions", fmt::format("'dimensions' must be {}", model_.embedding_size()),
              "unsupported_field");
  if (const std::string name = body.text("model"); !name.empty() && name != settings_.model_name)
    throw ApiError(404, "model_not_found",
                   fmt::format("the model '{}' is not here; there is '{}'", name, settings_.model_name),
                   "model");
  EmbeddingWish wish;
  const std::string format = body.text("encoding_format", "float");
  if (format != "float" && format != "base64")
    bad_field("encoding_format", fmt::format("'encoding_format' is '{}'; accepted: float, base64", format));
  wish.base64 = format == "base64";
  if (!body.has("input")) bad_field("input", "'input' is missing");
  const Json& input = body.at("input");
  const bool one = input.is_string() || (input.is_array() && !input.empty() && input[0].is_number());
  const Json list = one ? Json::array({input}) : input;
  if (!list.is_array() || list.empty() || list.size() > 256)
    bad_field("input", "'input' must be a text, a list of token ids, or a list of at most 256 of these");
  for (const Json& item : list) {
    std::vector<llama::Token> tokens;
    if (item.is_string()) {
      tokens = model_.tokenize(item.get<std::string>());
    } else if (item.is_array()) {
      for (const Json& token : item) {
        if (!token.is_number_integer() || token.get<std::int64_t>() < 0 ||
            token.get<std::int64_t>() >= model_.vocabulary())
          bad_field("input", "'input' must be texts or lists of token ids");
        tokens.push_back(token.get<llama::Token>());
      }
    } else {
      bad_field("input", "'input' must be texts or lists of token ids");
    }
    if (tokens.empty()) bad_field("input", "an input is empty");
    if (std::ssize(tokens) > settings_.longest)
      throw ApiError(
          400, "context_length_exceeded",
          fmt::format("an input has {} tokens; the context holds {}", tokens.size(), settings_.longest),
          "input");
    wish.inputs.push_back(std::move(tokens));
  }
  return wish;
}

Json Service::embeddings_document(const EmbeddingWish& wish,
                                  const std::vector<std::vector<float>>& rows) const {
  Json data = Json::array();
  std::size_t tokens = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].empty()) throw ApiError(500, "failed", "the engine failed to compute an embedding");
    Json row{{"object", "embedding"}, {"index", i}};
    if (wish.base64)
      row["embedding"] =
          base64_encode({reinterpret_cast<const char*>(rows[i].data()), rows[i].size() * sizeof(float)});
    else
      row["embedding"] = rows[i];
    data.push_back(std::move(row));
    tokens += wish.inputs[i].size();
  }
  return {{"object", "list"},
          {"data", data},
          {"model", settings_.model_name},
          {"usage", {{"prompt_tokens", tokens}, {"total_tokens", tokens}}}};
}

Service::Submitted Service::submit(const Completion& completion, Sink sink) {
  if (draining_) {
    ApiError error(503, "draining", "the server is being drained: no new requests");
    error.retry_after_ms = 5000;
    throw error;
  }
  try {
    const Engine::Id id = engine_.submit(completion.job, std::move(sink));
    return {id, Answer(completion, settings_, model_, fmt::format("{}-{}", nonce_, id), unix_seconds())};
  } catch (const InvalidInput& mistake) {
    throw ApiError(400, "invalid_value", mistake.what());
  } catch (const Unavailable& busy) {
    ApiError error(503, "overloaded", busy.what());
    error.retry_after_ms = 1000;
    throw error;
  }
}

Json Service::models() const {
  Json tiers = Json::object();
  for (const auto& [name, tier] : settings_.tiers)
    tiers[name] = {{"ttft_slowdown", tier.ttft_slowdown}, {"tpot_ms", tier.tpot_ms}};
  return {{"object", "list"},
          {"data", Json::array({{{"id", settings_.model_name},
                                 {"object", "model"},
                                 {"created", 0},
                                 {"owned_by", "ballast"},
                                 {"context_length", settings_.longest},
                                 {"description", model_.description()},
                                 {"slo_tiers", tiers}}})}};
}

Json Service::tokenize(std::string_view body) const {
  const Json json = parse_body(body);
  if (!json.is_object() || !json.contains("content") || !json.at("content").is_string())
    throw ApiError(400, "invalid_value", "'content' must be a text", "content");
  const bool special = Fields(json, "").flag("add_special");
  const auto tokens = model_.tokenize(json.at("content").get<std::string>(), special);
  return {{"tokens", tokens}, {"count", tokens.size()}};
}

std::string Service::metrics() const {
  const EngineSnapshot now = engine_.snapshot();
  prometheus::Registry registry;
  auto counter = [&](const char* name, const char* help, double value,
                     const prometheus::Labels& labels = {}) {
    prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add(labels).Increment(value);
  };
  auto gauge = [&](const char* name, const char* help, double value) {
    prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add({}).Set(value);
  };
  auto& requests = prometheus::BuildCounter()
                       .Name("ballast_requests_total")
                       .Help("Requests by their end")
                       .Register(registry);
  requests.Add({{"outcome", "finished"}}).Increment(static_cast<double>(now.finished));
  requests.Add({{"outcome", "declined"}}).Increment(static_cast<double>(now.declined));
  requests.Add({{"outcome", "cancelled"}}).Increment(static_cast<double>(now.cancelled));
  requests.Add({{"outcome", "failed"}}).Increment(static_cast<double>(now.failed));
  auto& admissions = prometheus::BuildCounter()
                         .Name("ballast_admissions_total")
                         .Help("Requests by the plan's decision")
                         .Register(registry);
  admissions.Add({{"admission", "guaranteed"}}).Increment(static_cast<double>(now.admitted));
  admissions.Add({{"admission", "best_effort"}}).Increment(static_cast<double>(now.went_best_effort));
  counter("ballast_slo_met_total", "Finished requests that kept every promise", static_cast<double>(now.met));
  counter("ballast_prompt_tokens_total", "Prompt tokens submitted", static_cast<double>(now.prompt_tokens));
  counter("ballast_output_tokens_total", "Tokens generated", static_cast<double>(now.output_tokens));
  counter("ballast_steps_total", "Engine steps", static_cast<double>(now.counters.steps));
  counter("ballast_step_tokens_total", "Tokens computed in all steps",
          static_cast<double>(now.counters.tokens));
  counter("ballast_preemptions_total", "Best-effort requests that gave up their KV memory",
          static_cast<double>(now.counters.preemptions));
  counter("ballast_draft_tokens_total", "Tokens drafted", static_cast<double>(now.counters.drafted));
  counter("ballast_draft_accepted_total", "Drafted tokens that were right",
          static_cast<double>(now.counters.accepted_drafts));
  gauge("ballast_requests_alive", "Requests that are here", now.alive);
  gauge("ballast_requests_pending", "Requests that wait for an admission decision", now.pending);
  gauge("ballast_requests_best_effort", "Requests served without a promise", now.best_effort);
  gauge("ballast_kv_slots_total", "KV slots", now.kv_total);
  gauge("ballast_kv_slots_used", "KV slots in use", now.kv_used);
  gauge("ballast_model_scale", "Measured over predicted step time (moving average)", now.model_scale);
  counter("ballast_shared_tokens_total", "Prompt tokens taken over from another request",
          static_cast<double>(now.shared_tokens));
  counter("ballast_swapped_tokens_total", "Tokens that came back from host memory",
          static_cast<double>(now.swapped_tokens));
  counter("ballast_model_drift_total", "Times that steps took 25 % more or less than predicted",
          static_cast<double>(now.drift_warnings));
  counter("ballast_kv_slot_miss_total", "Steps for which the library found no KV room",
          static_cast<double>(now.kv_slot_misses));
  counter("ballast_embeddings_total", "Embeddings computed", static_cast<double>(now.embeddings));
  gauge("ballast_draft_acceptance", "Estimated chance of a drafted token to be right", now.acceptance);
  gauge("ballast_draining", "1 while the server refuses new requests", draining_ ? 1 : 0);
  auto& plans = prometheus::BuildHistogram()
                    .Name("ballast_plan_milliseconds")
                    .Help("Time of the last plans (at most 256)")
                    .Register(registry)
                    .Add({}, prometheus::Histogram::BucketBoundaries{0.05, 0.1, 0.5, 1, 2, 5, 10});
  for (const double ms : now.plan_ms) plans.Observe(ms);
  return prometheus::TextSerializer().Serialize(registry.Collect());
}

Json Service::dashboard_point() const {
  const EngineSnapshot now = engine_.snapshot();
  return {{"ms", now.now_ms},
          {"alive", now.alive},
          {"pending", now.pending},
          {"best_effort", now.best_effort},
          {"kv_used", now.kv_used},
          {"kv_total", now.kv_total},
          {"finished", now.finished},
          {"met", now.met},
          {"declined", now.declined},
          {"cancelled", now.cancelled},
          {"output_tokens", now.output_tokens},
          {"steps", now.counters.steps},
          {"step_ms", now.last_step_ms},
          {"step_tokens", now.last_step_tokens},
          {"plan_ms", now.plan_ms.empty() ? 0.0 : mean(now.plan_ms)},
          {"model_scale", now.model_scale}};
}

}  // namespace ballast::serve
