// The ordered mode of `kv` on the index: the batches, answers and snapshot rule of ordered.h, kept by
// index::DistributedMap in place of ranges with splitters. No sample is needed and no range is owned by one
// machine, so that inserts at the end of the key space, which outgrow splitters, stay spread; keys and values
// are those of the store itself.
//
//   kv::IndexedStore store(me);
//   store.load(my_rows);                                 // collective: every machine its own part
//   kv::OrderedBatch batch;  batch.scan("user5", 20);  batch.add("user9", kv::put("there"));
//   kv::run_ordered(me, store, batch);
#pragma once

#include <span>

#include "ballast/index/distributed/distributed_map.h"
#include "ballast/kv/ordered.h"

namespace ballast::kv {

class IndexedStore {
 public:
  explicit IndexedStore(cluster::Machine& me, index::DistributedOptions options = {}) : map_(me, options) {}

  /// Collective: sets these entries; of several of one key the one of the highest machine id wins, on one
  /// machine the last.
  void load(std::span<const Row> rows) { map_.insert(rows); }
  /// Of all machines.
  std::uint64_t entries() const { return map_.size(); }
  index::DistributedMap<std::string>& map() { return map_; }

 private:
  index::DistributedMap<std::string> map_;
};

/// Collective: every machine gives its own batch. Scans and reads see the state before the batch; then every
/// key takes the merged write of all machines' operations on it.
void run_ordered(cluster::Machine& me, IndexedStore& store, OrderedBatch& batch);

}  // namespace ballast::kv
