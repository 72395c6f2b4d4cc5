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

#include "ballast/base/errors.h"
#include "ballast/base/statistics.h"

namespace ballast::serve {
namespace {

std::int64_t unix_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

Completion Service::parse(std::string_view body, bool chat, const SloHeaders& headers) const {
  return parse_completion(body, chat, headers, model_, engine_.perf(), settings_);
}

Service::Submitted Service::submit(const Completion& completion, Sink sink) {
  if (draining_) {
    ApiError error(503, "draining", "the server is being drained: no new requests");
    error.retry_after_ms = 5000;
    throw error;
  }
  try {
    const Engine::Id id = engine_.submit(completion.job, std::move(sink));
    return {id, Answer(completion, settings_, model_, id, unix_seconds())};
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
  Json json;
  try {
    json = Json::parse(body);
  } catch (const Json::exception&) {
    throw ApiError(400, "malformed_json", "the body is not valid JSON");
  }
  if (!json.is_object() || !json.contains("content") || !json.at("content").is_string())
    throw ApiError(400, "invalid_value", "'content' must be a text", "content");
  const auto tokens =
      model_.tokenize(json.at("content").get<std::string>(), json.value("add_special", false));
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
