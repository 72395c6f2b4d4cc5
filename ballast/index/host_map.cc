#include "ballast/index/host_map.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <atomic>

#include "ballast/base/errors.h"
#include "ballast/index/batch.h"

// The inner loops count keys of a block by vector compares of whatever the processor has.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define BALLAST_VECTOR __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define BALLAST_VECTOR
#endif

namespace ballast::index {
namespace {

constexpr std::uint64_t kMostLeaves = std::uint64_t{1}
                                      << 28;  // 128 GiB of address space, taken as it is used
constexpr std::uint32_t kGroup = 32;          // questions that descend together
constexpr Key kLargest = ~Key{0};

// How many of `Size` sorted keys are <= key.
template <int Size>
inline std::uint32_t rank_in(const Key* keys, Key key) {
  std::uint32_t rank = 0;
  for (int i = 0; i < Size; ++i) rank += keys[i] <= key;
  return rank;
}

// From the top level to the directory position, a group at a time, each step prefetching the next blocks.
BALLAST_VECTOR void descend_group(const Key* const* levels, const std::uint32_t* sizes, int height,
                                  const std::uint32_t* directory, const Key* keys, std::uint32_t count,
                                  std::uint32_t* at) {
  for (std::uint32_t i = 0; i < count; ++i) at[i] = 0;
  for (int level = height - 1; level >= 0; --level) {
    const Key* blocks = levels[level];
    const Key* below = level > 0 ? levels[level - 1] : nullptr;
    for (std::uint32_t i = 0; i < count; ++i) {
      if (level == 0) __builtin_prefetch(directory + 16 * std::size_t{at[i]});  // 16 leaves: one line
      const std::uint32_t rank = rank_in<16>(blocks + 16 * std::size_t{at[i]}, keys[i]);
      // The padding of a level's last block counts for the largest key.
      at[i] = std::min(16 * at[i] + (rank == 0 ? 0 : rank - 1), sizes[level] - 1);
      if (below != nullptr) {
        __builtin_prefetch(below + 16 * std::size_t{at[i]});
        __builtin_prefetch(below + 16 * std::size_t{at[i]} + 8);
      }
    }
  }
}

BALLAST_VECTOR void ranks_in_leaves(const Key* const* leaves, const Key* keys, std::uint32_t count,
                                    std::uint32_t* ranks) {
  for (std::uint32_t i = 0; i < count; ++i) ranks[i] = rank_in<32>(leaves[i], keys[i]);
}

}  // namespace

HostMap::HostMap(HostMapOptions options) : options_(options) {
  if (options.threads < 0)
    throw InvalidInput("threads", std::to_string(options.threads), "0 (all cores) or more");
  void* memory = ::mmap(nullptr, kMostLeaves * sizeof(Leaf), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw Unavailable::from_errno("the leaves of a host map", "cannot be reserved");
  ::madvise(memory, kMostLeaves * sizeof(Leaf), MADV_HUGEPAGE);
  leaves_ = static_cast<Leaf*>(memory);
  directory_.push_back(new_leaf());
  empty_ = 1;
  rebuild({});
}

HostMap::~HostMap() {
  ::munmap(leaves_, kMostLeaves * sizeof(Leaf));
}

std::uint32_t HostMap::new_leaf(bool fill) {
  std::uint32_t id;
  if (!free_.empty()) {
    id = free_.back();
    free_.pop_back();
    meta_[id] = {};
  } else {
    if (meta_.size() >= kMostLeaves) throw Unavailable("a host map is full at 2^28 leaves");
    id = static_cast<std::uint32_t>(meta_.size());
    meta_.emplace_back();
  }
  if (fill) std::fill(std::begin(leaves_[id].keys), std::end(leaves_[id].keys), kLargest);
  return id;
}

template <typename Work>
void HostMap::in_parallel(std::size_t count, std::size_t grain, Work work) const {
  if (options_.threads == 1 || count <= grain) return work(std::size_t{0}, count);
  const auto all = [&] {
    tbb::parallel_for(tbb::blocked_range<std::size_t>(0, count, grain),
                      [&](const tbb::blocked_range<std::size_t>& part) { work(part.begin(), part.end()); });
  };
  options_.threads == 0 ? all() : tbb::task_arena(options_.threads).execute(all);
}

void HostMap::descend(const Key* keys, std::uint32_t count, std::uint32_t* positions) const {
  const Key* levels[16];
  for (std::size_t l = 0; l < levels_.size(); ++l) levels[l] = levels_[l].data();
  descend_group(levels, sizes_.data(), static_cast<int>(levels_.size()), directory_.data(), keys, count,
                positions);
}

std::uint32_t HostMap::position_of(Key key) const {
  std::uint32_t position;
  descend(&key, 1, &position);
  return position;
}

std::uint32_t HostMap::leaf_of(Key key, std::uint32_t position) const {
  std::uint32_t id = directory_[position];
  while (meta_[id].next != kNone && leaf(meta_[id].next).keys[0] <= key) id = meta_[id].next;
  return id;
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

void HostMap::bulk_load(std::span<const Entry> sorted) {
  if (size_ != 0) throw InvalidInput("bulk load", "an index that is not empty", "an empty one");
  require_ascending(sorted);
  if (sorted.empty()) return;
  constexpr std::size_t kFill = 29;  // of 32: room for a few inserts
  const std::size_t count = (sorted.size() + kFill - 1) / kFill;
  free_.clear();
  meta_.assign(count, {});
  directory_.resize(count);
  in_parallel(count, 256, [&](std::size_t begin, std::size_t end) {
    for (std::size_t l = begin; l < end; ++l) {
      const auto part = sorted.subspan(l * kFill, std::min(kFill, sorted.size() - l * kFill));
      Leaf& to = leaves_[l];
      for (std::size_t i = 0; i < kLeaf; ++i) {
        to.keys[i] = i < part.size() ? part[i].key : kLargest;
        to.values[i] = i < part.size() ? part[i].value : 0;
      }
      meta_[l].count = static_cast<std::uint32_t>(part.size());
      directory_[l] = static_cast<std::uint32_t>(l);
    }
  });
  size_ = sorted.size();
  empty_ = 0;
  levels_.assign(1, {});
  levels_[0].resize(count);
  for (std::size_t l = 0; l < count; ++l) levels_[0][l] = sorted[l * kFill].key;
  rebuild({});
}

// Merges leaves that came to be (in order of their position) into directory and separators, drops empty
// leaves when they are many, and builds the levels above.
void HostMap::rebuild(std::vector<Fresh> fresh) {
  std::vector<Key> lows;
  std::vector<std::uint32_t> order;
  const std::size_t old = directory_.size();
  lows.reserve(old + fresh.size() + kBlock);
  order.reserve(old + fresh.size());
  const bool drop = empty_ > old / 16;
  std::size_t next = 0;
  for (std::size_t p = 0; p < old; ++p) {
    const std::uint32_t id = directory_[p];
    if (!drop || meta_[id].count > 0 || p == 0) {
      order.push_back(id);
      lows.push_back(levels_.empty() ? 0 : levels_[0][p]);
    } else {
      free_.push_back(id);
      --empty_;
    }
    for (; next < fresh.size() && fresh[next].at == p; ++next) {
      order.push_back(fresh[next].leaf);
      lows.push_back(fresh[next].low);
    }
  }
  lows[0] = 0;  // the first leaf covers everything below
  directory_ = std::move(order);
  levels_.assign(1, std::move(lows));
  sizes_.clear();
  for (;;) {
    auto& level = levels_.back();
    const std::size_t count = level.size();
    sizes_.push_back(static_cast<std::uint32_t>(count));
    level.resize((count + kBlock - 1) / kBlock * kBlock, kLargest);
    if (count <= kBlock) break;
    std::vector<Key> above;
    for (std::size_t i = 0; i < count; i += kBlock) above.push_back(level[i]);
    levels_.push_back(std::move(above));
  }
  chains_ = longest_chain_ = 0;
}

void HostMap::rebuild_from_chains() {
  if (chains_ == 0) return;
  std::vector<Fresh> fresh;
  for (std::uint32_t p = 0; p < directory_.size(); ++p) {
    std::uint32_t id = directory_[p];
    while (meta_[id].next != kNone) {
      const std::uint32_t behind = meta_[id].next;
      meta_[id].next = kNone;
      fresh.push_back({p, leaf(behind).keys[0], behind});
      id = behind;
    }
  }
  rebuild(std::move(fresh));
}

void HostMap::tidy() {
  if (empty_ > directory_.size() / 16 + 1) rebuild({});
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
  constexpr std::uint32_t kFill = 24;
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
      std::uint32_t old = 0;
      // Most runs fit: then what lies behind the first new key moves up in place, from the back.
      std::uint32_t fresh_here = 0;
      for (std::size_t i = runs[r].begin; i < runs[r].end; ++i) {
        while (old < had && at.keys[old] < batch[i].key) ++old;
        fresh_here += old == had || at.keys[old] != batch[i].key;
      }
      if (had + fresh_here <= kLeaf) {
        std::uint32_t to = had + fresh_here, from = had;
        meta_[id].count = to;
        for (std::size_t i = runs[r].end; i-- > runs[r].begin;) {
          while (from > 0 && at.keys[from - 1] > batch[i].key) {
            --from;
            --to;
            at.keys[to] = at.keys[from];
            at.values[to] = at.values[from];
          }
          if (from > 0 && at.keys[from - 1] == batch[i].key) --from;
          --to;
          at.keys[to] = batch[i].key;
          at.values[to] = batch[i].value;
        }
        fresh_keys += fresh_here;
        no_longer_empty += had == 0;
        used[r] = 0;
        continue;
      }
      merged.clear();
      old = 0;
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

Rows HostMap::scan(std::span<const KeyRange> ranges) {
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
        for (const Key* k = first; k != beyond; ++k) rows.entries.push_back({*k, at.values[k - at.keys]});
        if (beyond != end || (p + 1 < directory_.size() && levels_[0][p + 1] > ranges[i].high)) break;
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

std::uint64_t HostMap::memory_bytes() const {
  std::uint64_t bytes = (meta_.size() - free_.size()) * (sizeof(Leaf) + sizeof(Meta)) + 4 * directory_.size();
  for (const auto& level : levels_) bytes += 8 * level.size();
  return bytes;
}

std::string HostMap::verify() const {
  std::uint64_t seen = 0, empty = 0;
  std::optional<Key> last;
  for (std::uint32_t p = 0; p < directory_.size(); ++p) {
    for (std::uint32_t id = directory_[p]; id != kNone; id = meta_[id].next) {
      const Leaf& at = leaf(id);
      empty += meta_[id].count == 0;
      for (std::uint32_t i = 0; i < kLeaf; ++i) {
        if (i >= meta_[id].count) {
          if (at.keys[i] != kLargest) return fmt::format("leaf {} has a key behind its end", p);
          continue;
        }
        if (last && at.keys[i] <= *last) return fmt::format("keys of leaf {} do not ascend", p);
        if (at.keys[i] < levels_[0][p]) return fmt::format("leaf {} has a key below its separator", p);
        if (p + 1 < directory_.size() && at.keys[i] >= levels_[0][p + 1])
          return fmt::format("leaf {} reaches into the next", p);
        last = at.keys[i];
        ++seen;
      }
    }
  }
  if (seen != size_) return fmt::format("{} keys are reachable, the size is {}", seen, size_);
  if (empty != empty_) return fmt::format("{} leaves are empty, {} are counted", empty, empty_);
  return {};
}

}  // namespace ballast::index
