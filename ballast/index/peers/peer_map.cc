#include "ballast/index/peers/peer_map.h"

#include <algorithm>
#include <map>

#ifdef BALLAST_HAVE_ABSL
#include <absl/container/btree_map.h>
#endif
#ifdef BALLAST_HAVE_JUDY
#include <Judy.h>
#endif

namespace ballast::index::peers {
namespace {

/// std::map, absl::btree_map: whatever has their interface.
template <typename Map>
class StdLike : public PeerMap {
 public:
  void fill(std::span<const Entry> sorted) override {
    for (const auto& [key, value] : sorted) map_.emplace_hint(map_.end(), key, value);
  }
  std::optional<Value> find(Key key) const override {
    const auto found = map_.find(key);
    return found == map_.end() ? std::nullopt : std::optional(found->second);
  }
  std::optional<Entry> before(Key key) const override {
    auto above = map_.upper_bound(key);
    if (above == map_.begin()) return std::nullopt;
    --above;
    return Entry{above->first, above->second};
  }
  std::uint64_t find_all(std::span<const Key> keys) const override {
    std::uint64_t sum = 0;
    for (const Key key : keys) {
      const auto found = map_.find(key);
      if (found != map_.end()) sum += found->second;
    }
    return sum;
  }
  std::uint64_t before_all(std::span<const Key> keys) const override {
    std::uint64_t sum = 0;
    for (const Key key : keys) {
      const auto found = before(key);
      if (found) sum += found->key ^ found->value;
    }
    return sum;
  }
  void insert_all(std::span<const Entry> entries) override {
    for (const auto& [key, value] : entries) map_.insert_or_assign(key, value);
  }
  void erase_all(std::span<const Key> keys) override {
    for (const Key key : keys) map_.erase(key);
  }
  std::vector<Entry> scan_all(std::span<const KeyRange> ranges) const override {
    std::vector<Entry> rows;
    for (const auto& [low, high] : ranges)
      for (auto at = map_.lower_bound(low); at != map_.end() && at->first <= high; ++at)
        rows.push_back({at->first, at->second});
    return rows;
  }

 private:
  Map map_;
};

#ifdef BALLAST_HAVE_JUDY
/// JudyL's slots are words that it calls pointers.
Value* as_value(PPvoid_t slot) {
  return reinterpret_cast<Value*>(slot);
}

class Judy : public PeerMap {
 public:
  Judy() = default;
  ~Judy() override { JudyLFreeArray(&array_, nullptr); }
  Judy(const Judy&) = delete;
  Judy& operator=(const Judy&) = delete;
  void fill(std::span<const Entry> sorted) override { insert_all(sorted); }
  std::optional<Value> find(Key key) const override {
    const auto* slot = as_value(JudyLGet(array_, key, nullptr));
    return slot == nullptr ? std::nullopt : std::optional(*slot);
  }
  std::optional<Entry> before(Key key) const override {
    Word_t index = key;
    const auto* slot = as_value(JudyLLast(array_, &index, nullptr));
    return slot == nullptr ? std::nullopt : std::optional(Entry{index, *slot});
  }
  std::uint64_t find_all(std::span<const Key> keys) const override {
    std::uint64_t sum = 0;
    for (const Key key : keys) {
      const auto* slot = as_value(JudyLGet(array_, key, nullptr));
      if (slot != nullptr) sum += *slot;
    }
    return sum;
  }
  std::uint64_t before_all(std::span<const Key> keys) const override {
    std::uint64_t sum = 0;
    for (const Key key : keys) {
      const auto found = before(key);
      if (found) sum += found->key ^ found->value;
    }
    return sum;
  }
  void insert_all(std::span<const Entry> entries) override {
    for (const auto& [key, value] : entries) *as_value(JudyLIns(&array_, key, nullptr)) = value;
  }
  void erase_all(std::span<const Key> keys) override {
    for (const Key key : keys) JudyLDel(&array_, key, nullptr);
  }
  std::vector<Entry> scan_all(std::span<const KeyRange> ranges) const override {
    std::vector<Entry> rows;
    for (const auto& [low, high] : ranges) {
      Word_t index = low;
      const Value* slot = as_value(JudyLFirst(array_, &index, nullptr));
      for (; slot != nullptr && index <= high; slot = as_value(JudyLNext(array_, &index, nullptr)))
        rows.push_back({index, *slot});
    }
    return rows;
  }

 private:
  void* array_ = nullptr;
};
#endif

}  // namespace

std::uint64_t OneByOne::find_all(std::span<const Key> keys) const {
  std::uint64_t sum = 0;
  for (const Key key : keys) sum += find(key).value_or(0);
  return sum;
}

std::uint64_t OneByOne::before_all(std::span<const Key> keys) const {
  std::uint64_t sum = 0;
  for (const Key key : keys) {
    const auto found = before(key);
    if (found) sum += found->key ^ found->value;
  }
  return sum;
}

std::vector<Peer> all_peers() {
  std::vector<Peer> peers;
#ifdef BALLAST_HAVE_ABSL
  peers.push_back({"absl::btree_map", "20220623", std::make_unique<StdLike<absl::btree_map<Key, Value>>>()});
#else
  peers.push_back({"absl::btree_map", "", nullptr});
#endif
  peers.push_back({"std::map", "libstdc++ 12", std::make_unique<StdLike<std::map<Key, Value>>>()});
#ifdef BALLAST_HAVE_JUDY
  peers.push_back({"JudyL", "1.0.5", std::make_unique<Judy>()});
#else
  peers.push_back({"JudyL", "", nullptr});
#endif
  for (auto make : {tbb_peer, libcds_peer, rocksdb_peer, leveldb_peer, lmdb_peer, sqlite_peer})
    peers.push_back(make());
  return peers;
}

}  // namespace ballast::index::peers
