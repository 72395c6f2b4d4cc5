#include "ballast/base/errors.h"
#include "ballast/robot/peers/fast_dds.h"

namespace ballast::robot {

struct FastDds::Impl {};

bool has_fast_dds() {
  return false;
}
FastDds::FastDds(std::uint32_t) {
  throw Unavailable("built without Fast DDS: install libfastrtps-dev and build again");
}
FastDds::~FastDds() = default;
void FastDds::open_writer(const std::string&, const std::string&) {}
void FastDds::open_reader(const std::string&, const std::string&) {}
int FastDds::matched_readers() const {
  return 0;
}
int FastDds::matched_writers() const {
  return 0;
}
void FastDds::publish(const std::vector<std::uint8_t>&) {}
std::optional<std::vector<std::uint8_t>> FastDds::take_within(std::chrono::milliseconds) {
  return std::nullopt;
}
void fast_echo(std::uint32_t domain) {
  FastDds{domain};
}
LatencySummary fast_ping(std::uint32_t domain, std::size_t, std::size_t) {
  FastDds{domain};
  return {};
}

}  // namespace ballast::robot
