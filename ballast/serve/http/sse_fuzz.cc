// Events of a stream do not depend on how its bytes are cut.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "ballast/serve/http/sse.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ballast::serve;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  SseSplitter whole, bytewise;
  const auto events = whole.add(text);
  std::vector<std::string> single;
  for (const char c : text) {
    for (std::string& event : bytewise.add({&c, 1})) single.push_back(std::move(event));
  }
  if (events != single) __builtin_trap();
  return 0;
}
