// libcds' SkipListMap with hazard pointers. It finds, inserts and erases single keys; it has no ordered
// search.
#include "ballast/index/peers/peer_map.h"

#ifdef BALLAST_HAVE_LIBCDS
#include <cds/container/skip_list_map_hp.h>
#include <cds/gc/hp.h>
#include <cds/init.h>
#include <cds/threading/model.h>
#endif

namespace ballast::index::peers {

#ifdef BALLAST_HAVE_LIBCDS
namespace {

using SkipList = cds::container::SkipListMap<cds::gc::HP, Key, Value>;

/// The library wants to be started once, and each thread to be known to it: here the one that made the map.
struct Library {
  Library() { cds::Initialize(); }
  ~Library() { cds::Terminate(); }
};

class CdsMap : public OneByOne {
 public:
  CdsMap() : collector_(SkipList::c_nHazardPtrCount + 8) {
    cds::threading::Manager::attachThread();
    map_ = std::make_unique<SkipList>();
  }
  ~CdsMap() override {
    map_.reset();
    cds::threading::Manager::detachThread();
  }
  std::optional<Value> find(Key key) const override {
    std::optional<Value> out;
    map_->find(key, [&](SkipList::value_type& item) { out = item.second; });
    return out;
  }
  std::optional<Entry> before(Key) const override { return std::nullopt; }
  void insert_all(std::span<const Entry> entries) override {
    for (const auto& entry : entries)
      map_->update(entry.key, [&](bool, SkipList::value_type& item) { item.second = entry.value; });
  }
  void erase_all(std::span<const Key> keys) override {
    for (const Key key : keys) map_->erase(key);
  }
  std::vector<Entry> scan_all(std::span<const KeyRange>) const override { return {}; }

 private:
  Library library_;
  cds::gc::HP collector_;
  std::unique_ptr<SkipList> map_;
};

}  // namespace

Peer libcds_peer() {
  return {"libcds SkipListMap", "2.3.3", std::make_unique<CdsMap>(), false};
}
#else
Peer libcds_peer() {
  return {.name = "libcds SkipListMap", .version = "", .map = nullptr, .ordered = false};
}
#endif

}  // namespace ballast::index::peers
