// Lines of a run log, judged.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "ballast/base/errors.h"
#include "ballast/serve/load/run_log.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ballast::serve;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const ballast::Json line = ballast::Json::parse(text, nullptr, false);
  if (line.is_discarded()) return 0;
  try {
    const LoggedRequest request = LoggedRequest::from_json(line, "line");
    const LogVerdict verdict = judge(request);
    if (verdict.met_token && !verdict.met_mean) __builtin_trap();  // strict is stricter
    summarise({request});
  } catch (const ballast::InvalidInput&) {
  }
  return 0;
}
