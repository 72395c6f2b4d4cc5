// What the parts of the host map share (host_map.cc: memory and index; host_map_read.cc; host_map_change.cc).
#pragma once

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>

#include "ballast/index/host_map.h"

namespace ballast::index {

template <typename Work>
void HostMap::in_parallel(std::size_t count, std::size_t grain, Work work) const {
  if (options_.threads == 1 || count <= grain) return work(std::size_t{0}, count);
  const auto all = [&] {
    tbb::parallel_for(tbb::blocked_range<std::size_t>(0, count, grain),
                      [&](const tbb::blocked_range<std::size_t>& part) { work(part.begin(), part.end()); });
  };
  options_.threads == 0 ? all() : tbb::task_arena(options_.threads).execute(all);
}

// Calls take(i, leaf, rank): question i lies in this leaf behind `rank` of its keys.
template <typename Take>
void HostMap::each_leaf(std::span<const Key> keys, Take take) const {
  in_parallel(keys.size(), 4096, [&](std::size_t begin, std::size_t end) {
    std::uint32_t positions[kGroup], ids[kGroup], ranks[kGroup];
    const Key* leaf_keys[kGroup];
    for (std::size_t first = begin; first < end; first += kGroup) {
      const auto count = static_cast<std::uint32_t>(std::min<std::size_t>(kGroup, end - first));
      descend(keys.data() + first, count, positions);
      for (std::uint32_t i = 0; i < count; ++i) {
        ids[i] = chains_ == 0 ? directory_[positions[i]] : leaf_of(keys[first + i], positions[i]);
        leaf_keys[i] = leaf(ids[i]).keys;
        for (std::uint32_t line = 0; line < kLeaf; line += 8) __builtin_prefetch(leaf_keys[i] + line);
      }
      ranks_in_leaves(leaf_keys, keys.data() + first, count, ranks);
      for (std::uint32_t i = 0; i < count; ++i) {
        if (keys[first + i] == kLargest) ranks[i] = meta_[ids[i]].count;
        if (ranks[i] > 0) __builtin_prefetch(&leaf(ids[i]).values[ranks[i] - 1]);
      }
      for (std::uint32_t i = 0; i < count; ++i) take(first + i, positions[i], ids[i], ranks[i]);
    }
  });
}

}  // namespace ballast::index
