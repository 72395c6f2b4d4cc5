// The slow and obvious twin of every engine: std::map, one operation at a time.
#pragma once

#include <map>

#include "ballast/index/types.h"

namespace ballast::index {

class Oracle : public OrderedIndex {
 public:
  std::string name() const override { return "oracle"; }
  std::uint64_t size() const override { return map_.size(); }
  void bulk_load(std::span<const Entry> sorted) override;
  std::vector<std::optional<Value>> get(std::span<const Key> keys) override;
  std::vector<std::optional<Entry>> predecessor(std::span<const Key> keys) override;
  std::vector<std::optional<Entry>> successor(std::span<const Key> keys) override;
  InsertReport insert(std::span<const Entry> entries) override;
  std::vector<bool> update(std::span<const Entry> entries) override;
  std::vector<bool> erase(std::span<const Key> keys) override;
  Rows scan(std::span<const KeyRange> ranges) override;
  std::vector<std::uint64_t> count(std::span<const KeyRange> ranges) override;

  const std::map<Key, Value>& map() const { return map_; }

 private:
  std::map<Key, Value> map_;
};

}  // namespace ballast::index
