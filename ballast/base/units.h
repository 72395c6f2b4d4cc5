// Quantities with their unit in the type, and their text form.
//
//   Bytes limit = Bytes::parse("64 MiB");        // also "64m", "1.5GB", "4096"
//   to_string(Bytes{1536})                       // "1.5 KiB"
//   format_count(1'250'000)                      // "1.25 M"
//   format_seconds(0.00042)                      // "420 us"
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace ballast {

struct Bytes {
  std::uint64_t count = 0;

  /// Decimal suffixes (kB, MB, GB) are powers of 1000, binary ones (KiB, MiB, GiB, or a bare k, m, g) of
  /// 1024.
  static Bytes parse(std::string_view text);
  static constexpr Bytes kib(std::uint64_t n) { return {n << 10}; }
  static constexpr Bytes mib(std::uint64_t n) { return {n << 20}; }
  static constexpr Bytes gib(std::uint64_t n) { return {n << 30}; }

  auto operator<=>(const Bytes&) const = default;
  constexpr Bytes operator+(Bytes other) const { return {count + other.count}; }
  constexpr Bytes& operator+=(Bytes other) {
    count += other.count;
    return *this;
  }
};

std::string to_string(Bytes bytes);

/// Parses a non-negative count such as "1e6", "100000", "64k" (1000) or "2M".
std::uint64_t parse_count(std::string_view what, std::string_view text);
std::string format_count(double count);
std::string format_seconds(double seconds);

}  // namespace ballast
