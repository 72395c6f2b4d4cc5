// One message of a link (technique G5, G6): values for some positions of a list that both ends know, in the
// shortest of four codes for the positions, and integers in the width that the largest needs; equal values
// are sent once.
//
//   encode(buffer, length, positions, values, options);                  // positions rise; nothing is sent
//   for none decode<V>(reader, length, [&](std::uint32_t position, V value) { ... });
//
// Layout: u8 code of positions, u8 code of values, then (not for `all`) varint count, positions, values.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

#include "ballast/cluster/message.h"

namespace ballast::graph {

/// A value without content: only that a vertex is active travels.
struct Nothing {
  bool operator==(const Nothing&) const = default;
};

enum class PositionCode : std::uint8_t { all, bits, words, deltas };
/// Values: `raw` bytes, `equal` (one for all), or unsigned integers of 1 to 8 bytes.
inline constexpr std::uint8_t kRaw = 0, kEqual = 16;

struct CodingOptions {
  bool positions = true;  ///< G5
  bool values = true;     ///< G6
};

namespace internal {

template <typename V>
constexpr std::size_t kValueBytes = std::is_empty_v<V> ? 0 : sizeof(V);

template <typename V>
constexpr bool kNarrows = std::is_unsigned_v<V> && sizeof(V) > 1;

inline std::size_t varint_bytes(std::uint32_t value) {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x200000 ? 3 : value < 0x10000000 ? 4 : 5;
}

template <typename V>
void put_values(cluster::Buffer& out, std::uint8_t code, std::span<const V> values) {
  if constexpr (kValueBytes < V >> 0) {
    if (code == kRaw) {
      out.append(values.data(), values.size_bytes());
    } else if (code == kEqual) {
      out.put(values.front());
    } else {
      std::byte* place = out.extend(values.size() * code);
      for (const V& value : values) {
        std::memcpy(place, &value, code);  // little-endian: the low bytes
        place += code;
      }
    }
  }
}

}  // namespace internal

template <typename V>
void encode(cluster::Buffer& out, std::uint32_t length, std::span<const std::uint32_t> positions,
            std::span<const V> values, const CodingOptions& options) {
  if (positions.empty()) return;
  const auto count = static_cast<std::uint32_t>(positions.size());
  PositionCode code = PositionCode::words;
  if (count == length) {
    code = PositionCode::all;
  } else if (options.positions) {
    std::size_t deltas = 0;
    std::uint32_t before = 0;
    for (std::uint32_t position : positions) {
      deltas += internal::varint_bytes(position - before);
      before = position;
    }
    const std::size_t bits = (length + 7) / 8;
    code = bits <= deltas ? PositionCode::bits : PositionCode::deltas;
    if (4 * std::size_t{count} < std::min(bits, deltas)) code = PositionCode::words;
  }
  std::uint8_t value_code = kRaw;
  if constexpr (internal::kValueBytes < V >> 0) {
    if (options.values) {
      const bool equal = std::all_of(values.begin(), values.end(), [&](const V& v) {
        return std::memcmp(&v, values.data(), sizeof(V)) == 0;
      });
      if (equal) {
        value_code = kEqual;
      } else if constexpr (internal::kNarrows<V>) {
        const V most = *std::max_element(values.begin(), values.end());
        std::uint8_t width = 1;
        while (width < sizeof(V) && (most >> 8 * width) != 0) ++width;
        value_code = width;
      }
    }
  }
  out.put(code);
  out.put(value_code);
  if (code != PositionCode::all) out.put_varint(count);
  switch (code) {
    case PositionCode::all:
      break;
    case PositionCode::bits: {
      const std::size_t bytes = (length + 7) / 8;
      std::byte* place = out.extend(bytes);
      std::memset(place, 0, bytes);
      for (std::uint32_t position : positions) place[position / 8] |= std::byte{1} << position % 8;
      break;
    }
    case PositionCode::words:
      out.append(positions.data(), positions.size_bytes());
      break;
    case PositionCode::deltas: {
      std::uint32_t before = 0;
      for (std::uint32_t position : positions) {
        out.put_varint(position - before);
        before = position;
      }
      break;
    }
  }
  internal::put_values(out, value_code, values);
}

/// Calls use(position, value) in the order of positions; `in` goes on behind them. Throws InvalidInput for a
/// message that cannot be.
template <typename V, typename Use>
void decode(cluster::Reader& in, std::uint32_t length, Use use) {
  if (in.empty()) return;
  const auto code = in.get<PositionCode>();
  const auto value_code = in.get<std::uint8_t>();
  const std::uint64_t count = code == PositionCode::all ? length : in.get_varint();
  if (count > length) throw InvalidInput("a message names more positions than its link has");
  constexpr std::size_t kBytes = internal::kValueBytes<V>;
  const bool narrow = internal::kNarrows<V> && value_code >= 1 && value_code <= kBytes;
  if (code > PositionCode::deltas || (value_code != kRaw && value_code != kEqual && !narrow))
    throw InvalidInput("a message has an unknown code");
  const std::size_t width = narrow ? value_code : value_code == kEqual ? 0 : kBytes;

  std::span<const std::byte> bits, words;
  std::vector<std::uint32_t> deltas;
  if (code == PositionCode::bits) bits = in.take((length + 7) / 8);
  if (code == PositionCode::words) words = in.take(4 * count);
  if (code == PositionCode::deltas) {
    deltas.reserve(count);
    std::uint64_t position = 0;
    for (std::uint64_t i = 0; i < count; ++i)
      deltas.push_back(static_cast<std::uint32_t>(position += in.get_varint()));
  }
  V value{};
  if constexpr (kBytes > 0) {
    if (value_code == kEqual) value = in.get<V>();
  }
  const std::span<const std::byte> values = in.take(width * count);
  std::size_t next = 0;
  auto give = [&](std::uint32_t position) {
    if (position >= length) throw InvalidInput("a message names a position beyond its link");
    if constexpr (kBytes > 0) {
      if (width > 0) {
        if constexpr (internal::kNarrows<V>) value = 0;
        std::memcpy(&value, values.data() + next * width, width);
      }
    }
    ++next;
    use(position, value);
  };
  switch (code) {
    case PositionCode::all:
      for (std::uint32_t i = 0; i < length; ++i) give(i);
      break;
    case PositionCode::bits:
      for (std::size_t byte = 0; byte < bits.size() && next < count; ++byte) {
        for (unsigned rest = std::to_integer<unsigned>(bits[byte]); rest != 0 && next < count;
             rest &= rest - 1)
          give(static_cast<std::uint32_t>(byte * 8 + static_cast<std::size_t>(__builtin_ctz(rest))));
      }
      break;
    case PositionCode::words:
      for (std::size_t i = 0; i < count; ++i) {
        std::uint32_t position;
        std::memcpy(&position, words.data() + 4 * i, 4);
        give(position);
      }
      break;
    case PositionCode::deltas:
      for (std::uint32_t position : deltas) give(position);
      break;
  }
}

template <typename V, typename Use>
void decode(cluster::Reader&& in, std::uint32_t length, Use use) {
  decode<V>(in, length, use);
}

}  // namespace ballast::graph
