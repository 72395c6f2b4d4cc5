// Batch delete (specification 3.6): data nodes tell the heights of their keys; entries are removed; chunks
// whose head is gone are taken apart and joined to the nearest surviving chunk on their left.
#include <algorithm>

#include "ballast/base/errors.h"
#include "ballast/index/batch.h"
#include "ballast/index/pim_tree_changes.h"

namespace ballast::index {

using pim::Address;
using pim::module_of;
using pim::offset_of;

Address PimTree::Removal::survivor(Address chunk) const {
  for (auto found = taken_at.find(chunk); found != taken_at.end(); found = taken_at.find(chunk))
    chunk = taken[found->second].left;
  return chunk;
}

Address PimTree::Removal::right_survivor(Address chunk) const {
  for (auto found = taken_at.find(chunk); found != taken_at.end(); found = taken_at.find(chunk))
    chunk = taken[found->second].right;
  return chunk;
}

std::vector<bool> PimTree::erase(std::span<const Key> questions) {
  machine_.reset_cost();
  const SortedKeys batch = sort_keys(questions);
  const std::vector<std::uint32_t> heights = look_up_heights(batch.keys, "heights");
  std::vector<bool> present(batch.keys.size()), out(questions.size());
  Removal work{*this};
  std::vector<bool> tall;
  for (std::size_t i = 0; i < batch.keys.size(); ++i) {
    present[i] = heights[i] != 0;
    if (heights[i] == 0) continue;
    work.keys.push_back(batch.keys[i]);
    work.heights.push_back(heights[i]);
    tall.push_back(heights[i] >= 2 || options_.record_all);
  }
  for (std::size_t i = 0; i < questions.size(); ++i) out[i] = present[batch.place[i]];
  if (work.keys.empty()) return out;
  search_to_leaves(work.keys, &tall, work.paths);
  work.require_space();
  work.remove_and_take();
  work.join();
  for (const Key key : work.keys) --keys_on_[place(key, 0)];
  if (!work.taken.empty()) credit_bytes_ = 0;  // joined chunks may be longer than any before: ask again
  size_ -= work.keys.size();
  if (options_.chunking == Chunking::ab) keep_bounds(work.keys, true);
  return out;
}

// Round A: data nodes are freed, every key's entry leaves the chunk of its top level, and every chunk that a
// key heads is taken apart.
void PimTree::Removal::remove_and_take() {
  pim::Round& round = tree.machine_.begin("erase A");
  for (const Key key : keys) {
    if (only) {
      round.add(tree.place(key, 0), TASK_SET_HEIGHT, {key, *only + 1});
    } else {
      round.add(tree.place(key, 0), TASK_DROP, {key});
    }
  }
  for (std::uint32_t level = 0; level < levels(); ++level) {
    const auto is_entry = [&](std::size_t i) { return heights[i] == level + 1; };
    for (std::size_t begin = 0; begin < keys.size();) {
      if (!is_entry(begin)) {
        ++begin;
        continue;
      }
      const Address chunk = paths.at[level][begin];
      std::vector<Key> gone;
      std::size_t end = begin;
      // Keys of other heights may stand between; the chunk's own keys stand together otherwise.
      for (; end < keys.size() && (!is_entry(end) || paths.at[level][end] == chunk); ++end)
        if (is_entry(end)) gone.push_back(keys[end]);
      std::uint64_t* words = round.add(module_of(chunk), TASK_REMOVE, 1 + gone.size());
      words[0] = offset_of(chunk) | static_cast<std::uint64_t>(gone.size()) << 32;
      std::copy(gone.begin(), gone.end(), words + 1);
      if (tree.options_.shadow && level == 1) {
        // The copy follows in the same round: it lies on the root's module, and goes with the root if that is
        // taken.
        const Address root = paths.at[2][begin];
        std::uint64_t* copy = round.add(module_of(root), TASK_COPY_REMOVE, 2 + gone.size());
        copy[0] = offset_of(root) | static_cast<std::uint64_t>(gone.size()) << 32;
        copy[1] = chunk;
        std::copy(gone.begin(), gone.end(), copy + 2);
      }
      begin = end;
    }
  }
  // From the bottom up: a root's entry for a child (REMOVE on level 2, above) frees its copy; copies of
  // children that were changed first are still there because level 1 came before level 2.
  for (std::uint32_t level = 0; level < levels(); ++level) {
    for (std::uint32_t i = 0; i < keys.size(); ++i) {
      if (!takes(level, i)) continue;
      const Address chunk = paths.at[level][i];
      --tree.chunk_counts_[level];
      taken_at.emplace(chunk, taken.size());
      taken.push_back({level, i});
      round.add(module_of(chunk), TASK_TAKE, {offset_of(chunk)});
      if (level == levels() - 1) --tree.roots_on_[module_of(chunk)];
    }
  }
  tree.machine_.run(round);
  for (auto& chunk : taken) {
    const Key head_key = keys[chunk.key];
    const std::uint32_t module = module_of(paths.at[chunk.level][chunk.key]);
    const std::uint64_t* head = round.next(module, 3);
    const std::uint64_t count = head[0];
    chunk.left = head[1];
    chunk.right = head[2];
    const std::uint64_t* words = round.next(module, 2 * count);
    for (std::uint64_t e = 0; e < count; ++e)
      if (only || words[e] != head_key) chunk.entries.push_back({words[e], words[count + e]});
  }
}

// Round B: survivors get the entries and the links; L3 forgets the keys; then shadows follow.
void PimTree::Removal::join() {
  struct Joined {
    Address right = 0;
    std::vector<Entry> entries;
    std::uint32_t level = 0;
    std::uint32_t key = 0;  // one of the removed heads
  };
  std::unordered_map<Address, std::size_t> index;
  std::vector<std::pair<Address, Joined>> joined;
  for (const auto& chunk : taken) {
    const Address to = survivor(chunk.left);
    const auto [at, fresh] = index.emplace(to, joined.size());
    if (fresh) joined.emplace_back(to, Joined{right_survivor(chunk.right), {}, chunk.level, chunk.key});
    Joined& one = joined[at->second].second;
    one.entries.insert(one.entries.end(), chunk.entries.begin(), chunk.entries.end());
  }
  std::vector<Missing> missing;
  pim::Round& round = tree.machine_.begin("erase B");
  for (std::uint32_t i = 0; i < keys.size(); ++i)
    if (heights[i] > levels()) {
      if (tree.options_.l3_host) {
        tree.l3_.erase(keys[i]);
      } else {
        round.broadcast(TASK_L3_DROP, {keys[i]});
      }
    }
  for (const auto& [to, one] : joined) {
    if (!one.entries.empty()) {
      const std::size_t count = one.entries.size();
      std::uint64_t* words = round.add(module_of(to), TASK_FILL, 1 + 2 * count);
      words[0] = offset_of(to) | static_cast<std::uint64_t>(count) << 32;
      for (std::size_t e = 0; e < count; ++e) {
        words[1 + e] = one.entries[e].key;
        words[1 + count + e] = one.entries[e].value;
        if (tree.options_.shadow && one.level == 2) missing.push_back({to, one.entries[e].value});
      }
    }
  }
  for (const auto& [to, one] : joined) round.add(module_of(to), TASK_SET_RIGHT, {offset_of(to), one.right});
  for (const auto& [to, one] : joined)
    if (one.right != 0) round.add(module_of(one.right), TASK_SET_LEFT, {offset_of(one.right), to});
  tree.machine_.run(round);
  if (!tree.options_.shadow) return;

  // A level-1 survivor that moved to another root is among the missing; elsewhere its copy grows as it did.
  std::unordered_map<Address, Address> moved_to;
  for (const auto& one : missing) moved_to.emplace(one.child, one.root);
  tree.repair_copies(missing, [&](pim::Round& fix) {
    for (const auto& [to, one] : joined) {
      if (one.level != 1 || one.entries.empty() || moved_to.count(to) != 0) continue;
      // The survivor's root: that of the removed head, or where that root went.
      const Address root = survivor(paths.at[2][one.key]);
      const std::size_t count = one.entries.size();
      std::uint64_t* words = fix.add(module_of(root), TASK_COPY_ADD, 2 + 2 * count);
      words[0] = offset_of(root) | static_cast<std::uint64_t>(count) << 32;
      words[1] = to;
      for (std::size_t e = 0; e < count; ++e) {
        words[2 + e] = one.entries[e].key;
        words[2 + count + e] = one.entries[e].value;
      }
    }
  });
}

}  // namespace ballast::index
