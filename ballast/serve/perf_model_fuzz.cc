// Profiles: what is read has costs that never fall.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "ballast/base/errors.h"
#include "ballast/serve/perf_model.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ballast::serve;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const ballast::Json document = ballast::Json::parse(text, nullptr, false);
  if (document.is_discarded()) return 0;
  try {
    const PerfModel perf = PerfModel::from_json(document, "profile");
    BatchLoad load;
    load.add_chunk(16, 0);
    const double before = perf.step_ms(load);
    load.add_decode(1, 100);
    if (perf.step_ms(load) < before) __builtin_trap();  // costs never fall
    perf.max_chunk(load, 16, 64, 50);
  } catch (const ballast::InvalidInput&) {
  }
  return 0;
}
