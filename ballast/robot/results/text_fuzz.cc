// .msg, ROS IDL, bag metadata, graph files and published results: any text is read or refused.
#include <string>

#include "ballast/base/errors.h"
#include "ballast/robot/bag/metadata.h"
#include "ballast/robot/harness/graph_file.h"
#include "ballast/robot/results/published.h"
#include "ballast/robot/wire/type_description.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ballast;
  if (size < 1) return 0;
  const std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
  try {
    ros::TypeLibrary library;
    switch (data[0] % 5) {
      case 0:
        library.add_bundle("p/msg/M", text);
        break;
      case 1:
        library.add_idl_bundle("p/msg/M", text);
        break;
      case 2:
        bag::parse_metadata(text, "fuzz");
        break;
      case 3:
        robot::parse_graph(text, "fuzz");
        break;
      case 4:
        robot::parse_published(text, "fuzz");
        break;
    }
    if (library.find("p/msg/M")) ros::type_hash(library, "p/msg/M");
  } catch (const InvalidInput&) {
  }
  return 0;
}
