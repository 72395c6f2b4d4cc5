// A rosbag2 sqlite3 file of any bytes, strict and recovering.
#include <cstdint>
#include <string>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/robot/bag/bag.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ballast;
  static const TemporaryFolder folder;
  const std::string file = folder.path() + "/fuzz.db3";
  // Half of the inputs get sqlite's head, without which nothing further is looked at.
  std::string bytes(reinterpret_cast<const char*>(data), size);
  if (size > 16 && data[0] % 2 == 0) bytes.replace(0, 16, std::string("SQLite format 3\0", 16));
  write_file(file, bytes);
  for (const bool recover : {false, true}) {
    try {
      const auto bag = bag::open(file, {.recover = recover});
      while (const auto message = bag->next()) {
      }
    } catch (const InvalidInput&) {
    } catch (const Unavailable&) {
    }
  }
  return 0;
}
