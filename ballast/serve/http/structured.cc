#include "ballast/serve/http/structured.h"

#include <fmt/format.h>

#include <algorithm>

#include "ballast/base/errors.h"
#include "ballast/llama/json_grammar.h"

namespace ballast::serve {
namespace {

constexpr std::string_view kOpen = "<tool_call>", kClose = "</tool_call>";

std::string grammar_of(const Json& schema, const std::string& param) {
  try {
    return llama::json_grammar(schema);
  } catch (const InvalidInput& mistake) {
    throw ApiError(400, "invalid_schema", mistake.what(), param);
  }
}

// A tool's parameters lie deeper in the grammar's schema than in its own.
void move_references(Json& schema, const std::string& to) {
  if (schema.is_array()) {
    for (Json& item : schema) move_references(item, to);
  } else if (schema.is_object()) {
    for (auto& [key, value] : schema.items()) {
      if (key == "$ref" && value.is_string() && value.get_ref<const std::string&>().starts_with("#"))
        value = to + value.get<std::string>().substr(1);
      else
        move_references(value, to);
    }
  }
}

Json call_schema(const Json& functions) {
  Json calls = Json::array();
  for (const Json& function : functions) {
    Json parameters = function.value("parameters", Json{{"type", "object"}});
    move_references(parameters, fmt::format("#/anyOf/{}/properties/arguments", calls.size()));
    calls.push_back({{"type", "object"},
                     {"properties", {{"name", {{"const", function.at("name")}}}, {"arguments", parameters}}},
                     {"required", {"name", "arguments"}}});
  }
  return {{"anyOf", calls}};
}

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

}  // namespace

Tools read_tools(const Fields& body) {
  Tools tools;
  const bool given = body.has("tools") && !(body.at("tools").is_array() && body.at("tools").empty());
  Json functions = Json::array();
  if (given) {
    const Json& list = body.at("tools");
    if (!list.is_array() || list.size() > 64)
      bad_field("tools", "'tools' must be a list of at most 64 tools");
    for (std::size_t i = 0; i < list.size(); ++i) {
      const std::string where = fmt::format("tools[{}]", i);
      const Fields tool(list[i], where);
      if (tool.text("type") != "function" || !tool.has("function"))
        bad_field("tools", fmt::format("'{}' must be of type 'function'", where));
      const Fields function(tool.at("function"), where + ".function");
      const std::string name = function.text("name");
      if (name.empty())
        bad_field(where + ".function.name", fmt::format("'{}.function.name' is missing", where));
      tools.names.push_back(name);
      functions.push_back(tool.at("function"));
    }
    tools.use = ToolUse::may;
  }
  if (body.has("tool_choice")) {
    const Json& choice = body.at("tool_choice");
    if (choice.is_string()) {
      const std::string word = choice.get<std::string>();
      if (word != "none" && word != "auto" && word != "required")
        bad_field("tool_choice",
                  fmt::format("'tool_choice' is '{}'; accepted: none, auto, required, or a function", word));
      if (!given && word == "required")
        bad_field("tool_choice", "'tool_choice' is 'required', but there are no 'tools'");
      if (word == "required") tools.use = ToolUse::must;
      if (word == "none") return {};
    } else {
      const Fields named(choice, "tool_choice");
      const std::string name =
          named.has("function") ? Fields(named.at("function"), "tool_choice.function").text("name") : "";
      const auto found = std::find(tools.names.begin(), tools.names.end(), name);
      if (found == tools.names.end())
        bad_field("tool_choice", fmt::format("'tool_choice' names '{}', which is none of the 'tools'", name));
      const Json only = functions.at(static_cast<std::size_t>(found - tools.names.begin()));
      functions = Json::array({only});
      tools.names = {name};
      tools.use = ToolUse::must;
    }
  }
  if (tools.use == ToolUse::none) return tools;
  tools.prompt = "You may call one of these tools:\n";
  for (const Json& function : functions) tools.prompt += function.dump() + "\n";
  tools.prompt += "To call one, answer with {\"name\": ..., \"arguments\": {...}} and nothing else.";
  if (tools.use == ToolUse::must) tools.grammar = grammar_of(call_schema(functions), "tools");
  return tools;
}

std::string read_response_format(const Fields& body) {
  if (!body.has("response_format")) return {};
  const Fields format(body.at("response_format"), "response_format");
  const std::string type = format.text("type");
  if (type == "text") return {};
  if (type == "json_object") return llama::json_object_grammar();
  if (type != "json_schema")
    bad_field("response_format.type",
              fmt::format("'response_format.type' is '{}'; accepted: text, json_object, json_schema", type));
  if (!format.has("json_schema"))
    bad_field("response_format.json_schema", "'response_format.json_schema' is missing");
  const Fields inner(format.at("json_schema"), "response_format.json_schema");
  if (!inner.has("schema"))
    bad_field("response_format.json_schema.schema", "'response_format.json_schema.schema' is missing");
  return grammar_of(inner.at("schema"), "response_format.json_schema.schema");
}

std::vector<ToolCall> tool_calls_of(const std::string& text, const std::vector<std::string>& names) {
  std::string_view rest = trimmed(text);
  std::vector<ToolCall> calls;
  auto take = [&](const Json& call) {
    if (!call.is_object() || !call.contains("name") || !call.at("name").is_string()) return false;
    const std::string name = call.at("name").get<std::string>();
    if (std::find(names.begin(), names.end(), name) == names.end()) return false;
    const Json arguments = call.value("arguments", call.value("parameters", Json::object()));
    calls.push_back({name, arguments.is_string() ? arguments.get<std::string>() : arguments.dump()});
    return true;
  };
  while (!rest.empty()) {
    std::string_view one = rest;
    if (rest.starts_with(kOpen)) {
      const auto end = rest.find(kClose);
      one = rest.substr(kOpen.size(), end == std::string_view::npos ? end : end - kOpen.size());
      rest = end == std::string_view::npos ? std::string_view() : trimmed(rest.substr(end + kClose.size()));
    } else {
      rest = {};
    }
    Json json;
    try {
      json = parse_body(one);
    } catch (const ApiError&) {
      return {};
    }
    if (!json.is_array()) json = Json::array({json});
    for (const Json& call : json) {
      if (!take(call)) return {};
    }
  }
  return calls;
}

bool may_become_tool_call(const std::string& text) {
  const std::string_view begin = trimmed(text);
  if (begin.empty() || begin.front() == '{' || begin.front() == '[') return true;
  return begin.size() < kOpen.size() ? kOpen.starts_with(begin) : begin.starts_with(kOpen);
}

}  // namespace ballast::serve
