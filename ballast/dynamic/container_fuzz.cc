// Any bytes are a compiled model's parts, or an InvalidInput; the checksum is put right half of the time, so
// that what lies behind it is reached.
#include <cstring>
#include <string>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/dynamic/compiler/container.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ballast;
  std::string bytes(reinterpret_cast<const char*>(data), size);
  if (size > 21 && data[size - 9] % 2 == 0) {
    const std::uint64_t sum = checksum64(std::string_view(bytes).substr(0, size - 8));
    std::memcpy(bytes.data() + size - 8, &sum, 8);
  }
  try {
    dynamic::parse_container(bytes, "fuzz");
  } catch (const InvalidInput&) {
  }
  return 0;
}
