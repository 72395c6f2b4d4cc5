// RocksDB's memtable path: a write buffer that holds everything, no log, keys big-endian, MultiGet of sorted
// keys.
#include "ballast/index/peers/peer_map.h"

#ifdef BALLAST_HAVE_ROCKSDB
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <algorithm>

#include "ballast/base/errors.h"
#include "ballast/index/peers/store_map.h"
#endif

namespace ballast::index::peers {

#ifdef BALLAST_HAVE_ROCKSDB
namespace {

struct RocksApi {
  using Db = rocksdb::DB;
  using Iterator = rocksdb::Iterator;
  using WriteBatch = rocksdb::WriteBatch;
  using WriteOptions = rocksdb::WriteOptions;
  using Options = rocksdb::Options;
  static void seek_at_or_before(Iterator& at, const std::string& word) { at.SeekForPrev(word); }
};

class RocksMap : public StoreMap<RocksApi> {
 public:
  RocksMap() {
    rocksdb::Options options;
    options.create_if_missing = true;
    options.write_buffer_size = std::size_t{8} << 30;
    options.disable_auto_compactions = true;
    options.avoid_flush_during_shutdown = true;
    open(options, "RocksDB");
    write_.disableWAL = true;
  }
  // Sorted, as its own advice for MultiGet is; the sort is part of its time, as it is of ours for changes.
  std::uint64_t find_all(std::span<const Key> keys) const override {
    std::vector<Key> sorted(keys.begin(), keys.end());
    std::sort(sorted.begin(), sorted.end());
    std::uint64_t sum = 0;
    std::vector<std::string> words(kBatch);
    std::vector<rocksdb::Slice> slices(kBatch);
    std::vector<rocksdb::PinnableSlice> values(kBatch);
    std::vector<rocksdb::Status> states(kBatch);
    for (std::size_t begin = 0; begin < sorted.size(); begin += kBatch) {
      const std::size_t count = std::min(kBatch, sorted.size() - begin);
      for (std::size_t i = 0; i < count; ++i) {
        words[i] = snapshot_word(sorted[begin + i]);
        slices[i] = words[i];
        values[i].Reset();
      }
      db().MultiGet({}, db().DefaultColumnFamily(), count, slices.data(), values.data(), states.data(), true);
      for (std::size_t i = 0; i < count; ++i)
        if (states[i].ok()) sum += word_of_snapshot({values[i].data(), values[i].size()});
    }
    return sum;
  }
};

}  // namespace

Peer rocksdb_peer() {
  return {"RocksDB memtable", rocksdb::GetRocksVersionAsString(), std::make_unique<RocksMap>(), true, 10};
}
#else
Peer rocksdb_peer() {
  return {.name = "RocksDB memtable", .version = ""};
}
#endif

}  // namespace ballast::index::peers
