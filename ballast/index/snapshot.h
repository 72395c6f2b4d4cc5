// `.bidx`: the entries of an index in key order, in blocks with checksums. The same format for all engines,
// so that what one wrote another reads.
//
//   "BALBIDX1"  u32 kind of keys  u32 0
//   blocks:     u32 entries (> 0)  u32 payload bytes  u64 XXH3-64 of the payload  payload
//   end:        u32 0  u32 0  u64 entries in all  u64 XXH3-64 over the checksums of all blocks
//   payload:    of each entry: varint length, key bytes, varint length, value bytes; u64 keys are 8 bytes,
//               big-endian, so that keys of every kind are in the order of their bytes, ascending strictly
//
//   SnapshotWriter out("index.bidx", SnapshotKeys::u64);
//   out.put(snapshot_key(key), value);
//   out.commit();                       // until then nothing is there under the name
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/data/stream.h"
#include "ballast/index/types.h"

namespace ballast::index {

enum class SnapshotKeys : std::uint32_t { u64 = 0, bytes = 1 };

class SnapshotWriter {
 public:
  SnapshotWriter(const std::string& path, SnapshotKeys keys);
  /// Keys must ascend strictly (checked).
  void put(std::string_view key, std::string_view value);
  void commit();

 private:
  void flush();
  AtomicFile file_;
  std::string payload_, last_;
  std::string checksums_;
  std::uint64_t entries_ = 0;
  std::uint32_t in_block_ = 0;
};

class SnapshotReader {
 public:
  /// Throws Unavailable for a file that cannot be opened, InvalidInput for one that is no snapshot.
  explicit SnapshotReader(const std::string& path);
  explicit SnapshotReader(data::InputStream in);

  SnapshotKeys keys() const { return keys_; }
  /// Throws InvalidInput unless the keys are of this kind.
  void require(SnapshotKeys keys) const;
  /// The next entry; false at the end. Throws InvalidInput with file and byte for what is damaged.
  bool next(std::string& key, std::string& value);
  std::uint64_t entries() const { return entries_; }

 private:
  void open_block();
  [[noreturn]] void refuse(const std::string& problem) const;
  data::InputStream in_;
  SnapshotKeys keys_ = SnapshotKeys::u64;
  std::string payload_, last_, checksums_;
  std::size_t at_ = 0;
  std::uint64_t entries_ = 0;
  std::uint32_t left_ = 0;
  bool ended_ = false;
};

/// A u64 key (or value) as 8 bytes, big-endian, and back.
std::string snapshot_word(std::uint64_t word);
std::uint64_t word_of_snapshot(std::string_view bytes);

inline std::string snapshot_key(std::uint64_t key) {
  return snapshot_word(key);
}
inline const std::string& snapshot_key(const std::string& key) {
  return key;
}
template <typename K>
K key_of_snapshot(const std::string& bytes) {
  if constexpr (std::is_same_v<K, std::string>) {
    return bytes;
  } else {
    return word_of_snapshot(bytes);
  }
}

/// A whole index of 64-bit keys and values.
void write_snapshot(const std::string& path, std::span<const Entry> sorted);
std::vector<Entry> read_snapshot(data::InputStream in);

}  // namespace ballast::index
