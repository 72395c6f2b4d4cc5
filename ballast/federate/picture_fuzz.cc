// Any bytes as a picture, grey and in colour: refused or read, and then with as many values as pixels.
#include <cstdlib>

#include "ballast/base/errors.h"
#include "ballast/federate/picture.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (const bool colour : {false, true}) {
    try {
      const auto picture = ballast::federate::decode_picture("fuzz", bytes, colour);
      const auto pixels = static_cast<std::size_t>(picture.width) * static_cast<std::size_t>(picture.height);
      if (picture.planes.size() != pixels * static_cast<std::size_t>(picture.channels)) std::abort();
    } catch (const ballast::InvalidInput&) {
    }
  }
  return 0;
}
