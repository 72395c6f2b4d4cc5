#include <cstddef>
#include <cstdint>

#include "ballast/base/errors.h"
#include "ballast/data/ycsb_properties.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    (void)ballast::data::ycsb_properties({reinterpret_cast<const char*>(data), size}, "fuzz");
  } catch (const ballast::InvalidInput&) {
  }
  return 0;
}
