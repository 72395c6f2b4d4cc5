// The structure verifier: what must hold after every batch (specification 3.9, 8), checked through the
// modules' own tasks.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <map>

#include "ballast/index/pim_tree.h"

namespace ballast::index {
namespace {

using pim::Address;
using pim::module_of;
using pim::offset_of;

struct Seen {
  Address at = 0, left = 0, right = 0, first = 0;
  std::uint64_t level = 0, room = 0;
  std::optional<Key> head;     // nothing for the leftmost chunk
  std::vector<Entry> entries;  // in key order
};

struct Restore {
  pim::Machine& machine;
  const pim::Cost& cost;
  ~Restore() { machine.restore_cost(cost); }
};

bool by_key(const Entry& a, const Entry& b) {
  return a.key < b.key;
}

}  // namespace

std::vector<PimTree::ModuleUsage> PimTree::usage() {
  const pim::Cost before = machine_.cost();
  const Restore restore{machine_, before};
  pim::Round& round = machine_.begin("usage");
  for (std::uint32_t m = 0; m < machine_.modules(); ++m) round.add(m, TASK_USAGE, {});
  machine_.run(round);
  std::vector<ModuleUsage> out;
  for (std::uint32_t m = 0; m < machine_.modules(); ++m) {
    const std::uint64_t* words = round.next(m, 4);
    out.push_back({words[0], words[1]});
  }
  return out;
}

std::string PimTree::verify() {
  const pim::Cost before = machine_.cost();
  const Restore restore{machine_, before};

  // L3: every replica names the same roots.
  pim::Round& top = machine_.begin("verify");
  const std::uint32_t replicas = options_.l3_host ? 0 : machine_.modules();
  for (std::uint32_t m = 0; m < replicas; ++m) top.add(m, TASK_L3_RANGE, {0, ~Key{0}});
  machine_.run(top);
  std::vector<Address> roots;
  if (options_.l3_host) {
    roots.push_back(host_root(0));
    for (const auto& [key, root] : l3_)
      if (key > 0) roots.push_back(root);
  }
  for (std::uint32_t m = 0; m < replicas; ++m) {
    const std::uint64_t count = *top.next(m, 1);
    const std::uint64_t* words = top.next(m, count);
    std::vector<Address> here(words, words + count);
    // Key 0 may head a root: then the range begins with it, and the leftmost root is not listed.
    if (m == 0) roots = here;
    if (here != roots) return fmt::format("the L3 replica of module {} differs from that of module 0", m);
  }
  if (roots.front() != leftmost_.back()) roots.insert(roots.begin(), leftmost_.back());

  std::vector<Address> chunks = roots;
  std::vector<std::optional<Key>> heads;
  std::map<Address, std::vector<Entry>> level_one;
  std::vector<Seen> top_chunks;
  std::uint64_t chunk_words = 0;
  for (std::uint32_t level = levels_; level-- > 0;) {
    pim::Round& round = machine_.begin("verify");
    for (const Address at : chunks) round.add(module_of(at), TASK_INSPECT, {offset_of(at)});
    machine_.run(round);
    std::vector<Seen> seen;
    for (std::size_t i = 0; i < chunks.size(); ++i) {
      const std::uint32_t module = module_of(chunks[i]);
      const std::uint64_t* head = round.next(module, 6);
      Seen one{chunks[i], head[1], head[2], head[3], head[4], head[5], {}, {}};
      const std::uint64_t count = head[0];
      const std::uint64_t* words = round.next(module, 2 * count);
      for (std::uint64_t e = 0; e < count; ++e) one.entries.push_back({words[e], words[count + e]});
      std::sort(one.entries.begin(), one.entries.end(), by_key);
      const bool root = level == levels_ - 1;
      if (i > 0) {
        // The parents' entries gave the head of every chunk below the top; a root is headed by its smallest
        // entry.
        if (one.entries.empty()) return fmt::format("chunk {} of level {} is empty and has a head", i, level);
        one.head = root ? one.entries.front().key : *heads[i];
        if (one.entries.front().key != *one.head)
          return fmt::format("chunk {} of level {} does not begin with its head", i, level);
      }
      const std::uint64_t columns = root && options_.shadow ? 3 : 2;
      chunk_words += 8 + (one.room == 0 ? 0 : std::max<std::uint64_t>(4, std::bit_ceil(columns * one.room)));
      seen.push_back(std::move(one));
    }
    std::vector<Address> below;
    std::vector<std::optional<Key>> below_heads;
    for (std::size_t i = 0; i < seen.size(); ++i) {
      const Seen& one = seen[i];
      if (one.level != level)
        return fmt::format("chunk {} of level {} says that its level is {}", i, level, one.level);
      if (one.left != (i == 0 ? 0 : seen[i - 1].at))
        return fmt::format("left link of chunk {} of level {} is wrong", i, level);
      if (one.right != (i + 1 == seen.size() ? 0 : seen[i + 1].at))
        return fmt::format("right link of chunk {} of level {} is wrong", i, level);
      if (options_.chunking == Chunking::ab && bounded_ && one.entries.size() > 2 * options_.chunk)
        return fmt::format("chunk {} of level {} has {} entries, which is above the bound", i, level,
                           one.entries.size());
      for (std::size_t e = 1; e < one.entries.size(); ++e)
        if (one.entries[e - 1].key == one.entries[e].key)
          return fmt::format("a key twice in chunk {} of level {}", i, level);
      if (!one.entries.empty() && i + 1 < seen.size() && seen[i + 1].head &&
          one.entries.back().key >= *seen[i + 1].head)
        return fmt::format("chunk {} of level {} reaches into the next one", i, level);
      if ((one.first != 0) != (i == 0 && level > 0))
        return fmt::format("first child of chunk {} of level {} is wrong", i, level);
      if (level > 0) {
        if (i == 0) {
          below.push_back(one.first);
          below_heads.emplace_back();
        }
        for (const auto& entry : one.entries) {
          below.push_back(entry.value);
          below_heads.emplace_back(entry.key);
        }
      } else {
        for (const auto& entry : one.entries) {
          below.push_back(entry.value);
          below_heads.emplace_back(entry.key);
        }
      }
    }
    if (level == 1)
      for (const auto& one : seen) level_one[one.at] = one.entries;
    if (level == levels_ - 1) top_chunks = seen;
    chunks = std::move(below);
    heads = std::move(below_heads);
  }

  // Data nodes: the keys are those of the entries; the hash tables find each.
  if (chunks.size() != size_)
    return fmt::format("{} keys are reachable, the size is {}", chunks.size(), size_);
  pim::Round& data = machine_.begin("verify");
  const bool in_line = options_.leaf == Leaf::in_line;
  for (std::size_t i = 0; i < chunks.size() && !in_line; ++i) {
    if (module_of(chunks[i]) != place(*heads[i], 0))
      return fmt::format("key {} lies on a wrong module", *heads[i]);
    data.add(module_of(chunks[i]), TASK_DATA, {offset_of(chunks[i])});
  }
  for (std::size_t i = 0; i < chunks.size(); ++i) data.add(place(*heads[i], 0), TASK_GET, {*heads[i]});
  machine_.run(data);
  std::vector<Value> values;
  if (in_line) values.assign(chunks.begin(), chunks.end());  // what stands in the chunks
  for (std::size_t i = 0; i < chunks.size() && !in_line; ++i) {
    const std::uint64_t* node = data.next(module_of(chunks[i]), 2);
    if (node[0] != *heads[i]) return fmt::format("the entry of key {} leads to key {}", *heads[i], node[0]);
    values.push_back(node[1]);
  }
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    const std::uint64_t* got = data.next(place(*heads[i], 0), 2);
    if (got[0] == 0 || got[1] != values[i])
      return fmt::format("the hash table does not find key {} with the value of its entry", *heads[i]);
  }

  // Shadows: every root has a copy of every child, equal to the original entry by entry.
  if (options_.shadow) {
    std::vector<std::pair<Address, Address>> pairs;
    for (const auto& root : top_chunks) {
      if (root.first != 0) pairs.emplace_back(root.at, root.first);
      for (const auto& entry : root.entries) pairs.emplace_back(root.at, entry.value);
    }
    pim::Round& round = machine_.begin("verify");
    for (const auto& [root, child] : pairs)
      round.add(module_of(root), TASK_COPY_PULL, {offset_of(root), child});
    machine_.run(round);
    for (const auto& [root, child] : pairs) {
      const std::uint64_t* head = round.next(module_of(root), 3);
      const std::uint64_t count = head[1];
      const std::uint64_t* words = round.next(module_of(root), 2 * count);
      if (head[0] == 0) return "a root lacks the copy of a child";
      std::vector<Entry> copy;
      for (std::uint64_t e = 0; e < count; ++e) copy.push_back({words[e], words[count + e]});
      std::sort(copy.begin(), copy.end(), by_key);
      if (copy != level_one[child]) return "a shadow copy differs from its original";
      chunk_words += 8 + (head[2] == 0 ? 0 : std::max<std::uint64_t>(4, std::bit_ceil(2 * head[2])));
    }
  }

  // No leak: what is allocated is what was seen, besides the tables and the replicas of L3.
  pim::Round& usage = machine_.begin("verify");
  for (std::uint32_t m = 0; m < machine_.modules(); ++m) usage.add(m, TASK_USAGE, {});
  machine_.run(usage);
  std::uint64_t used = 0, keys = 0;
  for (std::uint32_t m = 0; m < machine_.modules(); ++m) {
    const std::uint64_t* words = usage.next(m, 4);
    used += words[0] - words[3];
    keys += words[1];
  }
  if (keys != size_) return fmt::format("the hash tables hold {} keys, the size is {}", keys, size_);
  if (used != chunk_words + 4 * size_)
    return fmt::format("{} words are allocated, {} are reachable", used, chunk_words + 4 * size_);
  return {};
}

}  // namespace ballast::index
