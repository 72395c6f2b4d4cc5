#include <cstddef>
#include <cstdint>

#include "ballast/index/fuzz_feed.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ballast::index::feed_messages({reinterpret_cast<const char*>(data), size});
  return 0;
}
