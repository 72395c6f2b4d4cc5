// The tree with values in its level-0 chunks (specification 3.8, --leaf inline): predecessor, successor and
// scan end there and need no data round; an update writes to the data node and to the chunk.
#include <algorithm>

#include "ballast/index/pim_tree.h"

namespace ballast::index {

using pim::Address;
using pim::module_of;
using pim::offset_of;

// The entry at or before (`after`: at or after) each key. Within a group the keys ascend, so those that find
// nothing in their chunk stand first (`after`: last).
std::vector<std::optional<Entry>> PimTree::inline_entries(std::span<const Key> keys,
                                                          const std::vector<Address>& leaves, bool after) {
  std::vector<Group> groups = group(keys, leaves);
  plan_level(groups, false, 2);
  pim::Round& round = machine_.begin("L1");
  for (const auto& one : groups)
    if (!one.pull) push(round, after ? TASK_AFTER_PAIR : TASK_FIND_PAIR, keys, one);
  for (const auto& one : groups)
    if (one.pull) round.add(module_of(one.at), TASK_PULL, {offset_of(one.at)});
  machine_.run(round);
  std::vector<std::optional<Entry>> found(keys.size());
  struct Beyond {
    Address right;
    std::uint32_t first, end;  // keys that have nothing in their own chunk
  };
  std::vector<Beyond> beyond;
  const auto nothing = [&](std::uint32_t begin, std::uint32_t end, Address right) {
    if (begin == end || right == 0) return;
    if (!beyond.empty() && beyond.back().right == right) {
      beyond.back().end = end;
    } else {
      beyond.push_back({right, begin, end});
    }
  };
  for (const auto& one : groups) {
    if (one.pull) continue;
    each_piece(one, [&](std::uint32_t begin, std::uint32_t end) {
      const std::uint32_t module = module_of(one.at);
      const Address right = after ? *round.next(module, 1) : 0;
      const auto count = static_cast<std::uint32_t>(*round.next(module, 1));
      const std::uint64_t* pairs = round.next(module, 2 * std::size_t{count});
      const std::uint32_t from = after ? begin : end - count;
      for (std::uint32_t i = 0; i < count; ++i) found[from + i] = Entry{pairs[2 * i], pairs[2 * i + 1]};
      nothing(begin + count, end, right);
    });
  }
  for (const auto& one : groups) {
    if (!one.pull) continue;
    const Fetched chunk = read_fetched(round, module_of(one.at));
    std::size_t entry = 0;
    for (std::uint32_t i = one.begin; i < one.end; ++i) {
      while (entry < chunk.entries.size() &&
             (after ? chunk.entries[entry].key < keys[i] : chunk.entries[entry].key <= keys[i]))
        ++entry;
      if (!after && entry > 0) found[i] = chunk.entries[entry - 1];
      if (after && entry < chunk.entries.size()) found[i] = chunk.entries[entry];
      if (after && entry == chunk.entries.size()) nothing(i, one.end, chunk.link);
      if (after && entry == chunk.entries.size()) break;
    }
  }
  if (beyond.empty()) return found;
  pim::Round& right = machine_.begin("L1 right");
  for (const auto& one : beyond)
    right.add(module_of(one.right), TASK_AFTER_PAIR,
              {offset_of(one.right) | std::uint64_t{1} << 32, keys[one.first]});
  machine_.run(right);
  for (const auto& one : beyond) {
    const std::uint64_t* head = right.next(module_of(one.right), 2);
    if (head[1] == 0) continue;
    const std::uint64_t* pair = right.next(module_of(one.right), 2);
    for (std::uint32_t i = one.first; i < one.end; ++i) found[i] = Entry{pair[0], pair[1]};
  }
  return found;
}

// The rows of level-0 chunks.
std::vector<Entry> PimTree::inline_rows(std::span<const KeyRange> ranges, std::vector<RangeItem> items) {
  std::sort(items.begin(), items.end(), [](const RangeItem& a, const RangeItem& b) { return a.at < b.at; });
  pim::Round& round = machine_.begin("L1");
  std::vector<bool> pulled(items.size());
  for (const bool pull : {false, true}) {
    for (std::size_t begin = 0, end; begin < items.size(); begin = end) {
      for (end = begin; end < items.size() && items[end].at == items[begin].at;) ++end;
      const bool contended = options_.search == Search::pull ||
                             (options_.search == Search::push_pull && end - begin > limit_ / 2);
      if (contended != pull) continue;
      if (pull) round.add(module_of(items[begin].at), TASK_PULL, {offset_of(items[begin].at)});
      for (std::size_t i = begin; i < end; ++i) {
        pulled[i] = pull;
        if (!pull)
          round.add(module_of(items[i].at), TASK_RANGE_PAIR,
                    {offset_of(items[i].at), ranges[items[i].range].low, ranges[items[i].range].high});
      }
    }
  }
  machine_.run(round);
  std::vector<Entry> rows;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (pulled[i]) continue;
    const std::uint32_t module = module_of(items[i].at);
    const std::uint64_t count = *round.next(module, 1);
    const std::uint64_t* pairs = round.next(module, 2 * count);
    for (std::uint64_t p = 0; p < count; ++p) rows.push_back({pairs[2 * p], pairs[2 * p + 1]});
  }
  for (std::size_t begin = 0, end; begin < items.size(); begin = end) {
    for (end = begin; end < items.size() && items[end].at == items[begin].at;) ++end;
    if (!pulled[begin]) continue;
    const Fetched chunk = read_fetched(round, module_of(items[begin].at));
    for (std::size_t i = begin; i < end; ++i) {
      const KeyRange& range = ranges[items[i].range];
      for (const auto& entry : chunk.entries)
        if (entry.key >= range.low && entry.key <= range.high) rows.push_back(entry);
    }
  }
  return rows;
}

// The second write of an update: `entries` ascend and are present.
void PimTree::update_inline(std::span<const Entry> entries) {
  if (entries.empty()) return;
  std::vector<Key> keys;
  for (const auto& entry : entries) keys.push_back(entry.key);
  Paths paths;
  search_to_leaves(keys, nullptr, paths);
  pim::Round& round = machine_.begin("update L1");
  for (const auto& one : group(keys, paths.at[0])) {
    const std::uint64_t count = one.size();
    std::uint64_t* words = round.add(module_of(one.at), TASK_SET_VALUE, 1 + 2 * count);
    words[0] = offset_of(one.at) | count << 32;
    for (std::uint64_t i = 0; i < count; ++i) {
      words[1 + i] = entries[one.begin + i].key;
      words[1 + count + i] = entries[one.begin + i].value;
    }
  }
  machine_.run(round);
}

}  // namespace ballast::index
