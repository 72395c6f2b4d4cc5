// One description of a type's fields, used to write and to read it: checkpoints, tasks and results.
//
//   struct Point { int x, y; void archive(Archive& a) { a & x & y; } };
//   Archive out;            out & point;      store(out.bytes());
//   Archive in(bytes);      in & point;       in.expect_end();
//
// Numbers are little-endian and fixed in width. Reading never trusts a length: a vector that claims more
// elements than bytes are left throws InvalidInput, as does an early end.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "ballast/base/errors.h"

namespace ballast::federate {

class Archive {
 public:
  /// Writes.
  Archive() = default;
  /// Reads from `bytes`, which must outlive the archive.
  explicit Archive(std::string_view bytes) : writing_(false), left_(bytes) {}

  bool writing() const { return writing_; }
  const std::string& bytes() const { return bytes_; }
  /// Throws InvalidInput when something is left unread.
  void expect_end() const {
    if (!left_.empty()) throw InvalidInput("a record holds more bytes than its fields");
  }

  template <typename T>
  Archive& operator&(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      std::uint8_t byte = value ? 1 : 0;
      raw(&byte, 1);
      value = byte != 0;
    } else if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
      static_assert(std::endian::native == std::endian::little);
      raw(&value, sizeof(T));
    } else {
      value.archive(*this);
    }
    return *this;
  }
  Archive& operator&(std::string& text) {
    const std::uint64_t size = length(text.size(), 1);
    text.resize(size);
    raw(text.data(), size);
    return *this;
  }
  template <typename T>
  Archive& operator&(std::vector<T>& values) {
    if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) {
      const std::uint64_t size = length(values.size(), sizeof(T));
      values.resize(size);
      if (size > 0) raw(values.data(), size * sizeof(T));
    } else {
      const std::uint64_t size = length(values.size(), 1);
      values.resize(size);
      for (auto& value : values) *this& value;
    }
    return *this;
  }
  template <typename T, std::size_t N>
  Archive& operator&(std::array<T, N>& values) {
    for (T& value : values) *this& value;
    return *this;
  }
  template <typename K, typename V>
  Archive& operator&(std::map<K, V>& map) {
    const std::uint64_t size = length(map.size(), 1);
    if (writing_) {
      for (auto& [key, value] : map) {
        K copy = key;
        *this& copy& value;
      }
      return *this;
    }
    map.clear();
    for (std::uint64_t i = 0; i < size; ++i) {
      K key{};
      *this& key;
      *this& map[std::move(key)];
    }
    return *this;
  }
  template <typename A, typename B>
  Archive& operator&(std::pair<A, B>& pair) {
    return *this & pair.first & pair.second;
  }
  template <typename T>
  Archive& operator&(std::optional<T>& value) {
    bool there = value.has_value();
    *this& there;
    if (!there) {
      value.reset();
    } else {
      if (!value) value.emplace();
      *this&* value;
    }
    return *this;
  }

 private:
  std::uint64_t length(std::size_t present, std::size_t element_bytes) {
    std::uint64_t size = present;
    *this& size;
    if (!writing_ && size > left_.size() / element_bytes) {
      throw InvalidInput("a record claims more elements than it has bytes");
    }
    return size;
  }
  void raw(void* data, std::size_t size) {
    if (writing_) {
      bytes_.append(static_cast<const char*>(data), size);
      return;
    }
    if (size > left_.size()) throw InvalidInput("a record ends in the middle of a field");
    if (size > 0) std::memcpy(data, left_.data(), size);
    left_.remove_prefix(size);
  }

  bool writing_ = true;
  std::string bytes_;
  std::string_view left_;
};

/// The bytes of a value, and the value of bytes (all of them, or InvalidInput).
template <typename T>
std::string to_bytes(T value) {
  Archive archive;
  archive& value;
  return archive.bytes();
}
template <typename T>
T from_bytes(std::string_view bytes) {
  T value{};
  Archive archive(bytes);
  archive& value;
  archive.expect_end();
  return value;
}

}  // namespace ballast::federate
