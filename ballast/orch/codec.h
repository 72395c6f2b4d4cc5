// How values of a task class look on the wire. Trivially copyable types travel as their bytes (empty ones as
// none), strings and vectors of plain values behind their length; any other type brings
//
//   std::size_t encoded_size() const;  void encode(cluster::Buffer&) const;  static T
//   decode(cluster::Reader&);
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "ballast/cluster/message.h"

namespace ballast::orch {

using cluster::Buffer;
using cluster::Reader;

template <typename T>
concept SelfCoding = requires(const T& value, Buffer& out, Reader& in) {
  { value.encoded_size() } -> std::convertible_to<std::size_t>;
  value.encode(out);
  { T::decode(in) } -> std::same_as<T>;
};

template <typename T>
struct Wire {
  static_assert(std::is_trivially_copyable_v<T>,
                "give encoded_size/encode/decode for types that are not plain bytes");
  static constexpr bool kFixed = true;
  static constexpr std::size_t kBytes = std::is_empty_v<T> ? 0 : sizeof(T);
  static constexpr std::size_t size(const T&) { return kBytes; }
  static void put(Buffer& out, const T& value) {
    if constexpr (kBytes > 0) out.put(value);
  }
  static T get(Reader& in) {
    if constexpr (kBytes > 0) return in.get<T>();
    return T{};
  }
};

template <SelfCoding T>
struct Wire<T> {
  static constexpr bool kFixed = false;
  static std::size_t size(const T& value) { return value.encoded_size(); }
  static void put(Buffer& out, const T& value) { value.encode(out); }
  static T get(Reader& in) { return T::decode(in); }
};

inline std::size_t varint_size(std::uint64_t value) {
  std::size_t bytes = 1;
  while (value >= 0x80) {
    value >>= 7;
    ++bytes;
  }
  return bytes;
}

template <>
struct Wire<std::string> {
  static constexpr bool kFixed = false;
  static std::size_t size(const std::string& value) { return varint_size(value.size()) + value.size(); }
  static void put(Buffer& out, const std::string& value) {
    out.put_varint(value.size());
    out.append(value.data(), value.size());
  }
  static std::string get(Reader& in) {
    const auto bytes = in.take(in.get_varint());
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
};

template <typename T>
requires std::is_trivially_copyable_v<T>
struct Wire<std::vector<T>> {
  static constexpr bool kFixed = false;
  static std::size_t size(const std::vector<T>& value) {
    return varint_size(value.size()) + value.size() * sizeof(T);
  }
  static void put(Buffer& out, const std::vector<T>& value) {
    out.put_varint(value.size());
    out.append(value.data(), value.size() * sizeof(T));
  }
  static std::vector<T> get(Reader& in) {
    const std::uint64_t count = in.get_varint();
    if (count > in.left() / sizeof(T)) throw InvalidInput("a message ends in the middle of a vector");
    std::vector<T> value(count);
    const auto bytes = in.take(count * sizeof(T));
    if (count > 0) std::memcpy(value.data(), bytes.data(), bytes.size());
    return value;
  }
};

/// The largest key and context that a batch takes.
inline constexpr std::size_t kMostKeyBytes = 255;
inline constexpr std::size_t kMostContextBytes = std::size_t{64} << 10;

}  // namespace ballast::orch
