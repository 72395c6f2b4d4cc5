#include "ballast/tune/instructions.h"

#include <fmt/format.h>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/json.h"

namespace ballast::tune {
namespace {

constexpr const char* kForms =
    "objects with instruction/output, prompt/completion, messages, or text, whose values are strings";

std::string text_of(const Json& json, const char* key) {
  return json.contains(key) && json[key].is_string() ? json[key].get<std::string>() : std::string();
}

// False when the object has none of the known forms.
bool convert(const Json& json, Instruction& out) {
  if (!json.is_object()) return false;
  if (json.contains("instruction") && json.contains("output")) {
    out = {text_of(json, "instruction"), text_of(json, "output")};
    if (const std::string input = text_of(json, "input"); !input.empty()) out.prompt += "\n\n" + input;
    return !out.prompt.empty() && !out.answer.empty();
  }
  if (json.contains("prompt") && json.contains("completion")) {
    out = {text_of(json, "prompt"), text_of(json, "completion")};
    return !out.prompt.empty() && !out.answer.empty();
  }
  if (json.contains("messages") && json["messages"].is_array() && json["messages"].size() >= 2) {
    const Json& messages = json["messages"];
    for (std::size_t i = 0; i + 1 < messages.size(); ++i) {
      if (!messages[i].is_object()) return false;
      out.prompt += (i > 0 ? "\n\n" : "") + text_of(messages[i], "content");
    }
    out.answer = messages.back().is_object() ? text_of(messages.back(), "content") : std::string();
    return !out.prompt.empty() && !out.answer.empty();
  }
  out = {"", text_of(json, "text")};
  return !out.answer.empty();
}

}  // namespace

std::vector<Instruction> read_instructions(const std::string& path) {
  const std::string content = read_file(path);
  std::vector<Instruction> list;
  std::uint64_t line = 0;
  for (std::size_t first = 0; first < content.size();) {
    const std::size_t end = std::min(content.find('\n', first), content.size());
    const std::string_view text(content.data() + first, end - first);
    ++line;
    first = end + 1;
    if (text.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (json.is_discarded()) throw InvalidInput::at(path, line, "not JSON", kForms);
    Instruction instruction;
    if (!convert(json, instruction)) throw InvalidInput::at(path, line, "a sample of no known form", kForms);
    list.push_back(std::move(instruction));
  }
  if (list.empty()) throw InvalidInput(path, "a file without samples", kForms);
  return list;
}

void write_instructions(const std::string& path, const std::vector<Instruction>& list) {
  AtomicFile file(path);
  for (const Instruction& instruction : list) {
    const Json json = instruction.prompt.empty()
                          ? Json{{"text", instruction.answer}}
                          : Json{{"prompt", instruction.prompt}, {"completion", instruction.answer}};
    file.write(json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  }
  file.commit();
}

}  // namespace ballast::tune
