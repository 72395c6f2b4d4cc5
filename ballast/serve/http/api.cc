#include "ballast/serve/http/api.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "ballast/base/errors.h"
#include "ballast/serve/http/fields.h"

namespace ballast::serve {

std::map<std::string, Tier> tiers_of(const SloTable& slos) {
  return {{"chatbot", {slos.loose_slowdown, 0, slos.loose_tpot_ms}},
          {"coder", {slos.loose_slowdown, 0, slos.tight_tpot_ms}},
          {"summarizer", {slos.tight_slowdown, 0, slos.loose_tpot_ms}},
          {"toolcall", {slos.tight_slowdown, 0, slos.tight_tpot_ms}},
          {"reasoning", {slos.tight_slowdown, 0, slos.tight_tpot_ms}}};
}

namespace {

// Content is a text, or a list of {"type": "text", "text": ...}.
std::string content_of(const Json& content, const std::string& where) {
  if (content.is_null()) return {};
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array())
    bad_field(where, fmt::format("'{}' must be a text or a list of text parts", where));
  std::string text;
  for (const Json& part : content) {
    const Fields fields(part, where);
    if (fields.text("type") != "text")
      bad_field(where, fmt::format("'{}' may hold parts of type 'text' only", where));
    text += fields.text("text");
  }
  return text;
}

std::string chat_prompt(const Fields& body, const Tools& tools, const llama::Model& model) {
  if (!body.has("messages") || !body.at("messages").is_array() || body.at("messages").empty())
    bad_field("messages", "'messages' must be a list of at least one message");
  static const std::set<std::string> kRoles{"system", "developer", "user", "assistant", "tool"};
  std::vector<llama::ChatMessage> messages;
  if (!tools.prompt.empty()) messages.push_back({"system", tools.prompt});
  const Json& list = body.at("messages");
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string where = fmt::format("messages[{}]", i);
    const Fields message(list[i], where);
    std::string role = message.text("role");
    if (!kRoles.contains(role))
      bad_field(
          where + ".role",
          fmt::format("'{}.role' is '{}'; accepted: system, developer, user, assistant, tool", where, role));
    if (role == "developer") role = "system";
    std::string content = message.has("content") ? content_of(message.at("content"), where + ".content") : "";
    if (message.has("tool_calls") && message.at("tool_calls").is_array()) {
      for (const Json& call : message.at("tool_calls")) {
        if (call.is_object() && call.contains("function")) content += call.at("function").dump();
      }
    }
    if (content.empty() && role == "user")
      bad_field(where + ".content", fmt::format("'{}.content' is empty", where));
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
  name = headers.default_tier.empty() ? settings.default_tier : headers.default_tier;
  auto named = [&](const std::string& word, const std::string& param) {
    if (!settings.tiers.contains(word)) {
      std::string known;
      for (const auto& [tier, promise] : settings.tiers) known += (known.empty() ? "" : ", ") + tier;
      bad_field(param, fmt::format("'{}' is '{}'; accepted: {}", param, word, known));
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
      bad_field(what, fmt::format("the header {} is '{}'; accepted: a positive number of milliseconds", what,
                                  text));
  };
  header(headers.ttft_ms, "x-slo-ttft-ms", tier.ttft_ms);
  header(headers.tpot_ms, "x-slo-tpot-ms", tier.tpot_ms);
  header(headers.elapsed_ms, "x-slo-elapsed-ms", job.waited_ms);
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
  else if (miss == "hand_over")
    job.on_miss = OnMiss::hand_over;
  else if (miss != "best_effort")
    bad_field(
        "slo.on_miss",
        fmt::format("'slo.on_miss' is '{}'; accepted: best_effort, decline, downgrade, hand_over", miss));
  return tier;
}

void read_stages(const Fields& body, Job& job) {
  if (!body.has("stages")) return;
  const Json& stages = body.at("stages");
  if (!stages.is_array() || stages.empty() || stages.size() > 2)
    bad_field("stages", "'stages' must be a list of one or two stages: think, then decode");
  for (std::size_t i = 0; i < stages.size(); ++i) {
    const Fields stage(stages[i], fmt::format("stages[{}]", i));
    stage.only({"kind", "tpot_ms", "until"}, "stage field");
    const std::string kind = stage.text("kind");
    if (kind == "think" && i == 0 && stages.size() == 2) {
      job.think_tpot_ms = stage.number("tpot_ms", job.tpot_ms, 1e-3, 86400e3);
      job.think_until = stage.text("until", "</think>");
      if (job.think_until.empty()) bad_field("stages[0].until", "'stages[0].until' is empty");
    } else if (kind == "decode" && i + 1 == stages.size()) {
      job.tpot_ms = stage.number("tpot_ms", job.tpot_ms, 1e-3, 86400e3);
    } else {
      bad_field("stages", "'stages' must be [{kind: think}, {kind: decode}] or [{kind: decode}]");
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
  if (body.has("seed")) {
    if (!body.at("seed").is_number_integer()) bad_field("seed", "'seed' must be an integer");
    sampling.seed = static_cast<std::uint32_t>(body.at("seed").get<std::int64_t>());
  }
  sampling.ignore_end = body.flag("ignore_eos");
  if (body.has("logit_bias")) {
    if (!body.at("logit_bias").is_object())
      bad_field("logit_bias", "'logit_bias' must be an object of token to bias");
    for (const auto& [key, value] : body.at("logit_bias").items()) {
      int token = -1;
      std::from_chars(key.data(), key.data() + key.size(), token);
      if (token < 0 || token >= model.vocabulary() || !value.is_number())
        bad_field("logit_bias", fmt::format("'logit_bias' holds '{}', which is no token with a number", key));
      sampling.bias.emplace_back(token, std::clamp(value.get<double>(), -100.0, 100.0));
    }
  }
  if (body.has("stop")) {
    const Json& stop = body.at("stop");
    if (stop.is_string())
      job.stops.push_back(stop.get<std::string>());
    else if (stop.is_array() && stop.size() <= 4) {
      for (const Json& text : stop) {
        if (!text.is_string()) bad_field("stop", "'stop' must be a text or up to four texts");
        job.stops.push_back(text.get<std::string>());
      }
    } else {
      bad_field("stop", "'stop' must be a text or up to four texts");
    }
    std::erase(job.stops, std::string());
  }
  if (chat) {
    if (body.flag("logprobs")) job.top_logprobs = body.integer("top_logprobs", 0, 0, 20);
  } else if (body.has("logprobs")) {
    job.top_logprobs = body.integer("logprobs", 0, 0, 5);
  }
}

// A router in front lost the server that had begun this answer: what it had generated is taken up here.
void read_resume(const Fields& body, const llama::Model& model, Job& job) {
  if (!body.has("resume")) return;
  const Fields resume(body.at("resume"), "resume");
  resume.only({"token_ids"}, "field");
  if (!resume.has("token_ids") || !resume.at("token_ids").is_array())
    bad_field("resume.token_ids", "'resume.token_ids' must be a list of token ids");
  for (const Json& token : resume.at("token_ids")) {
    if (!token.is_number_integer() || token.get<std::int64_t>() < 0 ||
        token.get<std::int64_t>() >= model.vocabulary() || model.ends_generation(token.get<llama::Token>()))
      bad_field("resume.token_ids", "'resume.token_ids' must hold tokens that do not end the text");
    job.prompt.push_back(token.get<llama::Token>());
    ++job.resumed;
  }
}

}  // namespace

Completion parse_completion(std::string_view text, bool chat, const SloHeaders& headers,
                            const llama::Model& model, const PerfModel& perf, const ApiSettings& settings) {
  const Json json = parse_body(text);
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
                              "resume",
                              "return_token_ids",
                              "store",
                              "logit_bias"};
  if (chat)
    known.insert(
        {"messages", "top_logprobs", "tools", "tool_choice", "response_format", "parallel_tool_calls"});
  else
    known.insert({"prompt"});
  body.only(known, "field");

  Completion completion;
  completion.chat = chat;
  completion.stream = body.flag("stream");
  if (body.has("stream_options"))
    completion.include_usage = Fields(body.at("stream_options"), "stream_options").flag("include_usage");
  if (body.integer("n", 1, 1, 1 << 20) != 1) bad_field("n", "'n' must be 1", "unsupported_field");
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
  completion.seed_given = body.has("seed");
  completion.return_token_ids = body.flag("return_token_ids");
  if (chat) {
    completion.tools = read_tools(body);
    job.sampling.grammar = read_response_format(body);
    if (!completion.tools.grammar.empty()) job.sampling.grammar = completion.tools.grammar;
  }
  if (!job.sampling.grammar.empty() && job.sampling.ignore_end)
    bad_field("ignore_eos", "'ignore_eos' cannot be kept with an output of a given form");

  if (chat) {
    job.prompt = model.tokenize(chat_prompt(body, completion.tools, model), true, true);
  } else if (body.has("prompt") && body.at("prompt").is_array()) {
    for (const Json& token : body.at("prompt")) {
      if (!token.is_number_integer() || token.get<std::int64_t>() < 0 ||
          token.get<std::int64_t>() >= model.vocabulary())
        bad_field("prompt", "'prompt' must be a text or a list of token ids");
      job.prompt.push_back(token.get<llama::Token>());
    }
  } else {
    if (!body.has("prompt")) bad_field("prompt", "'prompt' is missing");
    job.prompt = model.tokenize(body.text("prompt"));
  }
  if (job.prompt.empty()) bad_field(chat ? "messages" : "prompt", "the prompt is empty");

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
  read_resume(body, model, job);
  if (job.resumed >= job.max_tokens)
    bad_field("resume.token_ids", "'resume.token_ids' holds max_tokens or more");

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

}  // namespace ballast::serve
