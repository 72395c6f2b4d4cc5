// libFuzzer: the first byte picks a format, the rest is the file. Any outcome but a crash or a leak is right.
// BALLAST_FUZZ_FORMAT=gap keeps to one reader, for a run of a million inputs each (fuzz_readers.sh).
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/graph/formats/format.h"
#include "ballast/graph/formats/ldbc.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ballast::graph;
  if (size == 0) return 0;
  const std::string bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  static const char* const only = std::getenv("BALLAST_FUZZ_FORMAT");
  const Format* picked = &formats()[data[0] % formats().size()];
  for (const Format& one : formats()) {
    if (only != nullptr && one.name == only) picked = &one;
  }
  const Format& format = *picked;
  try {
    ReadOptions options;
    options.undirected = (data[0] & 128) != 0;
    options.sparse_ids = (data[0] & 64) != 0;
    if (format.name == "ldbc") {
      const auto half = bytes.find('\0');
      const std::string vertices = bytes.substr(0, half);
      const std::string edges = half == std::string::npos ? "" : bytes.substr(half + 1);
      parse_ldbc(memory_source("fuzz.v", vertices), memory_source("fuzz.e", edges), true);
    } else if (format.name == "bgr") {
      static const ballast::TemporaryFolder folder;
      const std::string path = folder.file("fuzz.bgr");
      ballast::write_file(path, bytes);
      read_graph(path);
    } else {
      format.read(memory_source("fuzz", bytes), options);
    }
  } catch (const ballast::InvalidInput&) {
  }
  return 0;
}
