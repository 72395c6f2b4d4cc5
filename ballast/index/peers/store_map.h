// LevelDB and its descendant RocksDB behind the one interface: keys and values are words, big-endian, in the
// order of the numbers.
#pragma once

#include <algorithm>
#include <memory>

#include "ballast/base/temporary_folder.h"
#include "ballast/index/peers/peer_map.h"
#include "ballast/index/snapshot.h"

namespace ballast::index::peers {

/// `Api` names the library's Db, Iterator, WriteBatch and WriteOptions, and how to seek:
/// seek_at_or_before(at, word) leaves `at` at the last key that is not above the word, or invalid.
template <typename Api>
class StoreMap : public OneByOne {
 public:
  std::optional<Value> find(Key key) const override {
    std::string value;
    if (!db_->Get({}, snapshot_word(key), &value).ok()) return std::nullopt;
    return word_of_snapshot(value);
  }
  std::optional<Entry> before(Key key) const override { return before(*iterator(), key); }
  std::uint64_t before_all(std::span<const Key> keys) const override {
    const auto at = iterator();
    std::uint64_t sum = 0;
    for (const Key key : keys) {
      const auto found = before(*at, key);
      if (found) sum += found->key ^ found->value;
    }
    return sum;
  }
  void insert_all(std::span<const Entry> entries) override {
    in_batches(entries.size(), [&](typename Api::WriteBatch& batch, std::size_t i) {
      batch.Put(snapshot_word(entries[i].key), snapshot_word(entries[i].value));
    });
  }
  void erase_all(std::span<const Key> keys) override {
    in_batches(keys.size(),
               [&](typename Api::WriteBatch& batch, std::size_t i) { batch.Delete(snapshot_word(keys[i])); });
  }
  std::vector<Entry> scan_all(std::span<const KeyRange> ranges) const override {
    std::vector<Entry> rows;
    const auto at = iterator();
    for (const auto& [low, high] : ranges) {
      for (at->Seek(snapshot_word(low)); at->Valid(); at->Next()) {
        const Entry row = entry_at(*at);
        if (row.key > high) break;
        rows.push_back(row);
      }
    }
    return rows;
  }

 protected:
  using Iterator = typename Api::Iterator;
  static constexpr std::size_t kBatch = 1000;  // keys of one call that takes many

  /// Opens `folder()`; throws Unavailable.
  void open(const typename Api::Options& options, const std::string& library) {
    typename Api::Db* db = nullptr;
    if (!Api::Db::Open(options, folder_.path(), &db).ok()) throw Unavailable(library + " cannot be opened");
    db_.reset(db);
  }
  typename Api::Db& db() const { return *db_; }

  typename Api::WriteOptions write_;

 private:
  std::unique_ptr<Iterator> iterator() const { return std::unique_ptr<Iterator>(db_->NewIterator({})); }
  static Entry entry_at(const Iterator& at) {
    return {word_of_snapshot({at.key().data(), 8}), word_of_snapshot({at.value().data(), 8})};
  }
  static std::optional<Entry> before(Iterator& at, Key key) {
    Api::seek_at_or_before(at, snapshot_word(key));
    return at.Valid() ? std::optional(entry_at(at)) : std::nullopt;
  }
  template <typename Add>
  void in_batches(std::size_t count, Add add) {
    for (std::size_t begin = 0; begin < count; begin += kBatch) {
      typename Api::WriteBatch batch;
      for (std::size_t i = begin; i < std::min(count, begin + kBatch); ++i) add(batch, i);
      db_->Write(write_, &batch);
    }
  }

  const TemporaryFolder folder_;
  std::unique_ptr<typename Api::Db> db_;
};

}  // namespace ballast::index::peers
