// The operation file of the reference implementation: records of 24 bytes, little-endian:
//   i64 key (or lower key), i64 value (or upper key), i32 type, 4 bytes of padding
// types: 0 nothing, 1 get, 2 update, 3 predecessor, 4 scan, 5 insert, 6 remove. Keys are signed there; here
// they keep their order as unsigned 64-bit keys (`ordered`).
#pragma once

#include <string>
#include <vector>

#include "ballast/data/stream.h"
#include "ballast/index/types.h"

namespace ballast::index {

struct Operation {
  enum class Type : std::int32_t { nothing = 0, get, update, predecessor, scan, insert, remove };
  Type type = Type::nothing;
  std::int64_t key = 0, value = 0;
  bool operator==(const Operation&) const = default;
};

/// Order-preserving: i64 to u64 and back.
constexpr Key ordered(std::int64_t key) {
  return static_cast<Key>(key) ^ (Key{1} << 63);
}
constexpr std::int64_t from_ordered(Key key) {
  return static_cast<std::int64_t>(key ^ (Key{1} << 63));
}

/// Throws InvalidInput with file and byte: a size that is no multiple of 24, an unknown type.
std::vector<Operation> read_operations(data::InputStream in);
/// The file appears complete or not at all.
void write_operations(const std::string& path, const std::vector<Operation>& operations);

/// Runs the operations in batches of at most `batch`: neighbouring operations of one type form a batch.
/// Returns a digest of all answers, which depends on the operations alone.
std::uint64_t run_operations(OrderedIndex& index, const std::vector<Operation>& operations,
                             std::size_t batch);

}  // namespace ballast::index
