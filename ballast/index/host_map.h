// The ordered map for plain multicore memory, with the batch interface of all engines: a B+-tree of two
// parts.
//
//   HostMap map({.threads = 2});
//   map.bulk_load(sorted);
//   auto hits = map.get(keys);              // batches: groups of 32 descend together, memory latency
//   overlaps map.put(7, 70);  map.find(7);           // single operations
//
// Leaves hold 32 entries, keys and values apart, in key order, unused keys at the largest value. Above them
// lies a static index: sorted arrays of separators, each level every 16th of the one below, so that a step is
// one block of two cache lines. A batch of changes is sorted, every touched leaf is merged once, and the
// index is rebuilt by one merge (about 12 bytes a leaf). A single insert that splits a leaf hangs the new one
// behind it; the index is rebuilt when such chains are many or long.
//
// Threads: batches use `threads` of oneTBB; calls from several threads at once are for the caller to exclude,
// except that any number may read.
#pragma once

#include <memory>

#include "ballast/index/types.h"

namespace ballast::index {

struct HostMapOptions {
  int threads = 0;  ///< 0: as many as there are cores
};

class HostMap : public OrderedIndex {
 public:
  /// Throws InvalidInput for negative threads; Unavailable when address space is not to be had.
  explicit HostMap(HostMapOptions options = {});
  ~HostMap() override;
  HostMap(const HostMap&) = delete;
  HostMap& operator=(const HostMap&) = delete;

  std::string name() const override { return "host"; }
  std::uint64_t size() const override { return size_; }
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

  /// Single operations.
  std::optional<Value> find(Key key) const;
  std::optional<Entry> find_before(Key key) const;  ///< largest key <= key
  bool put(Key key, Value value);                   ///< true when the key is new
  bool remove(Key key);

  /// Without the containers: found[i] and values[i] by question, for callers that own the memory.
  void get_into(std::span<const Key> keys, Value* values, bool* found) const;

  /// Bytes of leaves in use and of the index.
  std::uint64_t memory_bytes() const;
  /// The first violation of the structure in one sentence, or an empty string.
  std::string verify() const;

 private:
  static constexpr std::uint32_t kLeaf = 32;   // entries of a leaf
  static constexpr std::uint32_t kBlock = 16;  // separators of a block
  static constexpr std::uint32_t kNone = 0xffffffffu;
  static constexpr std::uint32_t kGroup = 32;  // questions that descend together
  static constexpr std::uint32_t kFew = 16;    // entries of a leaf that are merged in place
  static constexpr Key kLargest = ~Key{0};
  struct Leaf {
    Key keys[kLeaf];
    Value values[kLeaf];
  };
  struct Meta {
    std::uint32_t count = 0;
    std::uint32_t next = kNone;  // the leaf behind this one that the index does not know yet
  };
  /// A leaf that came to be behind directory position `at`.
  struct Fresh {
    std::uint32_t at;
    Key low;
    std::uint32_t leaf;
  };

  Leaf& leaf(std::uint32_t id) const { return leaves_[id]; }
  std::uint32_t new_leaf(bool fill = true);
  std::uint32_t position_of(Key key) const;  // directory position whose leaf covers the key
  std::uint32_t leaf_of(Key key, std::uint32_t position) const;  // along the chain
  void descend(const Key* keys, std::uint32_t count, std::uint32_t* positions) const;
  static void ranks_in_leaves(const Key* const* leaves, const Key* keys, std::uint32_t count,
                              std::uint32_t* ranks);
  static void ranks_in_leaf(const Key* leaf, const Entry* entries, std::uint32_t count, std::uint32_t* ranks);
  template <typename Take>
  void each_leaf(std::span<const Key> keys, Take take) const;
  std::optional<std::uint32_t> merge_in_place(std::uint32_t id, const Entry* entries, std::uint32_t count);
  void rebuild(std::vector<Fresh> fresh);
  void rebuild_from_chains();
  void tidy();
  std::optional<Entry> before(std::uint32_t position, Key key) const;
  std::optional<Entry> after(std::uint32_t position, Key key) const;
  template <typename Work>
  void in_parallel(std::size_t count, std::size_t grain, Work work) const;

  HostMapOptions options_;
  Leaf* leaves_ = nullptr;                // one reservation; a leaf's place is its id
  std::vector<Meta> meta_;                // by leaf
  std::vector<std::uint32_t> free_;       // leaves to use again
  std::vector<std::uint32_t> directory_;  // leaves in key order
  std::vector<std::vector<Key>> levels_;  // separators; [0] of the leaves, padded with the largest key
  std::vector<std::uint32_t> sizes_;      // of the levels, without padding
  std::uint64_t size_ = 0;
  std::uint32_t chains_ = 0, longest_chain_ = 0, empty_ = 0;
};

}  // namespace ballast::index
