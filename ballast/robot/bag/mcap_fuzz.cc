// The MCAP reader, strict and recovering, over any bytes.
#include "ballast/base/errors.h"
#include "ballast/robot/bag/mcap.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ballast;
  std::vector<std::uint8_t> bytes(bag::mcap::kMagic, bag::mcap::kMagic + 8);
  bytes.insert(bytes.end(), data, data + size);
  for (const bool recover : {false, true}) {
    try {
      bag::McapFile file(bytes, "fuzz", {.recover = recover, .check_crc = false});
      for (const auto& entry : file.messages()) file.data(entry);
    } catch (const InvalidInput&) {
    }
  }
  return 0;
}
