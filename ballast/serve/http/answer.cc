#include "ballast/serve/http/answer.h"

#include <fmt/format.h>

#include "ballast/serve/text_assembler.h"

namespace ballast::serve {

Answer::Answer(const Completion& completion, const ApiSettings& settings, const llama::Model& model,
               const std::string& id, std::int64_t created)
    : chat_(completion.chat),
      stream_(completion.stream),
      include_usage_(completion.include_usage),
      return_token_ids_(completion.return_token_ids),
      wants_logprobs_(completion.job.top_logprobs >= 0),
      tools_(completion.tools),
      id_(fmt::format("{}-{}", completion.chat ? "chatcmpl" : "cmpl", id)),
      model_name_(settings.model_name),
      model_(model),
      created_(created) {}

std::string Answer::event_of(const Json& json) {
  return "data: " + json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n\n";
}

Json Answer::logprobs_json() const {
  if (!wants_logprobs_) return nullptr;
  auto entry = [&](llama::Token token, double logprob) {
    const std::string piece = model_.piece(token, true);
    Json bytes = Json::array();
    for (const char c : piece) bytes.push_back(static_cast<unsigned char>(c));
    return Json{{"token", valid_utf8(piece)}, {"logprob", logprob}, {"bytes", bytes}};
  };
  if (chat_) {
    Json content = Json::array();
    for (const llama::TokenLogprob& one : logprobs_) {
      Json item = entry(one.token, one.logprob);
      item["top_logprobs"] = Json::array();
      for (const auto& [token, logprob] : one.top) item["top_logprobs"].push_back(entry(token, logprob));
      content.push_back(std::move(item));
    }
    return {{"content", content}, {"refusal", nullptr}};
  }
  Json result{{"tokens", Json::array()}, {"token_logprobs", Json::array()}, {"top_logprobs", Json::array()}};
  for (const llama::TokenLogprob& one : logprobs_) {
    result["tokens"].push_back(valid_utf8(model_.piece(one.token, true)));
    result["token_logprobs"].push_back(one.logprob);
    Json top = Json::object();
    for (const auto& [token, logprob] : one.top) top[valid_utf8(model_.piece(token, true))] = logprob;
    result["top_logprobs"].push_back(std::move(top));
  }
  return result;
}

Json Answer::chunk(Json delta, const char* finish) {
  Json choice{{"index", 0}};
  if (chat_)
    choice["delta"] = std::move(delta);
  else
    choice["text"] = delta.value("content", "");
  choice["logprobs"] = logprobs_.empty() ? Json(nullptr) : logprobs_json();
  logprobs_.clear();
  choice["finish_reason"] = finish != nullptr ? Json(finish) : Json(nullptr);
  Json document{{"id", id_},
                {"object", chat_ ? "chat.completion.chunk" : "text_completion"},
                {"created", created_},
                {"model", model_name_},
                {"choices", Json::array({choice})}};
  if (return_token_ids_) document["token_ids"] = std::exchange(tokens_, {});
  return document;
}

std::string Answer::flush(const std::string& text) {
  if (text.empty()) return {};
  Json delta = Json::object();
  if (chat_ && first_) delta["role"] = "assistant";
  first_ = false;
  delta["content"] = text;
  return event_of(chunk(std::move(delta), nullptr));
}

std::string Answer::text_chunk(const Event& event) {
  text_ += event.text;
  if (return_token_ids_) tokens_.insert(tokens_.end(), event.tokens.begin(), event.tokens.end());
  logprobs_.insert(logprobs_.end(), event.logprobs.begin(), event.logprobs.end());
  if (!stream_) return {};
  if (tools_.use == ToolUse::must || (tools_.use == ToolUse::may && may_become_tool_call(text_))) {
    kept_ += event.text;
    return {};
  }
  return flush(std::exchange(kept_, {}) + event.text);
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

Json Answer::tool_calls_json(const std::vector<ToolCall>& calls, bool indexed) const {
  Json list = Json::array();
  for (std::size_t i = 0; i < calls.size(); ++i) {
    Json call{{"id", fmt::format("call_{}_{}", id_, i)},
              {"type", "function"},
              {"function", {{"name", calls[i].name}, {"arguments", calls[i].arguments}}}};
    if (indexed) call["index"] = i;
    list.push_back(std::move(call));
  }
  return list;
}

std::string Answer::last_chunks(const Event& done) {
  std::string events;
  std::string finish = finish_word(done);
  Event rest;
  rest.text = done.text;
  events += text_chunk(rest);
  if (!kept_.empty()) {
    const auto calls = finish == "stop" ? tool_calls_of(kept_, tools_.names) : std::vector<ToolCall>();
    if (calls.empty()) {
      events += flush(kept_);
    } else {
      events += event_of(
          chunk({{"role", "assistant"}, {"content", nullptr}, {"tool_calls", tool_calls_json(calls, true)}},
                nullptr));
      finish = "tool_calls";
    }
    kept_.clear();
  }
  if (finish == "error") {
    const ApiError error(
        500, done.finish_reason,
        "the request ended early: " + (done.reason.empty() ? done.finish_reason : done.reason));
    return events + event_of(error.to_json());
  }
  events += event_of(chunk(Json::object(), finish.c_str()));
  if (include_usage_) {
    Json last = chunk(Json::object(), nullptr);
    last["choices"] = Json::array();
    last["usage"] = usage(done);
    events += event_of(last);
  }
  return events + "data: [DONE]\n\n";
}

Json Answer::whole(const Event& done) {
  const std::string text = text_ + done.text;
  std::string finish = finish_word(done);
  Json choice{{"index", 0}};
  if (chat_) {
    const auto calls = tools_.use != ToolUse::none && finish == "stop" ? tool_calls_of(text, tools_.names)
                                                                       : std::vector<ToolCall>();
    choice["message"] = {{"role", "assistant"}, {"content", calls.empty() ? Json(text) : Json(nullptr)}};
    if (!calls.empty()) {
      choice["message"]["tool_calls"] = tool_calls_json(calls, false);
      finish = "tool_calls";
    }
  } else {
    choice["text"] = text;
  }
  choice["logprobs"] = logprobs_json();
  choice["finish_reason"] = finish;
  Json document{{"id", id_},
                {"object", chat_ ? "chat.completion" : "text_completion"},
                {"created", created_},
                {"model", model_name_},
                {"choices", Json::array({choice})},
                {"usage", usage(done)}};
  if (return_token_ids_) document["token_ids"] = tokens_;
  return document;
}

}  // namespace ballast::serve
