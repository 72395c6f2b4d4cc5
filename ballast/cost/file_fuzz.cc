// Any text is either refused by InvalidInput or read as a model or workload that survives being written or
// simulated.
#include <cstdint>
#include <string>
#include <string_view>

#include "ballast/base/errors.h"
#include "ballast/cost/file.h"
#include "ballast/cost/timeline_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const auto model = ballast::cost::parse_model(text, "fuzz");
    const auto again = ballast::cost::parse_model(ballast::cost::to_yaml(model), "again");
    BALLAST_CHECK(ballast::cost::to_json(again).dump() == ballast::cost::to_json(model).dump());
  } catch (const ballast::InvalidInput&) {
  }
  try {
    const auto workload = ballast::cost::parse_workload(text, "fuzz");
    ballast::cost::simulate(workload);
  } catch (const ballast::InvalidInput&) {
  }
  return 0;
}
