// RocksDB's memtable path: a write buffer that holds everything, no log, keys big-endian, MultiGet of sorted
// keys.
#include "ballast/index/peers/peer_map.h"

#ifdef BALLAST_HAVE_ROCKSDB
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <numeric>

#include "ballast/base/errors.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/index/snapshot.h"
#endif

namespace ballast::index::peers {

#ifdef BALLAST_HAVE_ROCKSDB
namespace {

constexpr std::size_t kBatch = 1000;

class RocksMap : public OneByOne {
 public:
  RocksMap() {
    rocksdb::Options options;
    options.create_if_missing = true;
    options.write_buffer_size = std::size_t{8} << 30;
    options.disable_auto_compactions = true;
    options.avoid_flush_during_shutdown = true;
    rocksdb::DB* db = nullptr;
    if (!rocksdb::DB::Open(options, folder_.path(), &db).ok()) throw Unavailable("RocksDB cannot be opened");
    db_.reset(db);
    write_.disableWAL = true;
  }
  std::optional<Value> find(Key key) const override {
    std::string value;
    if (!db_->Get({}, snapshot_word(key), &value).ok()) return std::nullopt;
    return word_of_snapshot(value);
  }
  std::optional<Entry> before(Key key) const override {
    const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator({}));
    return before(*at, key);
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
      db_->MultiGet({}, db_->DefaultColumnFamily(), count, slices.data(), values.data(), states.data(), true);
      for (std::size_t i = 0; i < count; ++i)
        if (states[i].ok()) sum += word_of_snapshot({values[i].data(), values[i].size()});
    }
    return sum;
  }
  std::uint64_t before_all(std::span<const Key> keys) const override {
    const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator({}));
    std::uint64_t sum = 0;
    for (const Key key : keys) {
      const auto found = before(*at, key);
      if (found) sum += found->key ^ found->value;
    }
    return sum;
  }
  void insert_all(std::span<const Entry> entries) override {
    in_batches(entries.size(), [&](rocksdb::WriteBatch& batch, std::size_t i) {
      batch.Put(snapshot_word(entries[i].key), snapshot_word(entries[i].value));
    });
  }
  void erase_all(std::span<const Key> keys) override {
    in_batches(keys.size(),
               [&](rocksdb::WriteBatch& batch, std::size_t i) { batch.Delete(snapshot_word(keys[i])); });
  }
  std::vector<Entry> scan_all(std::span<const KeyRange> ranges) const override {
    std::vector<Entry> rows;
    const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator({}));
    for (const auto& [low, high] : ranges) {
      for (at->Seek(snapshot_word(low)); at->Valid(); at->Next()) {
        const Entry row{word_of_snapshot({at->key().data(), 8}), word_of_snapshot({at->value().data(), 8})};
        if (row.key > high) break;
        rows.push_back(row);
      }
    }
    return rows;
  }

 private:
  static std::optional<Entry> before(rocksdb::Iterator& at, Key key) {
    at.SeekForPrev(snapshot_word(key));
    if (!at.Valid()) return std::nullopt;
    return Entry{word_of_snapshot({at.key().data(), 8}), word_of_snapshot({at.value().data(), 8})};
  }
  template <typename Add>
  void in_batches(std::size_t count, Add add) {
    for (std::size_t begin = 0; begin < count; begin += kBatch) {
      rocksdb::WriteBatch batch;
      for (std::size_t i = begin; i < std::min(count, begin + kBatch); ++i) add(batch, i);
      db_->Write(write_, &batch);
    }
  }

  const TemporaryFolder folder_;
  std::unique_ptr<rocksdb::DB> db_;
  rocksdb::WriteOptions write_;
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
