// LevelDB with a write buffer as large as it takes and no sync; keys big-endian.
#include "ballast/index/peers/peer_map.h"

#ifdef BALLAST_HAVE_LEVELDB
#include <fmt/format.h>
#include <leveldb/db.h>
#include <leveldb/write_batch.h>

#include "ballast/base/errors.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/index/snapshot.h"
#endif

namespace ballast::index::peers {

#ifdef BALLAST_HAVE_LEVELDB
namespace {

class LevelMap : public OneByOne {
 public:
  LevelMap() {
    leveldb::Options options;
    options.create_if_missing = true;
    options.write_buffer_size = std::size_t{1} << 30;
    leveldb::DB* db = nullptr;
    if (!leveldb::DB::Open(options, folder_.path(), &db).ok()) throw Unavailable("LevelDB cannot be opened");
    db_.reset(db);
  }
  std::optional<Value> find(Key key) const override {
    std::string value;
    if (!db_->Get({}, snapshot_word(key), &value).ok()) return std::nullopt;
    return word_of_snapshot(value);
  }
  std::optional<Entry> before(Key key) const override {
    const std::unique_ptr<leveldb::Iterator> at(db_->NewIterator({}));
    return before(*at, key);
  }
  std::uint64_t before_all(std::span<const Key> keys) const override {
    const std::unique_ptr<leveldb::Iterator> at(db_->NewIterator({}));
    std::uint64_t sum = 0;
    for (const Key key : keys) {
      const auto found = before(*at, key);
      if (found) sum += found->key ^ found->value;
    }
    return sum;
  }
  void insert_all(std::span<const Entry> entries) override {
    in_batches(entries.size(), [&](leveldb::WriteBatch& batch, std::size_t i) {
      batch.Put(snapshot_word(entries[i].key), snapshot_word(entries[i].value));
    });
  }
  void erase_all(std::span<const Key> keys) override {
    in_batches(keys.size(),
               [&](leveldb::WriteBatch& batch, std::size_t i) { batch.Delete(snapshot_word(keys[i])); });
  }
  std::vector<Entry> scan_all(std::span<const KeyRange> ranges) const override {
    std::vector<Entry> rows;
    const std::unique_ptr<leveldb::Iterator> at(db_->NewIterator({}));
    for (const auto& [low, high] : ranges) {
      for (at->Seek(snapshot_word(low)); at->Valid(); at->Next()) {
        const Entry row = entry_at(*at);
        if (row.key > high) break;
        rows.push_back(row);
      }
    }
    return rows;
  }

 private:
  static Entry entry_at(const leveldb::Iterator& at) {
    return {word_of_snapshot({at.key().data(), 8}), word_of_snapshot({at.value().data(), 8})};
  }
  static std::optional<Entry> before(leveldb::Iterator& at, Key key) {
    at.Seek(snapshot_word(key));
    if (!at.Valid()) {
      at.SeekToLast();
    } else if (entry_at(at).key != key) {
      at.Prev();
    }
    return at.Valid() ? std::optional(entry_at(at)) : std::nullopt;
  }
  template <typename Add>
  void in_batches(std::size_t count, Add add) {
    constexpr std::size_t kBatch = 1000;
    for (std::size_t begin = 0; begin < count; begin += kBatch) {
      leveldb::WriteBatch batch;
      for (std::size_t i = begin; i < std::min(count, begin + kBatch); ++i) add(batch, i);
      db_->Write({}, &batch);
    }
  }

  const TemporaryFolder folder_;
  std::unique_ptr<leveldb::DB> db_;
};

}  // namespace

Peer leveldb_peer() {
  return {"LevelDB", fmt::format("{}.{}", leveldb::kMajorVersion, leveldb::kMinorVersion),
          std::make_unique<LevelMap>(), true, 10};
}
#else
Peer leveldb_peer() {
  return {.name = "LevelDB", .version = ""};
}
#endif

}  // namespace ballast::index::peers
