// Questions to the host map: groups descend together, so that their misses overlap.
#include <algorithm>

#include "ballast/index/host_map_inline.h"

namespace ballast::index {

void HostMap::get_into(std::span<const Key> keys, Value* values, bool* found) const {
  each_leaf(keys, [&](std::size_t i, std::uint32_t, std::uint32_t id, std::uint32_t rank) {
    const Leaf& at = leaf(id);
    found[i] = rank > 0 && at.keys[rank - 1] == keys[i];
    values[i] = found[i] ? at.values[rank - 1] : 0;
  });
}

std::vector<std::optional<Value>> HostMap::get(std::span<const Key> keys) {
  std::vector<std::optional<Value>> out(keys.size());
  each_leaf(keys, [&](std::size_t i, std::uint32_t, std::uint32_t id, std::uint32_t rank) {
    const Leaf& at = leaf(id);
    if (rank > 0 && at.keys[rank - 1] == keys[i]) out[i] = at.values[rank - 1];
  });
  return out;
}

// The largest entry <= key, from this directory position to the left: leaves may be empty, chains may hang.
std::optional<Entry> HostMap::before(std::uint32_t position, Key key) const {
  for (std::uint32_t p = position + 1; p-- > 0;) {
    std::optional<Entry> best;
    for (std::uint32_t id = directory_[p]; id != kNone; id = meta_[id].next) {
      const Leaf& at = leaf(id);
      const auto end = at.keys + meta_[id].count;
      const auto above = std::upper_bound(at.keys, end, key);
      if (above == at.keys) continue;
      best = Entry{above[-1], at.values[above - at.keys - 1]};
    }
    if (best) return best;
  }
  return std::nullopt;
}

std::optional<Entry> HostMap::after(std::uint32_t position, Key key) const {
  for (std::uint32_t p = position; p < directory_.size(); ++p) {
    for (std::uint32_t id = directory_[p]; id != kNone; id = meta_[id].next) {
      const Leaf& at = leaf(id);
      const auto end = at.keys + meta_[id].count;
      const auto found = std::lower_bound(at.keys, end, key);
      if (found != end) return Entry{*found, at.values[found - at.keys]};
    }
  }
  return std::nullopt;
}

std::vector<std::optional<Entry>> HostMap::predecessor(std::span<const Key> keys) {
  std::vector<std::optional<Entry>> out(keys.size());
  each_leaf(keys, [&](std::size_t i, std::uint32_t position, std::uint32_t id, std::uint32_t rank) {
    const Leaf& at = leaf(id);
    out[i] =
        rank > 0 ? std::optional(Entry{at.keys[rank - 1], at.values[rank - 1]}) : before(position, keys[i]);
  });
  return out;
}

std::vector<std::optional<Entry>> HostMap::successor(std::span<const Key> keys) {
  std::vector<std::optional<Entry>> out(keys.size());
  each_leaf(keys, [&](std::size_t i, std::uint32_t position, std::uint32_t id, std::uint32_t rank) {
    const Leaf& at = leaf(id);
    if (rank > 0 && at.keys[rank - 1] == keys[i]) {
      out[i] = Entry{at.keys[rank - 1], at.values[rank - 1]};
    } else if (rank < meta_[id].count) {
      out[i] = Entry{at.keys[rank], at.values[rank]};
    } else {
      out[i] = after(position, keys[i]);
    }
  });
  return out;
}

Rows HostMap::scan_first(std::span<const KeyRange> ranges, std::uint64_t limit) {
  rebuild_from_chains();
  Rows rows;
  std::vector<Key> lows;
  for (const auto& range : ranges) lows.push_back(range.low);
  std::vector<std::uint32_t> positions(ranges.size());
  for (std::size_t i = 0; i < ranges.size(); i += kGroup)
    descend(lows.data() + i, static_cast<std::uint32_t>(std::min<std::size_t>(kGroup, ranges.size() - i)),
            positions.data() + i);
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    const std::uint64_t begin = rows.entries.size();
    if (i + 4 < ranges.size())
      for (std::uint32_t line = 0; line < 2 * kLeaf; line += 8)
        __builtin_prefetch(leaf(directory_[positions[i + 4]]).keys + line);
    if (ranges[i].low <= ranges[i].high) {
      for (std::uint32_t p = positions[i]; p < directory_.size(); ++p) {
        const std::uint32_t id = directory_[p];
        const Leaf& at = leaf(id);
        const Key* end = at.keys + meta_[id].count;
        if (p + 1 < directory_.size())
          for (std::uint32_t line = 0; line < 2 * kLeaf; line += 8)
            __builtin_prefetch(leaf(directory_[p + 1]).keys + line);
        const Key* first = p == positions[i] ? std::lower_bound(at.keys, end, ranges[i].low) : at.keys;
        const Key* beyond =
            first != end && end[-1] <= ranges[i].high ? end : std::upper_bound(first, end, ranges[i].high);
        if (limit != 0) beyond = std::min(beyond, first + (begin + limit - rows.entries.size()));
        for (const Key* k = first; k != beyond; ++k) rows.entries.push_back({*k, at.values[k - at.keys]});
        if (beyond != end || (limit != 0 && rows.entries.size() == begin + limit) ||
            (p + 1 < directory_.size() && levels_[0][p + 1] > ranges[i].high))
          break;
      }
    }
    rows.bounds.emplace_back(begin, rows.entries.size());
  }
  return rows;
}

std::vector<std::uint64_t> HostMap::count(std::span<const KeyRange> ranges) {
  rebuild_from_chains();
  std::vector<std::uint64_t> out(ranges.size());
  in_parallel(ranges.size(), 16, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      const auto& [low, high] = ranges[i];
      if (low > high) continue;
      const std::uint32_t from = position_of(low), to = position_of(high);
      const auto rank = [&](std::uint32_t p, Key key, bool inclusive) {
        const Leaf& at = leaf(directory_[p]);
        const Key* last = at.keys + meta_[directory_[p]].count;
        return (inclusive ? std::upper_bound(at.keys, last, key) : std::lower_bound(at.keys, last, key)) -
               at.keys;
      };
      std::uint64_t sum = 0;
      for (std::uint32_t p = from; p < to; ++p) sum += meta_[directory_[p]].count;
      out[i] = sum + static_cast<std::uint64_t>(rank(to, high, true)) -
               static_cast<std::uint64_t>(rank(from, low, false));
    }
  });
  return out;
}

std::optional<Value> HostMap::find(Key key) const {
  const std::uint32_t position = position_of(key);
  const std::uint32_t id = chains_ == 0 ? directory_[position] : leaf_of(key, position);
  const Leaf& at = leaf(id);
  const Key* keys = at.keys;
  for (std::uint32_t line = 0; line < kLeaf; line += 8) {  // the misses of keys and values overlap
    __builtin_prefetch(keys + line);
    __builtin_prefetch(at.values + line);
  }
  std::uint32_t rank;
  ranks_in_leaves(&keys, &key, 1, &rank);
  if (key == kLargest) rank = meta_[id].count;
  return rank > 0 && keys[rank - 1] == key ? std::optional(at.values[rank - 1]) : std::nullopt;
}

std::optional<Entry> HostMap::find_before(Key key) const {
  return before(position_of(key), key);
}

}  // namespace ballast::index
