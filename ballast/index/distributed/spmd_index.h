// The distributed index behind the interface of all engines: every machine is given the whole batch, takes
// its slice, and gets all answers. For operation files and for the property tests; the gathering of the
// answers is the price of the interface, and no part of what the benchmarks count.
#pragma once

#include "ballast/index/distributed/distributed_map.h"

namespace ballast::index {

class SpmdIndex : public OrderedIndex {
 public:
  explicit SpmdIndex(cluster::Machine& me, DistributedOptions options = {}) : me_(me), map_(me, options) {}

  std::string name() const override { return "cluster"; }
  std::uint64_t size() const override { return map_.size(); }
  void bulk_load(std::span<const Entry> sorted) override;
  std::vector<std::optional<Value>> get(std::span<const Key> keys) override;
  std::vector<std::optional<Entry>> predecessor(std::span<const Key> keys) override;
  std::vector<std::optional<Entry>> successor(std::span<const Key> keys) override;
  InsertReport insert(std::span<const Entry> entries) override;
  std::vector<bool> update(std::span<const Entry> entries) override;
  std::vector<bool> erase(std::span<const Key> keys) override;
  Rows scan(std::span<const KeyRange> ranges) override { return scan_first(ranges, 0); }
  Rows scan_first(std::span<const KeyRange> ranges, std::uint64_t limit) override;
  std::vector<std::uint64_t> count(std::span<const KeyRange> ranges) override;

  DistributedMap<Key>& map() { return map_; }

 private:
  using Row = DistributedMap<Key>::Entry;
  template <typename T>
  std::span<const T> slice(std::span<const T> batch) const;
  /// This machine's words, one list an answer; of all machines, in order.
  std::vector<std::vector<std::uint64_t>> gather(const std::vector<std::vector<std::uint64_t>>& mine);
  std::vector<Row> rows_of(std::span<const Entry> entries) const;

  cluster::Machine& me_;
  DistributedMap<Key> map_;
};

}  // namespace ballast::index
