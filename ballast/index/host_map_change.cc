// Changes of the host map: a sorted batch merges leaf by leaf; single operations hang new leaves behind full
// ones.
#include <algorithm>
#include <atomic>

#include "ballast/base/errors.h"
#include "ballast/index/batch.h"
#include "ballast/index/host_map_inline.h"

namespace ballast::index {

// A few ascending entries into a leaf that has room: one vector compare a key gives its rank; what lies
// behind moves up, from the back. Returns the new keys; nothing when they do not fit.
std::optional<std::uint32_t> HostMap::merge_in_place(std::uint32_t id, const Entry* entries,
                                                     std::uint32_t count) {
  Leaf& at = leaf(id);
  const std::uint32_t had = meta_[id].count;
  std::uint32_t ranks[kFew] = {}, fresh = count;
  ranks_in_leaf(at.keys, entries, count, ranks);
  const auto present = [&](std::uint32_t i) {
    return ranks[i] > 0 && at.keys[ranks[i] - 1] == entries[i].key;
  };
  for (std::uint32_t i = 0; i < count; ++i) {
    if (entries[i].key == kLargest) ranks[i] = had;  // what is behind the end counts for this key
    fresh -= present(i);
  }
  if (had + fresh > kLeaf) return std::nullopt;
  for (std::uint32_t i = count, shift = fresh, end = had; i-- > 0;) {
    if (present(i)) {
      at.values[ranks[i] - 1] = entries[i].value;
      continue;
    }
    std::copy_backward(at.keys + ranks[i], at.keys + end, at.keys + end + shift);
    std::copy_backward(at.values + ranks[i], at.values + end, at.values + end + shift);
    --shift;
    at.keys[ranks[i] + shift] = entries[i].key;
    at.values[ranks[i] + shift] = entries[i].value;
    end = ranks[i];
  }
  meta_[id].count = had + fresh;
  return fresh;
}

InsertReport HostMap::insert(std::span<const Entry> entries) {
  rebuild_from_chains();
  // In key order; of several entries of one key the last is kept. Ascending batches are taken as they come.
  std::vector<Entry> sorted;
  std::span<const Entry> batch = entries;
  const auto ascends = [](const Entry& a, const Entry& b) { return a.key >= b.key; };
  if (std::adjacent_find(entries.begin(), entries.end(), ascends) != entries.end()) {
    const SortedEntries by_key = sort_entries(entries);
    sorted.resize(by_key.keys.size());
    for (std::size_t i = 0; i < sorted.size(); ++i) sorted[i] = {by_key.keys[i], by_key.values[i]};
    batch = sorted;
  }
  const std::size_t count = batch.size();
  // Where each part of the batch begins in the directory; parts end where a leaf ends.
  struct Run {
    std::uint32_t position;
    std::size_t begin, end;
  };
  std::vector<Run> runs;
  for (std::size_t begin = 0; begin < count;) {
    const std::uint32_t position = !runs.empty() && runs.back().position + 1 < directory_.size() &&
                                           (runs.back().position + 2 >= directory_.size() ||
                                            batch[begin].key < levels_[0][runs.back().position + 2])
                                       ? runs.back().position + 1
                                       : position_of(batch[begin].key);
    std::size_t end = begin + 1;
    const bool last = position + 1 >= directory_.size();
    while (end < count && (last || batch[end].key < levels_[0][position + 1])) ++end;
    runs.push_back({position, begin, end});
    begin = end;
  }
  // Leaves that a run will need beyond its own are taken first, in order, so that runs can be merged in
  // parallel.
  constexpr std::uint32_t kFill = 3 * kLeaf / 4;
  std::vector<std::uint32_t> spare_begin(runs.size() + 1);
  for (std::size_t r = 0; r < runs.size(); ++r) {
    const std::uint64_t most = meta_[directory_[runs[r].position]].count + (runs[r].end - runs[r].begin);
    spare_begin[r + 1] =
        spare_begin[r] + (most <= kLeaf ? 0 : static_cast<std::uint32_t>((most + kFill - 1) / kFill - 1));
  }
  std::vector<std::uint32_t> spare(spare_begin.back());
  for (auto& id : spare) id = new_leaf(false);  // the merge writes them whole
  std::vector<std::uint32_t> used(runs.size());
  std::atomic<std::uint64_t> inserted{0}, filled{0};
  in_parallel(runs.size(), 512, [&](std::size_t first, std::size_t beyond) {
    std::vector<Entry> merged;
    std::uint64_t fresh_keys = 0, no_longer_empty = 0;
    for (std::size_t r = first; r < beyond; ++r) {
      if (r + 4 < beyond)
        for (std::uint32_t line = 0; line < 2 * kLeaf; line += 8)
          __builtin_prefetch(leaf(directory_[runs[r + 4].position]).keys + line);
      const std::uint32_t id = directory_[runs[r].position];
      Leaf& at = leaf(id);
      const std::uint32_t had = meta_[id].count;
      const auto few =
          static_cast<std::uint32_t>(std::min<std::size_t>(runs[r].end - runs[r].begin, kFew + 1));
      if (few <= kFew) {
        if (const auto fresh_here = merge_in_place(id, batch.data() + runs[r].begin, few)) {
          fresh_keys += *fresh_here;
          no_longer_empty += had == 0;
          used[r] = 0;
          continue;
        }
      }
      std::uint32_t old = 0;
      merged.clear();
      for (std::size_t i = runs[r].begin; i < runs[r].end; ++i) {
        while (old < had && at.keys[old] < batch[i].key)
          merged.push_back({at.keys[old], at.values[old]}), ++old;
        if (old < had && at.keys[old] == batch[i].key) ++old;
        merged.push_back(batch[i]);
      }
      for (; old < had; ++old) merged.push_back({at.keys[old], at.values[old]});
      fresh_keys += merged.size() - had;
      no_longer_empty += had == 0;
      const std::size_t pieces = merged.size() <= kLeaf ? 1 : (merged.size() + kFill - 1) / kFill;
      used[r] = static_cast<std::uint32_t>(pieces) - 1;
      for (std::size_t piece = 0; piece < pieces; ++piece) {
        const std::size_t from = piece * merged.size() / pieces, to = (piece + 1) * merged.size() / pieces;
        const std::uint32_t target = piece == 0 ? id : spare[spare_begin[r] + piece - 1];
        Leaf& out = leaf(target);
        for (std::size_t i = 0; i < kLeaf; ++i) {
          out.keys[i] = from + i < to ? merged[from + i].key : kLargest;
          out.values[i] = from + i < to ? merged[from + i].value : 0;
        }
        meta_[target].count = static_cast<std::uint32_t>(to - from);
      }
    }
    inserted += fresh_keys;
    filled += no_longer_empty;
  });
  empty_ -= static_cast<std::uint32_t>(filled.load());
  std::vector<Fresh> fresh;
  for (std::size_t r = 0; r < runs.size(); ++r) {
    for (std::uint32_t s = spare_begin[r]; s < spare_begin[r + 1]; ++s) {
      if (s - spare_begin[r] < used[r]) {
        fresh.push_back({runs[r].position, leaf(spare[s]).keys[0], spare[s]});
      } else {
        free_.push_back(spare[s]);
      }
    }
  }
  if (!fresh.empty()) rebuild(std::move(fresh));
  size_ += inserted;
  return {inserted, count - inserted, entries.size() - count};
}

std::vector<bool> HostMap::update(std::span<const Entry> entries) {
  std::vector<Key> keys;
  for (const auto& entry : entries) keys.push_back(entry.key);
  std::vector<std::uint64_t> places(entries.size());
  each_leaf(keys, [&](std::size_t i, std::uint32_t, std::uint32_t id, std::uint32_t rank) {
    const bool found = rank > 0 && leaf(id).keys[rank - 1] == keys[i];
    places[i] = found ? std::uint64_t{id} << 8 | rank : 0;
  });
  std::vector<bool> found(entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {  // in batch order: the last one of a key wins
    found[i] = places[i] != 0;
    if (found[i])
      leaf(static_cast<std::uint32_t>(places[i] >> 8)).values[(places[i] & 0xff) - 1] = entries[i].value;
  }
  return found;
}

std::vector<bool> HostMap::erase(std::span<const Key> questions) {
  rebuild_from_chains();
  const SortedKeys batch = sort_keys(questions);
  std::vector<std::uint32_t> positions(batch.keys.size());
  in_parallel(batch.keys.size(), 4096, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; i += kGroup)
      descend(batch.keys.data() + i, static_cast<std::uint32_t>(std::min<std::size_t>(kGroup, end - i)),
              positions.data() + i);
  });
  std::vector<char> gone(batch.keys.size());
  for (std::size_t begin = 0, end; begin < batch.keys.size(); begin = end) {
    for (end = begin; end < batch.keys.size() && positions[end] == positions[begin];) ++end;
    if (end + 8 < batch.keys.size())
      for (std::uint32_t line = 0; line < 2 * kLeaf; line += 8)
        __builtin_prefetch(leaf(directory_[positions[end + 8]]).keys + line);
    const std::uint32_t id = directory_[positions[begin]];
    Leaf& at = leaf(id);
    std::uint32_t kept = 0, removed = 0;
    std::size_t i = begin;
    const std::uint32_t had = meta_[id].count;
    for (std::uint32_t e = 0; e < had; ++e) {
      while (i < end && batch.keys[i] < at.keys[e]) ++i;
      if (i < end && batch.keys[i] == at.keys[e]) {
        gone[i] = 1;
        ++removed;
        continue;
      }
      at.keys[kept] = at.keys[e];
      at.values[kept] = at.values[e];
      ++kept;
    }
    std::fill(at.keys + kept, at.keys + had, kLargest);
    meta_[id].count = kept;
    size_ -= removed;
    empty_ += had > 0 && kept == 0;
  }
  std::vector<bool> out(questions.size());
  for (std::size_t i = 0; i < questions.size(); ++i) out[i] = gone[batch.place[i]] != 0;
  tidy();
  return out;
}

bool HostMap::put(Key key, Value value) {
  const std::uint32_t position = position_of(key);
  std::uint32_t id = leaf_of(key, position);
  std::uint32_t at = static_cast<std::uint32_t>(
      std::lower_bound(leaf(id).keys, leaf(id).keys + meta_[id].count, key) - leaf(id).keys);
  if (at < meta_[id].count && leaf(id).keys[at] == key) {
    leaf(id).values[at] = value;
    return false;
  }
  bool split = false;
  if (meta_[id].count == kLeaf) {
    // The new leaf hangs behind this one; ascending keys leave full leaves behind them.
    const std::uint32_t keep = at == kLeaf ? kLeaf : kLeaf / 2, behind = new_leaf();
    Leaf &left = leaf(id), &right = leaf(behind);
    std::copy(left.keys + keep, left.keys + kLeaf, right.keys);
    std::copy(left.values + keep, left.values + kLeaf, right.values);
    std::fill(left.keys + keep, left.keys + kLeaf, kLargest);
    meta_[behind] = {kLeaf - keep, meta_[id].next};
    meta_[id] = {keep, behind};
    ++chains_;
    split = true;
    if (at > keep || keep == kLeaf) {
      id = behind;
      at -= keep;
    }
  }
  Leaf& to = leaf(id);
  const std::uint32_t count = meta_[id].count;
  std::copy_backward(to.keys + at, to.keys + count, to.keys + count + 1);
  std::copy_backward(to.values + at, to.values + count, to.values + count + 1);
  to.keys[at] = key;
  to.values[at] = value;
  empty_ -= count == 0 && !split;
  ++meta_[id].count;
  ++size_;
  if (split) {
    std::uint32_t length = 0;
    for (std::uint32_t c = directory_[position]; c != kNone; c = meta_[c].next) ++length;
    if (length > 8 || chains_ > directory_.size() / 64 + 8) rebuild_from_chains();
  }
  return true;
}

bool HostMap::remove(Key key) {
  const std::uint32_t id = leaf_of(key, position_of(key));
  Leaf& at = leaf(id);
  const std::uint32_t count = meta_[id].count;
  const auto found = static_cast<std::uint32_t>(std::lower_bound(at.keys, at.keys + count, key) - at.keys);
  if (found == count || at.keys[found] != key) return false;
  if (count == 1 && chains_ > 0) {  // a chained leaf must not be empty: its first key is its place
    rebuild_from_chains();
    return remove(key);
  }
  std::copy(at.keys + found + 1, at.keys + count, at.keys + found);
  std::copy(at.values + found + 1, at.values + count, at.values + found);
  at.keys[count - 1] = kLargest;
  --meta_[id].count;
  --size_;
  if (count == 1) {
    ++empty_;
    tidy();
  }
  return true;
}

}  // namespace ballast::index
