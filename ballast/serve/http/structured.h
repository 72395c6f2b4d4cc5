// Output of a given form: `response_format`, and calls of the client's tools.
//
// A form that must hold (json_object, json_schema, tool_choice "required" or a named tool) becomes a grammar
// of the sampler, so that no other text can be drawn. With tool_choice "auto" the model is free; a text that
// is a call of a known tool becomes one, any other stays text.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ballast/serve/http/fields.h"

namespace ballast::serve {

enum class ToolUse { none, may, must };

struct Tools {
  ToolUse use = ToolUse::none;
  std::vector<std::string> names;
  std::string prompt;   ///< told to the model as the system's first words; empty: nothing
  std::string grammar;  ///< when a call must come
};

/// Reads `tools` and `tool_choice`. Throws ApiError naming the field.
Tools read_tools(const Fields& body);
/// The grammar of `response_format`; empty for free text.
std::string read_response_format(const Fields& body);

struct ToolCall {
  std::string name;
  std::string arguments;  ///< a JSON text, as OpenAI's clients expect it
};
/// The calls that this text is, if it is nothing but calls of known tools: {"name": .., "arguments": {..}}, a
/// list of these, either perhaps between <tool_call> and </tool_call>.
std::vector<ToolCall> tool_calls_of(const std::string& text, const std::vector<std::string>& names);
/// Whether a text that begins like this can still become a call.
bool may_become_tool_call(const std::string& text);

}  // namespace ballast::serve
