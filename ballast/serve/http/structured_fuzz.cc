// Bodies to fields, response formats, JSON schemas as grammars, and texts to tool calls.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "ballast/serve/http/structured.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ballast::serve;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const Json body = parse_body(text);
    const Fields fields(body, "");
    read_response_format(fields);
    read_tools(fields);
  } catch (const ApiError& error) {
    if (error.status / 100 != 4) __builtin_trap();
  }
  const std::string whole(text);
  const auto calls = tool_calls_of(whole, {"f", "weather"});
  if (!calls.empty() && !may_become_tool_call(whole)) __builtin_trap();
  return 0;
}
