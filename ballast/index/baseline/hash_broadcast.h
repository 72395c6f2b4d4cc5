// What a hash-partitioned store does with ordered questions: keys lie on the module of their hash, each with
// a local B+-tree. A get costs one message; a predecessor, a successor, a scan or a count asks all modules,
// and the CPU side reduces their answers. Skew cannot hurt it, and nothing helps it either: P times the
// words.
#pragma once

#include "ballast/index/metered.h"

namespace ballast::index::baseline {

class HashBroadcast : public MeteredIndex {
 public:
  explicit HashBroadcast(pim::Machine& machine, std::uint64_t seed = 1);

  std::string name() const override { return "hash-broadcast"; }
  std::uint64_t size() const override { return size_; }
  void bulk_load(std::span<const Entry> sorted) override;
  std::vector<std::optional<Value>> get(std::span<const Key> keys) override;
  std::vector<std::optional<Entry>> predecessor(std::span<const Key> keys) override;
  std::vector<std::optional<Entry>> successor(std::span<const Key> keys) override;
  InsertReport insert(std::span<const Entry> entries) override;
  std::vector<bool> update(std::span<const Entry> entries) override;
  std::vector<bool> erase(std::span<const Key> keys) override;
  Rows scan(std::span<const KeyRange> ranges) override;
  std::vector<std::uint64_t> count(std::span<const KeyRange> ranges) override;
  const pim::Cost& cost() const override { return machine_.cost(); }

 private:
  std::uint32_t place(Key key) const;
  std::vector<std::optional<Entry>> near(std::span<const Key> questions, bool after);
  std::vector<bool> flags(std::span<const Key> keys, std::span<const Value> values, task type,
                          const char* phase);

  pim::Machine& machine_;
  std::uint64_t seed_;
  std::uint64_t size_ = 0;
  std::vector<std::uint64_t> keys_on_;  // an empty module is not asked
};

}  // namespace ballast::index::baseline
