// Chunks of bounded size (specification 3.2, --chunking ab): keys enter at height 1, and after every change a
// chunk of more than 2B entries is cut into pieces of B to 2B, one of fewer than B/2 is joined to a
// neighbour where both fit in one. A cut raises the first key of each new piece by one level, a join lowers
// one; both are the steps of insert and erase (pim_tree_insert.cc, pim_tree_erase.cc) on that level alone.
//
// A chunk whose head also heads the chunk above it cannot be joined to its left; then its right neighbour
// joins it, and where that is tall too it stays small. Pulls are bounded by 4B + 2 words.
#include <algorithm>
#include <unordered_set>

#include "ballast/base/errors.h"
#include "ballast/index/pim_tree_changes.h"

namespace ballast::index {

using pim::Address;
using pim::module_of;
using pim::offset_of;

namespace {

/// The first of equal neighbours.
std::vector<std::uint32_t> firsts(const std::vector<Address>& at) {
  std::vector<std::uint32_t> out;
  for (std::uint32_t i = 0; i < at.size(); ++i)
    if (i == 0 || at[i] != at[i - 1]) out.push_back(i);
  return out;
}

}  // namespace

// `changed` ascend: keys in or beside every chunk of level 0 that the batch touched.
void PimTree::keep_bounds(std::vector<Key> changed, bool may_be_short) {
  for (std::uint32_t level = 0; level < levels_ && !changed.empty(); ++level) {
    std::vector<Key> next;
    try {
      if (may_be_short) next = join_short(level, changed);
      const std::vector<Key> raised = split_long(level, changed);
      next.insert(next.end(), raised.begin(), raised.end());
    } catch (const pim::ModuleFull&) {
      if (machine_.broken()) throw;
      bounded_ = false;  // no room to cut: chunks stay long, which is slower and right
      return;
    }
    // Where nothing moved, the level above may still have lost or won entries.
    if (may_be_short) next.insert(next.end(), changed.begin(), changed.end());
    std::sort(next.begin(), next.end());
    next.erase(std::unique(next.begin(), next.end()), next.end());
    changed = std::move(next);
  }
}

std::vector<Key> PimTree::split_long(std::uint32_t level, const std::vector<Key>& changed) {
  const std::uint64_t most = 2 * std::uint64_t{options_.chunk};
  Paths paths;
  const std::vector<bool> tall(changed.size(), true);
  search_to_leaves(changed, &tall, paths);
  const std::vector<std::uint32_t> touched = firsts(paths.at[level]);
  pim::Round& ask = machine_.begin("bounds");
  for (const std::uint32_t i : touched)
    ask.add(module_of(paths.at[level][i]), TASK_LINKS, {offset_of(paths.at[level][i])});
  machine_.run(ask);
  std::vector<std::uint32_t> too_long;
  for (const std::uint32_t i : touched)
    if (ask.next(module_of(paths.at[level][i]), 3)[0] > most) too_long.push_back(i);
  if (too_long.empty()) return {};
  pim::Round& pull = machine_.begin("bounds");
  for (const std::uint32_t i : too_long)
    pull.add(module_of(paths.at[level][i]), TASK_PULL, {offset_of(paths.at[level][i])});
  machine_.run(pull);
  std::vector<Key> raised;
  Paths of_raised;
  of_raised.at.resize(levels_);
  for (const std::uint32_t i : too_long) {
    const Fetched chunk = read_fetched(pull, module_of(paths.at[level][i]));
    const std::size_t pieces = chunk.entries.size() / options_.chunk;
    for (std::size_t piece = 1; piece < pieces; ++piece) {
      raised.push_back(chunk.entries[piece * chunk.entries.size() / pieces].key);
      for (std::uint32_t l = level; l < levels_; ++l) of_raised.at[l].push_back(paths.at[l][i]);
    }
  }
  know_space(raised.size() * options_.chunk, nullptr);
  Insertion work{*this, raised, {}, {}};
  work.only = level;
  work.heights.assign(raised.size(), level + 2);
  work.paths = std::move(of_raised);
  work.plan();
  work.require_space();
  work.allocate_and_cut();
  work.fill();
  work.repair_shadows();
  credit_bytes_ = 0;
  return raised;
}

std::vector<Key> PimTree::join_short(std::uint32_t level, const std::vector<Key>& changed) {
  const std::uint64_t most = 2 * std::uint64_t{options_.chunk}, least = options_.chunk / 2;
  Paths paths;
  const std::vector<bool> tall(changed.size(), true);
  search_to_leaves(changed, &tall, paths);
  struct Short {
    Address at, left, right;
    std::uint64_t length;
  };
  std::vector<Short> all;
  const std::vector<std::uint32_t> touched = firsts(paths.at[level]);
  pim::Round& ask = machine_.begin("bounds");
  for (const std::uint32_t i : touched)
    ask.add(module_of(paths.at[level][i]), TASK_LINKS, {offset_of(paths.at[level][i])});
  machine_.run(ask);
  for (const std::uint32_t i : touched) {
    const Address at = paths.at[level][i];
    const std::uint64_t* words = ask.next(module_of(at), 3);
    if (words[0] < least) all.push_back({at, words[1], words[2], words[0]});
  }
  if (all.empty()) return {};
  // Its own head, its neighbours' lengths, and the head of the right one.
  pim::Round& look = machine_.begin("bounds");
  for (const auto& one : all) {
    look.add(module_of(one.at), TASK_PULL, {offset_of(one.at)});
    if (one.right != 0) look.add(module_of(one.right), TASK_PULL, {offset_of(one.right)});
  }
  for (const auto& one : all)
    if (one.left != 0) look.add(module_of(one.left), TASK_LINKS, {offset_of(one.left)});
  machine_.run(look);
  struct Choice {
    Key head;  // of the chunk that would go
    Address gone, stays;
    std::uint64_t together;
    bool possible;
  };
  std::vector<Choice> choices;  // two of each short chunk: itself, its right neighbour
  for (const auto& one : all) {
    const Fetched own = read_fetched(look, module_of(one.at));
    choices.push_back({own.entries.empty() ? 0 : own.entries.front().key, one.at, one.left,
                       own.entries.size(), one.left != 0 && !own.entries.empty()});
    choices.push_back({0, one.right, one.at, own.entries.size(), one.right != 0});
    if (one.right == 0) continue;
    const Fetched right = read_fetched(look, module_of(one.right));
    choices.back().head = right.entries.front().key;
    choices.back().together += right.entries.size();
  }
  for (std::size_t i = 0; i < all.size(); ++i)
    if (all[i].left != 0) choices[2 * i].together += look.next(module_of(all[i].left), 3)[0];
  pim::Round& ask_heights = machine_.begin("bounds");
  for (const auto& choice : choices)
    if (choice.possible) ask_heights.add(place(choice.head, 0), TASK_HEIGHT, {choice.head});
  machine_.run(ask_heights);
  for (auto& choice : choices) {
    if (!choice.possible) continue;
    const std::uint64_t height = *ask_heights.next(place(choice.head, 0), 1);
    choice.possible = height == level + 2 && choice.together <= most;
  }
  std::unordered_set<Address> used;
  Removal work{*this};
  work.only = level;
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (const auto& choice : {choices[2 * i], choices[2 * i + 1]}) {
      if (!choice.possible || used.count(choice.gone) != 0 || used.count(choice.stays) != 0) continue;
      used.insert(choice.gone);
      used.insert(choice.stays);
      work.keys.push_back(choice.head);
      break;
    }
  }
  if (work.keys.empty()) return {};
  std::sort(work.keys.begin(), work.keys.end());
  work.heights.assign(work.keys.size(), level + 2);
  const std::vector<bool> record(work.keys.size(), true);
  search_to_leaves(work.keys, &record, work.paths);
  know_space(work.keys.size(), nullptr);
  work.require_space();
  work.remove_and_take();
  work.join();
  credit_bytes_ = 0;
  return work.keys;
}

}  // namespace ballast::index
