// The CDR walker and the message readers never read out of bounds, whatever a peer sends.
#include "ballast/base/errors.h"
#include "ballast/robot/wire/announcer.h"
#include "ballast/robot/wire/cdr_walk.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ballast;
  if (size < 1) return 0;
  static const auto names = ros::TypeLibrary::standard().names();
  const ros::ByteView payload(data + 1, size - 1);
  try {
    ros::cdr_to_json(ros::TypeLibrary::standard(), names[data[0] % names.size()], payload);
  } catch (const InvalidInput&) {
  }
  try {
    ros::decode_discovery(payload);
  } catch (const InvalidInput&) {
  }
  try {
    ros::deserialize<sensor_msgs::PointCloud2>(payload);
  } catch (const InvalidInput&) {
  }
  return 0;
}
