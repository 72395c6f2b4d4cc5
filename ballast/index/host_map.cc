#include "ballast/index/host_map_inline.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>

#include "ballast/base/errors.h"

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

}  // namespace

BALLAST_VECTOR void HostMap::ranks_in_leaves(const Key* const* leaves, const Key* keys, std::uint32_t count,
                                             std::uint32_t* ranks) {
  for (std::uint32_t i = 0; i < count; ++i) ranks[i] = rank_in<kLeaf>(leaves[i], keys[i]);
}

BALLAST_VECTOR void HostMap::ranks_in_leaf(const Key* keys, const Entry* entries, std::uint32_t count,
                                           std::uint32_t* ranks) {
  for (std::uint32_t i = 0; i < count; ++i) ranks[i] = rank_in<kLeaf>(keys, entries[i].key);
}

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

void HostMap::bulk_load(std::span<const Entry> sorted) {
  if (size_ != 0) throw InvalidInput("bulk load", "an index that is not empty", "an empty one");
  require_ascending(sorted);
  if (sorted.empty()) return;
  constexpr std::size_t kFill = kLeaf - 3;  // room for a few inserts
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
