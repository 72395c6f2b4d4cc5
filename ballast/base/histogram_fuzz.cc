// Any bytes are either refused by InvalidInput or read as a histogram or log that survives being written
// again.
#include <cstdint>
#include <string_view>

#include "ballast/base/errors.h"
#include "ballast/base/histogram.h"
#include "ballast/base/histogram_log.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    const auto histogram = ballast::Histogram::decode_bytes(bytes);
    BALLAST_CHECK(ballast::Histogram::decode_bytes(histogram.encode_bytes()) == histogram);
  } catch (const ballast::InvalidInput&) {
  }
  try {
    const auto log = ballast::HistogramLog::parse(bytes, "fuzz");
    BALLAST_CHECK(ballast::HistogramLog::parse(log.to_text(), "again").intervals.size() ==
                  log.intervals.size());
  } catch (const ballast::InvalidInput&) {
  }
  return 0;
}
