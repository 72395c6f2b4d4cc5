#include "ballast/serve/http/api.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "ballast/base/errors.h"

namespace ballast::serve {

ApiError::ApiError(int http_status, std::string error_code, const std::string& message, std::string parameter)
    : std::runtime_error(message),
      status(http_status),
      code(std::move(error_code)),
      param(std::move(parameter)) {}

Json ApiError::to_json() const {
  const char* type = status == 401   ? "authentication_error"
                     : status == 429 ? "rate_limit_error"
                     : status >= 500 ? "server_error"
                                     : "invalid_request_error";
  Json error{{"message", what()}, {"type", type}, {"param", nullptr}, {"code", code}};
  if (!param.empty()) error["param"] = param;
  return {{"error", error}};
}

std::map<std::string, Tier> tiers_of(const SloTable& slos) {
  return {{"chatbot", {slos.loose_slowdown, 0, slos.loose_tpot_ms}},
          {"coder", {slos.loose_slowdown, 0, slos.tight_tpot_ms}},
          {"summarizer", {slos.tight_slowdown, 0, slos.loose_tpot_ms}},
          {"toolcall", {slos.tight_slowdown, 0, slos.tight_tpot_ms}},
          {"reasoning", {slos.tight_slowdown, 0, slos.tight_tpot_ms}}};
}

namespace {

[[noreturn]] void bad(const std::string& param, const std::string& message,
                      const char* code = "invalid_value") {
  throw ApiError(400, code, message, param);
}

// Reads fields of an object with a sentence for every mistake.
class Fields {
 public:
  Fields(const Json& json, std::string where) : json_(json), where_(std::move(where)) {
    if (!json.is_object())
      bad(where_, fmt::format("'{}' must be an object", where_.empty() ? "body" : where_));
  }
  bool has(const char* key) const { return json_.contains(key) && !json_.at(key).is_null(); }
  const Json& at(const char* key) const { return json_.at(key); }
  std::string path(const char* key) const { return where_.empty() ? key : where_ + "." + key; }

  double number(const char* key, double otherwise, double least, double most) const {
    if (!has(key)) return otherwise;
    const Json& value = at(key);
    if (!value.is_number()) bad(path(key), fmt::format("'{}' must be a number", path(key)));
    const double number = value.get<double>();
    if (!std::isfinite(number) || number < least || number > most)
      bad(path(key), fmt::format("'{}' is {}; accepted: {} to {}", path(key), number, least, most));
    return number;
  }
  int integer(const char* key, int otherwise, int least, int most) const {
    if (!has(key)) return otherwise;
    if (!at(key).is_number_integer()) bad(path(key), fmt::format("'{}' must be an integer", path(key)));
    return static_cast<int>(number(key, otherwise, least, most));
  }
  bool flag(const char* key) const {
    if (!has(key)) return false;
    if (!at(key).is_boolean()) bad(path(key), fmt::format("'{}' must be true or false", path(key)));
    return at(key).get<bool>();
  }
  std::string text(const char* key, const std::string& otherwise = {}) const {
    if (!has(key)) return otherwise;
    if (!at(key).is_string()) bad(path(key), fmt::format("'{}' must be a text", path(key)));
    return at(key).get<std::string>();
  }
  void only(const std::set<std::string>& known, const char* kind) const {
    for (const auto& [key, value] : json_.items()) {
      if (known.contains(key) || value.is_null()) continue;
      bad(path(key.c_str()), fmt::format("the {} '{}' is not supported here", kind, path(key.c_str())),
          "unsupported_field");
    }
  }

 private:
  const Json& json_;
  std::string where_;
};

// Content is a text, or a list of {"type": "text", "text": ...}.
std::string content_of(const Json& content, const std::string& where) {
  if (content.is_null()) return {};
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array()) bad(where, fmt::format("'{}' must be a text or a list of text parts", where));
  std::string text;
  for (const Json& part : content) {
    const Fields fields(part, where);
    if (fields.text("type") != "text")
      bad(where, fmt::format("'{}' may hold parts of type 'text' only", where));
    text += fields.text("text");
  }
  return text;
}

std::string tools_prompt(const Json& tools) {
  if (!tools.is_array()) bad("tools", "'tools' must be a list");
  std::string text = "You may call one of these tools:\n";
  for (std::size_t i = 0; i < tools.size(); ++i) {
    const Fields tool(tools[i], fmt::format("tools[{}]", i));
    if (tool.text("type") != "function" || !tool.has("function"))
      bad("tools", fmt::format("'tools[{}]' must be of type 'function'", i));
    text += tool.at("function").dump() + "\n";
  }
  return text + "To call one, answer with {\"name\": ..., \"arguments\": {...}} and nothing else.";
}

std::string chat_prompt(const Fields& body, const llama::Model& model) {
  if (!body.has("messages") || !body.at("messages").is_array() || body.at("messages").empty())
    bad("messages", "'messages' must be a list of at least one message");
  static const std::set<std::string> kRoles{"system", "developer", "user", "assistant", "tool"};
  std::vector<llama::ChatMessage> messages;
  if (body.has("tools") && !body.at("tools").empty())
    messages.push_back({"system", tools_prompt(body.at("tools"))});
  const Json& list = body.at("messages");
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string where = fmt::format("messages[{}]", i);
    const Fields message(list[i], where);
    std::string role = message.text("role");
    if (!kRoles.contains(role))
      bad(where + ".role",
          fmt::format("'{}.role' is '{}'; accepted: system, developer, user, assistant, tool", where, role));
    if (role == "developer") role = "system";
    std::string content = message.has("content") ? content_of(message.at("content"), where + ".content") : "";
    if (message.has("tool_calls")) {
      for (const Json& call : message.at("tool_calls")) {
        if (call.contains("function")) content += call.at("function").dump();
      }
    }
    if (content.empty() && role == "user")
      bad(where + ".content", fmt::format("'{}.content' is empty", where));
    messages.push_back({role, content});
  }
  const auto prompt = model.render_chat(messages);
  if (!prompt)
    throw ApiError(400, "chat_template_unknown",
                   "the model's chat template is not known to the library; use /v1/completions");
  return *prompt;
}

Tier read_tier(const Fields& body, const SloHeaders& headers, const ApiSettings& settings, std::string& name,
               Job& job) {
  name = settings.default_tier;
  auto named = [&](const std::string& word, const std::string& param) {
    if (!settings.tiers.contains(word)) {
      std::string known;
      for (const auto& [tier, promise] : settings.tiers) known += (known.empty() ? "" : ", ") + tier;
      bad(param, fmt::format("'{}' is '{}'; accepted: {}", param, word, known));
    }
    name = word;
  };
  if (const std::string word = body.text("service_tier");
      !word.empty() && word != "auto" && word != "default")
    named(word, "service_tier");
  if (body.has("slo") && Fields(body.at("slo"), "slo").has("tier"))
    named(Fields(body.at("slo"), "slo").text("tier"), "slo.tier");
  Tier tier = settings.tiers.at(name);
  auto header = [](const std::string& text, const char* what, double& value) {
    if (text.empty()) return;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || !(value > 0) || !std::isfinite(value))
      bad(what,
          fmt::format("the header {} is '{}'; accepted: a positive number of milliseconds", what, text));
  };
  header(headers.ttft_ms, "x-slo-ttft-ms", tier.ttft_ms);
  header(headers.tpot_ms, "x-slo-tpot-ms", tier.tpot_ms);
  if (!body.has("slo")) return tier;
  const Fields slo(body.at("slo"), "slo");
  slo.only({"tier", "ttft_ms", "ttft_slowdown", "tpot_ms", "on_miss", "weight"}, "promise");
  constexpr double kLeast = 1e-3, kDay = 86400e3;
  if (slo.has("ttft_slowdown")) tier.ttft_ms = 0;
  tier.ttft_slowdown = slo.number("ttft_slowdown", tier.ttft_slowdown, 1, 1e6);
  tier.ttft_ms = slo.number("ttft_ms", tier.ttft_ms, kLeast, kDay);
  tier.tpot_ms = slo.number("tpot_ms", tier.tpot_ms, kLeast, kDay);
  job.weight = slo.number("weight", 1, 1e-3, 1e3);
  const std::string miss = slo.text("on_miss", "best_effort");
  if (miss == "decline")
    job.on_miss = OnMiss::decline;
  else if (miss == "downgrade")
    job.on_miss = OnMiss::downgrade;
  else if (miss != "best_effort")
    bad("slo.on_miss", fmt::format("'slo.on_miss' is '{}'; accepted: best_effort, decline, downgrade", miss));
  return tier;
}

void read_stages(const Fields& body, Job& job) {
  if (!body.has("stages")) return;
  const Json& stages = body.at("stages");
  if (!stages.is_array() || stages.empty() || stages.size() > 2)
    bad("stages", "'stages' must be a list of one or two stages: think, then decode");
  for (std::size_t i = 0; i < stages.size(); ++i) {
    const Fields stage(stages[i], fmt::format("stages[{}]", i));
    stage.only({"kind", "tpot_ms", "until"}, "stage field");
    const std::string kind = stage.text("kind");
    if (kind == "think" && i == 0 && stages.size() == 2) {
      job.think_tpot_ms = stage.number("tpot_ms", job.tpot_ms, 1e-3, 86400e3);
      job.think_until = stage.text("until", "</think>");
      if (job.think_until.empty()) bad("stages[0].until", "'stages[0].until' is empty");
    } else if (kind == "decode" && i + 1 == stages.size()) {
      job.tpot_ms = stage.number("tpot_ms", job.tpot_ms, 1e-3, 86400e3);
    } else {
      bad("stages", "'stages' must be [{kind: think}, {kind: decode}] or [{kind: decode}]");
    }
  }
}

void read_sampling(const Fields& body, bool chat, const llama::Model& model, Job& job) {
  llama::SamplerSettings& sampling = job.sampling;
  sampling.temperature = body.number("temperature", 1, 0, 2);
  sampling.top_p = body.number("top_p", 1, 1e-6, 1);
  sampling.top_k = body.integer("top_k", 0, 0, 1 << 20);
  sampling.min_p = body.number("min_p", 0, 0, 1);
  sampling.presence_penalty = body.number("presence_penalty", 0, -2, 2);
  sampling.frequency_penalty = body.number("frequency_penalty", 0, -2, 2);
  sampling.seed = static_cast<std::uint32_t>(body.number("seed", 1, -9.3e18, 9.3e18));
  sampling.ignore_end = body.flag("ignore_eos");
  if (body.has("logit_bias")) {
    if (!body.at("logit_bias").is_object())
      bad("logit_bias", "'logit_bias' must be an object of token to bias");
    for (const auto& [key, value] : body.at("logit_bias").items()) {
      int token = -1;
      std::from_chars(key.data(), key.data() + key.size(), token);
      if (token < 0 || token >= model.vocabulary() || !value.is_number())
        bad("logit_bias", fmt::format("'logit_bias' holds '{}', which is no token with a number", key));
      sampling.bias.emplace_back(token, std::clamp(value.get<double>(), -100.0, 100.0));
    }
  }
  if (body.has("stop")) {
    const Json& stop = body.at("stop");
    if (stop.is_string())
      job.stops.push_back(stop.get<std::string>());
    else if (stop.is_array() && stop.size() <= 4) {
      for (const Json& text : stop) {
        if (!text.is_string()) bad("stop", "'stop' must be a text or up to four texts");
        job.stops.push_back(text.get<std::string>());
      }
    } else {
      bad("stop", "'stop' must be a text or up to four texts");
    }
    std::erase(job.stops, std::string());
  }
  if (chat) {
    if (body.flag("logprobs")) job.top_logprobs = body.integer("top_logprobs", 0, 0, 20);
  } else if (body.has("logprobs")) {
    job.top_logprobs = body.integer("logprobs", 0, 0, 5);
  }
  if (job.top_logprobs >= 0) bad("logprobs", "'logprobs' is not supported yet", "unsupported_field");
}

}  // namespace

Completion parse_completion(std::string_view text, bool chat, const SloHeaders& headers,
                            const llama::Model& model, const PerfModel& perf, const ApiSettings& settings) {
  Json json;
  try {
    json = Json::parse(text);
  } catch (const Json::exception&) {
    throw ApiError(400, "malformed_json", "the body is not valid JSON");
  }
  const Fields body(json, "");
  std::set<std::string> known{"model",
                              "max_tokens",
                              "max_completion_tokens",
                              "temperature",
                              "top_p",
                              "top_k",
                              "min_p",
                              "seed",
                              "stop",
                              "n",
                              "logprobs",
                              "presence_penalty",
                              "frequency_penalty",
                              "ignore_eos",
                              "stream",
                              "stream_options",
                              "slo",
                              "stages",
                              "session",
                              "service_tier",
                              "user",
                              "metadata",
                              "store",
                              "logit_bias"};
  if (chat)
    known.insert(
        {"messages", "top_logprobs", "tools", "tool_choice", "response_format", "parallel_tool_calls"});
  else
    known.insert({"prompt"});
  body.only(known, "field");

  // Free text is all that is produced; a client that counts on another form must hear so.
  if (body.has("response_format")) {
    const Json& format = body.at("response_format");
    if (!format.is_object() || format.value("type", "") != "text")
      bad("response_format", "'response_format' is not supported yet, but for {\"type\": \"text\"}",
          "unsupported_field");
  }

  Completion completion;
  completion.chat = chat;
  completion.stream = body.flag("stream");
  if (body.has("stream_options"))
    completion.include_usage = Fields(body.at("stream_options"), "stream_options").flag("include_usage");
  if (body.integer("n", 1, 1, 1 << 20) != 1) bad("n", "'n' must be 1", "unsupported_field");
  if (const std::string name = body.text("model"); !name.empty() && name != settings.model_name)
    throw ApiError(404, "model_not_found",
                   fmt::format("the model '{}' is not here; there is '{}'", name, settings.model_name),
                   "model");
  Job& job = completion.job;
  const Tier tier = read_tier(body, headers, settings, completion.tier, job);
  job.ttft_slowdown = tier.ttft_slowdown;
  job.ttft_ms = tier.ttft_ms;
  job.tpot_ms = tier.tpot_ms;
  read_stages(body, job);
  read_sampling(body, chat, model, job);

  if (chat) {
    job.prompt = model.tokenize(chat_prompt(body, model), true, true);
  } else if (body.has("prompt") && body.at("prompt").is_array()) {
    for (const Json& token : body.at("prompt")) {
      if (!token.is_number_integer() || token.get<std::int64_t>() < 0 ||
          token.get<std::int64_t>() >= model.vocabulary())
        bad("prompt", "'prompt' must be a text or a list of token ids");
      job.prompt.push_back(token.get<llama::Token>());
    }
  } else {
    if (!body.has("prompt")) bad("prompt", "'prompt' is missing");
    job.prompt = model.tokenize(body.text("prompt"));
  }
  if (job.prompt.empty()) bad(chat ? "messages" : "prompt", "the prompt is empty");

  const int prompt = static_cast<int>(job.prompt.size());
  const int room = settings.longest - prompt;
  const bool given = body.has("max_completion_tokens") || body.has("max_tokens");
  job.max_tokens = body.integer(body.has("max_completion_tokens") ? "max_completion_tokens" : "max_tokens",
                                std::max(1, std::min(settings.default_max_tokens, room)), 1, 1 << 30);
  if (room < 1 || (given && job.max_tokens > room))
    throw ApiError(400, "context_length_exceeded",
                   fmt::format("the prompt has {} tokens and max_tokens is {}; the context holds {}", prompt,
                               job.max_tokens, settings.longest),
                   chat ? "messages" : "prompt");

  // A promise that an idle machine could not keep is refused with the nearest that it could.
  BatchLoad one;
  one.add_decode(1, prompt);
  const double least_tpot = perf.step_ms(one), least_ttft = perf.idle_prefill_ms(prompt) / (1 + perf.safety);
  const double pace = job.think_tpot_ms > 0 ? std::min(job.think_tpot_ms, job.tpot_ms) : job.tpot_ms;
  if (pace < least_tpot)
    throw ApiError(422, "slo_impossible",
                   fmt::format("a tpot of {:.3g} ms is below this machine's {:.3g} ms", pace, least_tpot),
                   "slo.tpot_ms");
  if (job.ttft_ms > 0 && job.ttft_ms < least_ttft)
    throw ApiError(422, "slo_impossible",
                   fmt::format("a ttft of {:.3g} ms is below this machine's {:.3g} ms for this prompt",
                               job.ttft_ms, least_ttft),
                   "slo.ttft_ms");
  return completion;
}

Answer::Answer(const Completion& completion, const ApiSettings& settings, const llama::Model& model,
               std::uint64_t id, std::int64_t created)
    : chat_(completion.chat),
      include_usage_(completion.include_usage),
      tool_call_(completion.wants_tool_call),
      id_(fmt::format("{}-{}", completion.chat ? "chatcmpl" : "cmpl", id)),
      model_name_(settings.model_name),
      model_(model),
      created_(created) {}

std::string Answer::event_of(const Json& json) {
  return "data: " + json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n\n";
}

Json Answer::chunk(Json delta, const char* finish) const {
  Json choice{{"index", 0}};
  if (chat_)
    choice["delta"] = std::move(delta);
  else
    choice["text"] = delta.value("content", "");
  choice["logprobs"] = nullptr;
  choice["finish_reason"] = finish != nullptr ? Json(finish) : Json(nullptr);
  return {{"id", id_},
          {"object", chat_ ? "chat.completion.chunk" : "text_completion"},
          {"created", created_},
          {"model", model_name_},
          {"choices", Json::array({choice})}};
}

std::string Answer::text_chunk(const Event& event) {
  text_ += event.text;
  if (event.text.empty()) return {};
  Json delta = Json::object();
  if (chat_ && first_) delta["role"] = "assistant";
  first_ = false;
  delta["content"] = event.text;
  return event_of(chunk(std::move(delta), nullptr));
}

std::string Answer::finish_word(const Event& done) const {
  return done.finish_reason == "stop" || done.finish_reason == "length" ? done.finish_reason : "error";
}

Json Answer::usage(const Event& done) const {
  return {{"prompt_tokens", done.prompt_tokens},
          {"completion_tokens", done.output_tokens},
          {"total_tokens", done.prompt_tokens + done.output_tokens},
          {"slo",
           {{"admission", done.admission == Admission::admitted ? "guaranteed" : to_string(done.admission)},
            {"ttft_ms", done.ttft_ms},
            {"slowdown", done.slowdown},
            {"tpot_ms", done.tpot_ms},
            {"met", done.met}}}};
}

std::string Answer::last_chunks(const Event& done) {
  Event rest;
  rest.text = done.text;
  std::string events = text_chunk(rest);
  if (finish_word(done) == "error") {
    const ApiError error(
        500, done.finish_reason,
        "the request ended early: " + (done.reason.empty() ? done.finish_reason : done.reason));
    return events + event_of(error.to_json());
  }
  events += event_of(chunk(Json::object(), finish_word(done).c_str()));
  if (include_usage_) {
    Json last = chunk(Json::object(), nullptr);
    last["choices"] = Json::array();
    last["usage"] = usage(done);
    events += event_of(last);
  }
  return events + "data: [DONE]\n\n";
}

Json Answer::whole(const Event& done) const {
  Json choice{{"index", 0}};
  const std::string text = text_ + done.text;
  if (chat_)
    choice["message"] = {{"role", "assistant"}, {"content", text}};
  else
    choice["text"] = text;
  choice["logprobs"] = nullptr;
  choice["finish_reason"] = finish_word(done);
  return {{"id", id_},
          {"object", chat_ ? "chat.completion" : "text_completion"},
          {"created", created_},
          {"model", model_name_},
          {"choices", Json::array({choice})},
          {"usage", usage(done)}};
}

}  // namespace ballast::serve
