// The first step of every batch: sort, remove duplicates, keep the way back.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ballast/index/types.h"

namespace ballast::index {

struct SortedKeys {
  std::vector<Key> keys;             ///< distinct, ascending
  std::vector<std::uint32_t> place;  ///< question i is about keys[place[i]]
};
SortedKeys sort_keys(std::span<const Key> questions);
/// The same with duplicates kept, and without sorting: what a baseline or an ablation may start from.
SortedKeys sort_all(std::span<const Key> questions);
SortedKeys as_they_are(std::span<const Key> questions);

struct SortedEntries {
  std::vector<Key> keys;
  std::vector<Value> values;  ///< of the last entry of each key
  std::vector<std::uint32_t> place;
};
SortedEntries sort_entries(std::span<const Entry> entries);

/// Where each range begins and ends in entries that are in key order; an empty range has both ends in one
/// place.
std::vector<std::pair<std::uint64_t, std::uint64_t>> bounds_of(std::span<const Entry> sorted,
                                                               std::span<const KeyRange> ranges);

/// Ranges in order of their lower ends, overlapping and touching ones joined, empty ones left out.
std::vector<KeyRange> merge_ranges(std::span<const KeyRange> ranges);

}  // namespace ballast::index
