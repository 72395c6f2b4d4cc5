// The tasks of one machine's batch by their key, which the leaf of the forest, `auto`, deduplicated pull and
// the cache of hot keys all begin with: which group each task belongs to, how many tasks a group has, who
// owns its key. Made once a stage.
//
// One pass over the batch with an open table that is large enough from the start (half full at most): a slot
// holds 32 bits of the key's hash and the number of its group, so that keys are compared only where those
// bits are equal. Sixteen keys are looked up together, and their slots asked for ahead.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "ballast/orch/task.h"

namespace ballast::orch::internal {

struct KeyGroup {
  std::uint32_t first = 0;  ///< the first of its tasks, in the order of the batch
  std::uint32_t count = 0;
  std::uint32_t owner = 0;  ///< of its key
};

template <typename Key>
class Groups {
 public:
  /// Keeps its memory from batch to batch. owner(key): the machine that owns it. `mask` as in KeyHash.
  template <typename OwnerOf>
  void assign(const std::vector<Key>& keys, std::uint64_t mask, OwnerOf owner) {
    const std::size_t n = keys.size();
    slots_.assign(std::bit_ceil(std::max<std::size_t>(16, 2 * n)), 0);
    group_of_.resize(n);
    groups_.clear();
    groups_.reserve(n);
    const std::uint64_t last = slots_.size() - 1;
    const KeyHash<Key> hash{mask};
    std::array<std::uint64_t, kAhead> hashes;
    for (std::size_t begin = 0; begin < n; begin += kAhead) {
      const std::size_t count = std::min(kAhead, n - begin);
      for (std::size_t j = 0; j < count; ++j) {
        hashes[j] = hash(keys[begin + j]);
        __builtin_prefetch(&slots_[hashes[j] & last]);
      }
      for (std::size_t j = 0; j < count; ++j) {
        const std::size_t i = begin + j;
        const std::uint64_t tag = hashes[j] & kTagBits;
        for (std::uint64_t at = hashes[j] & last;; at = (at + 1) & last) {
          if (slots_[at] == 0) {
            groups_.push_back({static_cast<std::uint32_t>(i), 1, static_cast<std::uint32_t>(owner(keys[i]))});
            slots_[at] = tag | groups_.size();
            group_of_[i] = static_cast<std::uint32_t>(groups_.size() - 1);
            break;
          }
          if ((slots_[at] & kTagBits) != tag) continue;
          const auto g = static_cast<std::uint32_t>(slots_[at]) - 1;
          if (!(keys[groups_[g].first] == keys[i])) continue;
          ++groups_[g].count;
          group_of_[i] = g;
          break;
        }
      }
    }
  }

  /// In the order in which their keys first came.
  const std::vector<KeyGroup>& all() const { return groups_; }
  std::uint32_t of(std::size_t task) const { return group_of_[task]; }

 private:
  static constexpr std::size_t kAhead = 16;
  static constexpr std::uint64_t kTagBits = ~std::uint64_t{0xffffffff};
  std::vector<std::uint64_t> slots_;  ///< upper half: of the key's hash; lower: group + 1; 0: empty
  std::vector<KeyGroup> groups_;
  std::vector<std::uint32_t> group_of_;
};

}  // namespace ballast::orch::internal
