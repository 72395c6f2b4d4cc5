// The documents of one answer in OpenAI's form: the whole, or event by event.
#pragma once

#include <string>
#include <vector>

#include "ballast/serve/http/api.h"

namespace ballast::serve {

class Answer {
 public:
  /// `id`: of the answer, without its prefix.
  Answer(const Completion& completion, const ApiSettings& settings, const llama::Model& model,
         const std::string& id, std::int64_t created);
  const std::string& id() const { return id_; }

  /// One SSE event ("data: {...}\n\n") for this text (of a request that streams), or an empty string when
  /// there is nothing to show. Text that may still become a tool call is kept back.
  std::string text_chunk(const Event& event);
  /// The last events: what was kept back, finish reason, usage if asked for, and [DONE].
  std::string last_chunks(const Event& done);
  /// The whole answer of a request that does not stream; call text_chunk for every event before.
  Json whole(const Event& done);
  static std::string event_of(const Json& json);

 private:
  Json chunk(Json delta, const char* finish);
  Json usage(const Event& done) const;
  std::string finish_word(const Event& done) const;
  Json logprobs_json() const;
  std::string flush(const std::string& text);
  Json tool_calls_json(const std::vector<ToolCall>& calls, bool indexed) const;

  bool chat_, stream_, include_usage_, return_token_ids_, wants_logprobs_;
  Tools tools_;
  std::string id_, model_name_, text_, kept_;
  const llama::Model& model_;
  std::int64_t created_;
  bool first_ = true;
  std::vector<llama::Token> tokens_;           ///< not yet in a chunk
  std::vector<llama::TokenLogprob> logprobs_;  ///< not yet in a chunk
};

}  // namespace ballast::serve
