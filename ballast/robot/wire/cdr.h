// CDR version 1, little-endian, as ROS 2 writes it: four bytes of encapsulation, then the fields, each
// aligned to its own size counted from behind the encapsulation.
//
//   std::vector<std::uint8_t> bytes = serialize(image);
//   auto image = deserialize<sensor_msgs::Image>(bytes);     // throws InvalidInput naming the byte
//
// Reading never goes past the end and never allocates more than the bytes that are left could fill.
#pragma once

#include <fmt/format.h>

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "ballast/base/errors.h"
#include "ballast/robot/wire/messages.h"

namespace ballast::ros {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;

inline constexpr std::size_t kEncapsulation = 4;
/// CDR version 1, little-endian, no padding.
inline constexpr std::array<std::uint8_t, 4> kCdrLittleEndian{0, 1, 0, 0};

static_assert(std::endian::native == std::endian::little, "big-endian hosts are not supported");

class CdrWriter {
 public:
  explicit CdrWriter(Bytes& out) : out_(out) {
    out_.assign(kCdrLittleEndian.begin(), kCdrLittleEndian.end());
  }

  template <typename T>
  void operator()(const char*, const T& value) {
    write(value);
  }

  template <typename T>
  void write(const T& value) {
    if constexpr (std::is_arithmetic_v<T>) {
      align(sizeof(T));
      append(&value, sizeof(T));
    } else {
      T::visit(value, *this);
    }
  }
  void write(const std::string& text) {
    write(static_cast<std::uint32_t>(text.size() + 1));
    append(text.c_str(), text.size() + 1);
  }
  template <std::size_t kBound>
  void write(const BoundedString<kBound>& value) {
    if (value.text.size() > kBound)
      throw InvalidInput(
          fmt::format("a string of {} bytes in a field bounded to {}", value.text.size(), kBound));
    write(value.text);
  }
  template <typename T, std::size_t kSize>
  void write(const std::array<T, kSize>& values) {
    write_all(values.data(), kSize);
  }
  template <typename T>
  void write(const std::vector<T>& values) {
    write(static_cast<std::uint32_t>(values.size()));
    write_all(values.data(), values.size());
  }

 private:
  void align(std::size_t size) {
    const std::size_t over = (out_.size() - kEncapsulation) % size;
    if (over != 0) out_.resize(out_.size() + size - over);
  }
  void append(const void* bytes, std::size_t size) {
    const auto* first = static_cast<const std::uint8_t*>(bytes);
    out_.insert(out_.end(), first, first + size);
  }
  template <typename T>
  void write_all(const T* values, std::size_t count) {
    if constexpr (std::is_arithmetic_v<T>) {
      if (count == 0) return;
      align(sizeof(T));
      append(values, count * sizeof(T));
    } else {
      for (std::size_t i = 0; i < count; ++i) write(values[i]);
    }
  }
  Bytes& out_;
};

/// The fewest bytes that a T takes on the wire: bounds what a hostile length can make us allocate.
template <typename T>
std::size_t smallest_size();

namespace internal {
struct SmallestSize {
  std::size_t& total;
  template <typename T>
  void operator()(const char*, const T&) {
    total += smallest_size<T>();
  }
};
template <typename T>
struct Smallest {
  static std::size_t of() {
    if constexpr (std::is_arithmetic_v<T>) {
      return sizeof(T);
    } else {
      std::size_t total = 0;
      const T value{};
      T::visit(value, SmallestSize{total});
      return total;
    }
  }
};
template <>
struct Smallest<std::string> {
  static std::size_t of() { return 4; }
};
template <std::size_t kBound>
struct Smallest<BoundedString<kBound>> {
  static std::size_t of() { return 4; }
};
template <typename T>
struct Smallest<std::vector<T>> {
  static std::size_t of() { return 4; }
};
template <typename T, std::size_t kSize>
struct Smallest<std::array<T, kSize>> {
  static std::size_t of() { return kSize * smallest_size<T>(); }
};
}  // namespace internal

template <typename T>
std::size_t smallest_size() {
  static const std::size_t size = internal::Smallest<T>::of();
  return size;
}

class CdrReader {
 public:
  /// Throws InvalidInput when the encapsulation is not plain CDR version 1.
  explicit CdrReader(ByteView bytes);

  template <typename T>
  void operator()(const char*, T& value) {
    read(value);
  }

  template <typename T>
  void read(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      value = *take(1, 1) != 0;
    } else if constexpr (std::is_arithmetic_v<T>) {
      std::memcpy(&value, take(sizeof(T), sizeof(T)), sizeof(T));
      if (swap_) value = swapped(value);
    } else {
      T::visit(value, *this);
    }
  }
  void read(std::string& text);
  template <std::size_t kBound>
  void read(BoundedString<kBound>& value) {
    read(value.text);
    if (value.text.size() > kBound) fail("a string longer than its bound");
  }
  template <typename T, std::size_t kSize>
  void read(std::array<T, kSize>& values) {
    read_all(values.data(), kSize);
  }
  template <typename T>
  void read(std::vector<T>& values) {
    values.resize(read_count(smallest_size<T>()));
    read_all(values.data(), values.size());
  }

  /// A sequence's length, refused when so many elements of `element_size` bytes cannot follow.
  std::uint32_t read_count(std::size_t element_size);
  /// Aligns and returns the next `size` bytes, having checked that they are there.
  const std::uint8_t* take(std::size_t size, std::size_t alignment);
  /// From the start of the payload (encapsulation included).
  std::size_t offset() const { return at_; }
  std::size_t left() const { return bytes_.size() - at_; }
  bool swapped_order() const { return swap_; }
  [[noreturn]] void fail(std::string_view problem) const;

 private:
  template <typename T>
  static T swapped(T value) {
    auto raw = std::bit_cast<std::array<std::uint8_t, sizeof(T)>>(value);
    for (std::size_t i = 0; i < sizeof(T) / 2; ++i) std::swap(raw[i], raw[sizeof(T) - 1 - i]);
    return std::bit_cast<T>(raw);
  }
  template <typename T>
  void read_all(T* values, std::size_t count) {
    if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) {
      if (count == 0) return;
      std::memcpy(values, take(count * sizeof(T), sizeof(T)), count * sizeof(T));
      if (swap_ && sizeof(T) > 1)
        for (std::size_t i = 0; i < count; ++i) values[i] = swapped(values[i]);
    } else {
      for (std::size_t i = 0; i < count; ++i) read(values[i]);
    }
  }
  ByteView bytes_;
  std::size_t at_ = kEncapsulation;
  bool swap_ = false;
};

template <typename Message>
void serialize_into(const Message& message, Bytes& out) {
  CdrWriter writer(out);
  Message::visit(message, writer);
}

template <typename Message>
Bytes serialize(const Message& message) {
  Bytes out;
  serialize_into(message, out);
  return out;
}

template <typename Message>
void deserialize_into(ByteView bytes, Message& message) {
  CdrReader reader(bytes);
  Message::visit(message, reader);
}

template <typename Message>
Message deserialize(ByteView bytes) {
  Message message;
  deserialize_into(bytes, message);
  return message;
}

/// Where the stamp of a message whose first field is a std_msgs/Header lies: bytes 4..11. Both refuse (false,
/// nullopt-like 0 result) payloads that are too short.
bool write_stamp(std::span<std::uint8_t> payload, std::int64_t nanoseconds);
bool read_stamp(ByteView payload, std::int64_t& nanoseconds);

/// Payloads are equal when only the two option bits that count padding differ.
bool same_payload(ByteView a, ByteView b);

}  // namespace ballast::ros
