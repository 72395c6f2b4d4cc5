// SQLite in memory: an integer primary key, prepared statements, one transaction a batch. Its integers are
// signed; keys keep their order through `from_ordered`.
#include "ballast/index/peers/peer_map.h"

#ifdef BALLAST_HAVE_SQLITE
#include <sqlite3.h>

#include "ballast/base/errors.h"
#include "ballast/index/operations_file.h"
#endif

namespace ballast::index::peers {

#ifdef BALLAST_HAVE_SQLITE
namespace {

class SqliteMap : public OneByOne {
 public:
  SqliteMap() {
    if (sqlite3_open(":memory:", &db_) != SQLITE_OK) throw Unavailable("SQLite cannot be opened");
    run("CREATE TABLE t(k INTEGER PRIMARY KEY, v INTEGER)");
    find_ = prepare("SELECT k, v FROM t WHERE k = ?");
    before_ = prepare("SELECT k, v FROM t WHERE k <= ? ORDER BY k DESC LIMIT 1");
    put_ = prepare("INSERT OR REPLACE INTO t VALUES(?, ?)");
    drop_ = prepare("DELETE FROM t WHERE k = ?");
    scan_ = prepare("SELECT k, v FROM t WHERE k BETWEEN ? AND ? ORDER BY k");
  }
  ~SqliteMap() override {
    for (auto* statement : {find_, before_, put_, drop_, scan_}) sqlite3_finalize(statement);
    sqlite3_close(db_);
  }
  std::optional<Value> find(Key key) const override {
    const auto found = one(find_, key);
    return found ? std::optional(found->value) : std::nullopt;
  }
  std::optional<Entry> before(Key key) const override { return one(before_, key); }
  void insert_all(std::span<const Entry> entries) override {
    run("BEGIN");
    for (const auto& [key, value] : entries) {
      sqlite3_bind_int64(put_, 1, from_ordered(key));
      sqlite3_bind_int64(put_, 2, static_cast<sqlite3_int64>(value));
      sqlite3_step(put_);
      sqlite3_reset(put_);
    }
    run("COMMIT");
  }
  void erase_all(std::span<const Key> keys) override {
    run("BEGIN");
    for (const Key key : keys) {
      sqlite3_bind_int64(drop_, 1, from_ordered(key));
      sqlite3_step(drop_);
      sqlite3_reset(drop_);
    }
    run("COMMIT");
  }
  std::vector<Entry> scan_all(std::span<const KeyRange> ranges) const override {
    std::vector<Entry> rows;
    for (const auto& [low, high] : ranges) {
      sqlite3_bind_int64(scan_, 1, from_ordered(low));
      sqlite3_bind_int64(scan_, 2, from_ordered(high));
      while (sqlite3_step(scan_) == SQLITE_ROW) rows.push_back(row(scan_));
      sqlite3_reset(scan_);
    }
    return rows;
  }

 private:
  void run(const char* sql) {
    if (sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) != SQLITE_OK)
      throw Unavailable(std::string("SQLite: ") + sqlite3_errmsg(db_));
  }
  sqlite3_stmt* prepare(const char* sql) {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(db_, sql, -1, &statement, nullptr) != SQLITE_OK)
      throw Unavailable(std::string("SQLite: ") + sqlite3_errmsg(db_));
    return statement;
  }
  static Entry row(sqlite3_stmt* statement) {
    return {ordered(sqlite3_column_int64(statement, 0)),
            static_cast<Value>(sqlite3_column_int64(statement, 1))};
  }
  static std::optional<Entry> one(sqlite3_stmt* statement, Key key) {
    sqlite3_bind_int64(statement, 1, from_ordered(key));
    std::optional<Entry> out;
    if (sqlite3_step(statement) == SQLITE_ROW) out = row(statement);
    sqlite3_reset(statement);
    return out;
  }

  sqlite3* db_ = nullptr;
  sqlite3_stmt *find_ = nullptr, *before_ = nullptr, *put_ = nullptr, *drop_ = nullptr, *scan_ = nullptr;
};

}  // namespace

Peer sqlite_peer() {
  return {"SQLite in memory", sqlite3_libversion(), std::make_unique<SqliteMap>(), true, 10};
}
#else
Peer sqlite_peer() {
  return {.name = "SQLite in memory", .version = ""};
}
#endif

}  // namespace ballast::index::peers
