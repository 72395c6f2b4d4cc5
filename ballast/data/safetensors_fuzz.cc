#include <cstddef>
#include <cstdint>

#include "ballast/data/fuzz_feed.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ballast::data::feed_safetensors({reinterpret_cast<const char*>(data), size});
  return 0;
}
