// LevelDB with a write buffer as large as it takes and no sync; keys big-endian.
#include "ballast/index/peers/peer_map.h"

#ifdef BALLAST_HAVE_LEVELDB
#include <fmt/format.h>
#include <leveldb/db.h>
#include <leveldb/write_batch.h>

#include "ballast/base/errors.h"
#include "ballast/index/peers/store_map.h"
#endif

namespace ballast::index::peers {

#ifdef BALLAST_HAVE_LEVELDB
namespace {

struct LevelApi {
  using Db = leveldb::DB;
  using Iterator = leveldb::Iterator;
  using WriteBatch = leveldb::WriteBatch;
  using WriteOptions = leveldb::WriteOptions;
  using Options = leveldb::Options;
  static void seek_at_or_before(Iterator& at, const std::string& word) {
    at.Seek(word);
    if (!at.Valid()) {
      at.SeekToLast();
    } else if (at.key() != leveldb::Slice(word)) {
      at.Prev();
    }
  }
};

class LevelMap : public StoreMap<LevelApi> {
 public:
  LevelMap() {
    leveldb::Options options;
    options.create_if_missing = true;
    options.write_buffer_size = std::size_t{1} << 30;
    open(options, "LevelDB");
  }
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
