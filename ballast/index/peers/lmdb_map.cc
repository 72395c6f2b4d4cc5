// LMDB: integer keys, a memory map that is never synchronised, one transaction a batch.
#include "ballast/index/peers/peer_map.h"

#ifdef BALLAST_HAVE_LMDB
#include <lmdb.h>

#include <cstring>

#include "ballast/base/errors.h"
#include "ballast/base/temporary_folder.h"
#endif

namespace ballast::index::peers {

#ifdef BALLAST_HAVE_LMDB
namespace {

void check(int result) {
  if (result != MDB_SUCCESS) throw Unavailable(std::string("LMDB: ") + mdb_strerror(result));
}

class LmdbMap : public OneByOne {
 public:
  LmdbMap() {
    check(mdb_env_create(&environment_));
    check(mdb_env_set_mapsize(environment_, std::size_t{64} << 30));
    check(mdb_env_open(environment_, folder_.path().c_str(), MDB_NOSYNC | MDB_WRITEMAP | MDB_NOLOCK, 0600));
    Transaction transaction(environment_, 0);
    check(mdb_dbi_open(transaction.get(), nullptr, MDB_INTEGERKEY | MDB_CREATE, &table_));
    transaction.commit();
  }
  ~LmdbMap() override { mdb_env_close(environment_); }
  std::optional<Value> find(Key key) const override {
    Transaction transaction(environment_, MDB_RDONLY);
    return find(transaction.get(), key);
  }
  std::optional<Entry> before(Key key) const override {
    Transaction transaction(environment_, MDB_RDONLY);
    Cursor cursor(transaction.get(), table_);
    return before(cursor.get(), key);
  }
  std::uint64_t find_all(std::span<const Key> keys) const override {
    Transaction transaction(environment_, MDB_RDONLY);
    std::uint64_t sum = 0;
    for (const Key key : keys) sum += find(transaction.get(), key).value_or(0);
    return sum;
  }
  std::uint64_t before_all(std::span<const Key> keys) const override {
    Transaction transaction(environment_, MDB_RDONLY);
    Cursor cursor(transaction.get(), table_);
    std::uint64_t sum = 0;
    for (const Key key : keys) {
      const auto found = before(cursor.get(), key);
      if (found) sum += found->key ^ found->value;
    }
    return sum;
  }
  void insert_all(std::span<const Entry> entries) override {
    Transaction transaction(environment_, 0);
    for (Entry entry : entries) {
      MDB_val key{8, &entry.key}, value{8, &entry.value};
      check(mdb_put(transaction.get(), table_, &key, &value, 0));
    }
    transaction.commit();
  }
  void erase_all(std::span<const Key> keys) override {
    Transaction transaction(environment_, 0);
    for (Key one : keys) {
      MDB_val key{8, &one};
      mdb_del(transaction.get(), table_, &key, nullptr);
    }
    transaction.commit();
  }
  std::vector<Entry> scan_all(std::span<const KeyRange> ranges) const override {
    std::vector<Entry> rows;
    Transaction transaction(environment_, MDB_RDONLY);
    Cursor cursor(transaction.get(), table_);
    for (auto [low, high] : ranges) {
      MDB_val key{8, &low}, value{};
      for (int result = mdb_cursor_get(cursor.get(), &key, &value, MDB_SET_RANGE); result == MDB_SUCCESS;
           result = mdb_cursor_get(cursor.get(), &key, &value, MDB_NEXT)) {
        const Entry row{word(key), word(value)};
        if (row.key > high) break;
        rows.push_back(row);
      }
    }
    return rows;
  }

 private:
  class Transaction {
   public:
    Transaction(MDB_env* environment, unsigned flags) {
      check(mdb_txn_begin(environment, nullptr, flags, &transaction_));
    }
    ~Transaction() {
      if (transaction_ != nullptr) mdb_txn_abort(transaction_);
    }
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;
    MDB_txn* get() { return transaction_; }
    void commit() { check(mdb_txn_commit(std::exchange(transaction_, nullptr))); }

   private:
    MDB_txn* transaction_ = nullptr;
  };
  class Cursor {
   public:
    Cursor(MDB_txn* transaction, MDB_dbi table) { check(mdb_cursor_open(transaction, table, &cursor_)); }
    ~Cursor() { mdb_cursor_close(cursor_); }
    Cursor(const Cursor&) = delete;
    Cursor& operator=(const Cursor&) = delete;
    MDB_cursor* get() { return cursor_; }

   private:
    MDB_cursor* cursor_ = nullptr;
  };
  static std::uint64_t word(const MDB_val& value) {
    std::uint64_t out;
    std::memcpy(&out, value.mv_data, 8);
    return out;
  }
  std::optional<Value> find(MDB_txn* transaction, Key one) const {
    MDB_val key{8, &one}, value{};
    if (mdb_get(transaction, table_, &key, &value) != MDB_SUCCESS) return std::nullopt;
    return word(value);
  }
  static std::optional<Entry> before(MDB_cursor* cursor, Key one) {
    MDB_val key{8, &one}, value{};
    int result = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    if (result != MDB_SUCCESS) {
      result = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
    } else if (word(key) != one) {
      result = mdb_cursor_get(cursor, &key, &value, MDB_PREV);
    }
    if (result != MDB_SUCCESS) return std::nullopt;
    return Entry{word(key), word(value)};
  }

  const TemporaryFolder folder_;
  MDB_env* environment_ = nullptr;
  MDB_dbi table_ = 0;
};

}  // namespace

Peer lmdb_peer() {
  return {"LMDB", mdb_version(nullptr, nullptr, nullptr), std::make_unique<LmdbMap>(), true, 10};
}
#else
Peer lmdb_peer() {
  return {.name = "LMDB", .version = ""};
}
#endif

}  // namespace ballast::index::peers
