#include "ballast/robot/wire/cdr.h"

#include <algorithm>

namespace ballast::ros {

CdrReader::CdrReader(ByteView bytes) : bytes_(bytes) {
  if (bytes.size() < kEncapsulation)
    throw InvalidInput::at_byte("CDR payload", bytes.size(), "shorter than its encapsulation of 4 bytes");
  if (bytes[0] != 0 || bytes[1] > 1)
    throw InvalidInput::at_byte("CDR payload", 0,
                                fmt::format("encapsulation {:02x} {:02x}", bytes[0], bytes[1]),
                                "00 00 or 00 01: plain CDR version 1");
  swap_ = bytes[1] == 0;
}

void CdrReader::fail(std::string_view problem) const {
  throw InvalidInput::at_byte("CDR payload", at_, problem);
}

const std::uint8_t* CdrReader::take(std::size_t size, std::size_t alignment) {
  const std::size_t over = (at_ - kEncapsulation) % alignment;
  const std::size_t start = at_ + (over == 0 ? 0 : alignment - over);
  if (start > bytes_.size() || size > bytes_.size() - start)
    fail(fmt::format("{} bytes expected where {} are left", size,
                     start > bytes_.size() ? 0 : bytes_.size() - start));
  at_ = start + size;
  return bytes_.data() + start;
}

void CdrReader::read(std::string& text) {
  std::uint32_t size = 0;
  read(size);
  if (size == 0) {  // some writers send an empty string without its terminator
    text.clear();
    return;
  }
  const auto* first = take(size, 1);
  if (first[size - 1] != 0) fail("a string without its terminating zero");
  text.assign(reinterpret_cast<const char*>(first), size - 1);
}

std::uint32_t CdrReader::read_count(std::size_t element_size) {
  std::uint32_t count = 0;
  read(count);
  if (count > left() / std::max<std::size_t>(element_size, 1))
    fail(fmt::format("a sequence of {} elements where {} bytes are left", count, left()));
  return count;
}

bool write_stamp(std::span<std::uint8_t> payload, std::int64_t nanoseconds) {
  if (payload.size() < kEncapsulation + 8 || payload[1] != 1) return false;
  const auto stamp = to_time(nanoseconds);
  std::memcpy(payload.data() + kEncapsulation, &stamp.sec, 4);
  std::memcpy(payload.data() + kEncapsulation + 4, &stamp.nanosec, 4);
  return true;
}

bool read_stamp(ByteView payload, std::int64_t& nanoseconds) {
  if (payload.size() < kEncapsulation + 8) return false;
  CdrReader reader(payload.first(kEncapsulation + 8));
  builtin_interfaces::Time stamp;
  reader.read(stamp);
  nanoseconds = to_nanoseconds(stamp);
  return true;
}

bool same_payload(ByteView a, ByteView b) {
  if (a.size() < kEncapsulation || b.size() < kEncapsulation) return false;
  if (!std::equal(a.begin(), a.begin() + 3, b.begin())) return false;
  // The writer may pad the end up to a multiple of four and say so in the option bits.
  const std::size_t real_a = a.size() - (a.size() % 4 == 0 ? a[3] & 3 : 0);
  const std::size_t real_b = b.size() - (b.size() % 4 == 0 ? b[3] & 3 : 0);
  const std::size_t real = std::min(real_a, real_b);
  return std::max(real_a, real_b) - real < 4 &&
         std::equal(a.begin() + kEncapsulation, a.begin() + static_cast<std::ptrdiff_t>(real),
                    b.begin() + kEncapsulation);
}

}  // namespace ballast::ros
