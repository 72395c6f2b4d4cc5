// The PIM-balanced skip list that came before the PIM-tree ("The Processing-in-Memory Model", SPAA 2021):
// single nodes placed by hash, the part above log2 P levels replicated, one hop a key and round. Contention
// is bounded by stages of pivots: every later key starts at the last node that the recorded paths of its two
// neighbouring pivots share.
//
// A baseline for searches: built once by bulk_load; get and predecessor. Everything else is refused.
#pragma once

#include "ballast/index/metered.h"

namespace ballast::index::baseline {

class JumpPush : public MeteredIndex {
 public:
  /// `push_pull`: no pivots; a node that several keys ask travels to them instead (the first rung of the
  /// ladder of ablations: push-pull search on nodes of one key).
  explicit JumpPush(pim::Machine& machine, std::uint64_t seed = 1, bool push_pull = false);

  std::string name() const override { return push_pull_ ? "push-pull-1" : "jump-push"; }
  std::uint64_t size() const override { return size_; }
  void bulk_load(std::span<const Entry> sorted) override;
  std::vector<std::optional<Value>> get(std::span<const Key> keys) override;
  std::vector<std::optional<Entry>> predecessor(std::span<const Key> keys) override;
  /// These throw InvalidInput.
  std::vector<std::optional<Entry>> successor(std::span<const Key> keys) override;
  InsertReport insert(std::span<const Entry> entries) override;
  std::vector<bool> update(std::span<const Entry> entries) override;
  std::vector<bool> erase(std::span<const Key> keys) override;
  Rows scan(std::span<const KeyRange> ranges) override;
  std::vector<std::uint64_t> count(std::span<const KeyRange> ranges) override;
  const pim::Cost& cost() const override { return machine_.cost(); }

 private:
  using Path = std::vector<pim::Address>;
  std::uint32_t place(Key key, std::uint32_t level) const;
  /// Walks the keys from their starts, hop by hop, all at once; returns the last node of each; paths may be
  /// null.
  std::vector<pim::Address> walk(const std::vector<Key>& keys, std::vector<pim::Address> starts,
                                 std::vector<Path>* paths);
  std::vector<pim::Address> starts_of(const std::vector<Key>& keys, const std::vector<const Path*>& left,
                                      const std::vector<const Path*>& right, std::vector<Path>* prefixes);
  std::vector<pim::Address> search(const std::vector<Key>& sorted);
  std::vector<pim::Address> search_push_pull(const std::vector<Key>& sorted);

  pim::Machine& machine_;
  std::uint64_t seed_;
  std::uint32_t levels_;  // log2 P, at least 1
  bool push_pull_;
  std::uint64_t size_ = 0;
  pim::Address leftmost_ = 0;  // the bottom node that belongs to no key
};

}  // namespace ballast::index::baseline
