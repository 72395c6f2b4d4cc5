#include "ballast/index/pim_tree_space.h"

#include <algorithm>
#include <bit>
#include <unordered_map>

#include "ballast/index/pim_tree_changes.h"

namespace ballast::index {

using pim::Address;
using pim::module_of;
using pim::offset_of;

namespace {

constexpr std::uint32_t kTreeNodeWords = 32;
constexpr std::uint32_t kHeaderWords = 8;
constexpr std::uint32_t kDeepestTree = 16;

std::size_t class_of(std::uint64_t words) {
  return words <= 4 ? 0 : static_cast<std::size_t>(std::bit_width(words - 1)) - 2;
}

}  // namespace

void ask_space(pim::Round& round, std::uint32_t modules) {
  for (std::uint32_t m = 0; m < modules; ++m) round.add(m, TASK_SPACE, {});
}

std::vector<ModuleSpace> read_space(pim::Round& round, std::uint32_t modules) {
  std::vector<ModuleSpace> space(modules);
  for (std::uint32_t m = 0; m < modules; ++m) {
    const std::uint64_t* words = round.next(m, 3 + space[m].free.size());
    space[m].untouched = words[0];
    space[m].longest = static_cast<std::uint32_t>(words[1]);
    space[m].table_log = static_cast<std::uint32_t>(words[2]);
    std::copy_n(words + 3, space[m].free.size(), space[m].free.begin());
  }
  return space;
}

void Demand::block(std::uint32_t module, std::uint64_t words, std::uint64_t times) {
  blocks_[module][std::min(class_of(words), blocks_[module].size() - 1)] += times;
}

void Demand::array(std::uint32_t module, std::uint64_t entries, std::uint32_t columns, std::uint64_t had) {
  if (had > 0 && std::bit_ceil(std::max<std::uint64_t>(had, 8)) >= entries) return;
  block(module, columns * std::bit_ceil(std::max<std::uint64_t>(entries, 8)));
}

void Demand::table(std::uint32_t module, std::uint32_t from, std::uint64_t keys) {
  std::uint32_t log = std::max(from, 4u);
  if (from == 0) block(module, 2ull << log);
  while (keys * 3 > (2ull << log) && log < 25) block(module, 2ull << ++log);
}

// A put splits at most the nodes of one path, and k puts into one leaf split it at most k / 7 + 1 times; two
// nodes a put and one path more are above both.
void Demand::tree(std::uint64_t puts) {
  if (puts > 0) tree_nodes_ += 2 * puts + kDeepestTree;
}

std::uint64_t Demand::need(std::uint32_t module, const ModuleSpace& space) const {
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < space.free.size(); ++i) {
    const std::uint64_t wanted =
        blocks_[module][i] + (i == class_of(kTreeNodeWords) ? tree_nodes_ : std::uint64_t{0});
    if (wanted > space.free[i]) bytes += (wanted - space.free[i]) * (std::uint64_t{32} << i);
  }
  return bytes;
}

std::uint32_t Demand::first_that_lacks(std::span<const ModuleSpace> space, std::uint64_t kept) const {
  for (std::uint32_t m = 0; m < modules(); ++m)
    if (need(m, space[m]) + kept > space[m].untouched) return m;
  return modules();
}

namespace {

std::uint32_t longest_of(std::span<const ModuleSpace> space) {
  std::uint32_t longest = 8;
  for (const auto& module : space) longest = std::max(longest, module.longest);
  return longest;
}

/// Entries of each of these chunks: one question and one word back.
std::unordered_map<Address, std::uint64_t> lengths_of(pim::Machine& machine,
                                                      const std::vector<Address>& chunks) {
  pim::Round& round = machine.begin("lengths");
  for (const Address chunk : chunks) round.add(module_of(chunk), TASK_LINKS, {offset_of(chunk)});
  machine.run(round);
  std::unordered_map<Address, std::uint64_t> lengths;
  for (const Address chunk : chunks) lengths[chunk] = round.next(module_of(chunk), 3)[0];
  return lengths;
}

void refuse(const Demand& demand, std::span<const ModuleSpace> space, std::uint32_t module, Bytes memory) {
  throw pim::ModuleFull(module, memory, Bytes{demand.need(module, space[module])},
                        Bytes{space[module].untouched});
}

}  // namespace

// Which batches need a look at the modules' memories at all: a crude bound (everything on one module, every
// chunk as long as the longest) against what all of them had left when last asked. Adds the question to
// `round` and runs it, or runs one of its own; returns whether replies wait in `round`.
bool PimTree::know_space(std::uint64_t keys, pim::Round* round) {
  const std::uint64_t longest = std::bit_ceil(longest_ + keys);
  const std::uint64_t copies = options_.shadow ? longest * (2 * longest + kHeaderWords) : 0;
  const std::uint64_t most_keys = *std::max_element(keys_on_.begin(), keys_on_.end()) + keys;
  const std::uint64_t crude =
      8 * (keys * (4 + kHeaderWords + 8 * longest + copies + 2 * kTreeNodeWords) + 512 + 8 * most_keys);
  space_.clear();
  if (crude <= credit_bytes_) {
    credit_bytes_ -= crude;
    longest_ += keys;
    return false;
  }
  pim::Round& asked = round != nullptr ? *round : machine_.begin("space");
  ask_space(asked, machine_.modules());
  machine_.run(asked);
  if (round == nullptr) take_space(asked);
  return true;
}

void PimTree::take_space(pim::Round& round) {
  space_ = read_space(round, machine_.modules());
  longest_ = longest_of(space_);
  // What this batch may take is known only when it is planned; the next one asks again.
  credit_bytes_ = 0;
}

// Most keys of the batch that one chunk of the change gets, be it the old one or a new one.
std::uint64_t PimTree::Insertion::most_added(const Change& change) const {
  std::uint32_t most = 0, begin = change.begin;
  for (std::uint32_t m = change.begin; m < change.end; ++m) {
    if (heads(members[change.level][m], change.level)) begin = m;
    most = std::max(most, m + 1 - begin);
  }
  return most;
}

// What the batch takes when `length(change)` is at least the length of its chunk.
template <typename Length>
Demand PimTree::Insertion::demand(Length length, bool exact) const {
  const std::vector<ModuleSpace>& space = tree.space_;
  Demand all(tree.machine_.modules());
  std::vector<std::uint64_t> fresh(all.modules());
  std::uint64_t tall = 0;
  for (std::uint32_t i = 0; i < keys.size(); ++i) {
    if (!only) ++fresh[tree.place(keys[i], 0)];
    tall += heights[i] > levels();
  }
  for (std::uint32_t m = 0; m < all.modules(); ++m) {
    if (fresh[m] == 0) continue;
    all.block(m, 3, fresh[m]);
    all.table(m, space[m].table_log, tree.keys_on_[m] + fresh[m]);
  }
  if (!tree.options_.l3_host) all.tree(tall);
  const bool shadow = tree.options_.shadow;
  std::uint64_t longest_child = longest_of(space);  // of level 1, after the batch
  for (const auto& change : changes)
    if (change.level == 1) longest_child = std::max(longest_child, length(change) + most_added(change));
  for (const auto& change : changes) {
    const bool root = shadow && change.level == 2;
    const std::uint64_t had = length(change);
    // The chunk keeps at most what it had; a new one gets at most all that the cut gave back.
    const auto chunk_of = [&](std::uint32_t module, std::uint64_t added, bool fresh_chunk) {
      if (fresh_chunk) all.block(module, kHeaderWords);
      if (fresh_chunk || added > 0)
        all.array(module, had + added, root ? 3 : 2, exact && !fresh_chunk ? had : 0);
      if (!root) return;
      const std::uint64_t children = added + (fresh_chunk ? had : 0);
      all.block(module, kHeaderWords, children);
      all.block(module, 2 * std::bit_ceil(std::max<std::uint64_t>(longest_child, 8)), children);
    };
    std::uint32_t module = module_of(change.chunk);
    std::uint64_t added = 0;
    bool fresh_chunk = false;
    for (std::uint32_t m = change.begin; m < change.end; ++m, ++added) {
      const std::uint32_t i = members[change.level][m];
      if (!heads(i, change.level)) continue;
      chunk_of(module, added, fresh_chunk);
      module = new_modules[change.level][i];
      added = 0;
      fresh_chunk = true;
    }
    chunk_of(module, added, fresh_chunk);
    if (shadow && change.level == 1)
      all.array(module_of(paths.at[2][members[1][change.begin]]), had + change.first_head - change.begin, 2);
  }
  return all;
}

void PimTree::Insertion::require_space() {
  const std::vector<ModuleSpace>& space = tree.space_;
  if (space.empty()) return;
  const std::uint32_t modules = tree.machine_.modules();
  const std::uint64_t longest = longest_of(space);
  const Demand rough = demand([&](const Change&) { return longest; }, false);
  if (rough.first_that_lacks(space, tree.machine_.options().memory.count / 16) == modules)
    return tree.keep_credit(rough, keys.size());
  std::vector<Address> touched;
  for (const auto& change : changes) touched.push_back(change.chunk);
  const auto lengths = lengths_of(tree.machine_, touched);
  const Demand exact = demand([&](const Change& change) { return lengths.at(change.chunk); }, true);
  // A sixteenth of the memory is left to deletes, which join chunks before they free any.
  const std::uint64_t kept = tree.machine_.options().memory.count / 16;
  const std::uint32_t lacks = exact.first_that_lacks(space, kept);
  if (lacks == modules) return;
  for (const std::uint32_t i : members[levels() - 1])
    if (heads(i, levels() - 1)) --tree.roots_on_[new_modules[levels() - 1][i]];
  refuse(exact, space, lacks, tree.machine_.options().memory);
}

// What every module surely has left when the batch is done.
void PimTree::keep_credit(const Demand& demand, std::uint64_t keys) {
  credit_bytes_ = ~std::uint64_t{0};
  for (std::uint32_t m = 0; m < demand.modules(); ++m)
    credit_bytes_ = std::min(credit_bytes_, space_[m].untouched - demand.need(m, space_[m]));
  longest_ += keys;
}

// Removals take no more than what survivors need for the entries that come to them.
void PimTree::Removal::require_space() const {
  const std::vector<ModuleSpace>& space = tree.space_;
  if (space.empty()) return;
  const std::uint32_t modules = tree.machine_.modules();
  const std::uint64_t longest = longest_of(space);
  std::vector<Address> gone;
  std::vector<std::uint32_t> gone_level, gone_key;
  for (std::uint32_t level = 0; level < levels(); ++level)
    for (std::uint32_t i = 0; i < keys.size(); ++i)
      if (takes(level, i)) {
        gone.push_back(paths.at[level][i]);
        gone_level.push_back(level);
        gone_key.push_back(i);
      }
  if (gone.empty()) return;
  // Whoever survives, on one module: all entries of all chunks that go, with their copies.
  const std::uint64_t copy_words = kHeaderWords + 2 * std::bit_ceil(2 * longest);
  const std::uint64_t most_words =
      gone.size() * 8 * (longest + 8) + (tree.options_.shadow ? gone.size() * (longest + 1) * copy_words : 0);
  bool fits = true;
  for (const auto& module : space) fits = fits && most_words * 8 <= module.untouched;
  if (fits) return;

  pim::Round& round = tree.machine_.begin("lengths");
  for (const Address chunk : gone) round.add(module_of(chunk), TASK_LINKS, {offset_of(chunk)});
  tree.machine_.run(round);
  std::unordered_map<Address, Address> left;
  std::vector<std::uint64_t> length;
  for (const Address chunk : gone) {
    const std::uint64_t* words = round.next(module_of(chunk), 3);
    length.push_back(words[0]);
    left[chunk] = words[1];
  }
  struct Growth {
    std::uint64_t entries = 0;
    std::uint32_t level = 0, key = 0;
  };
  const auto survivor_of = [&](Address chunk) {
    for (auto found = left.find(chunk); found != left.end(); found = left.find(chunk)) chunk = found->second;
    return chunk;
  };
  std::unordered_map<Address, Growth> growth;
  for (std::size_t i = 0; i < gone.size(); ++i) {
    Growth& one = growth[survivor_of(gone[i])];
    one.entries += length[i];
    one.level = gone_level[i];
    one.key = gone_key[i];
  }
  std::vector<Address> survivors;
  for (const auto& [chunk, one] : growth) survivors.push_back(chunk);
  const auto had = lengths_of(tree.machine_, survivors);
  Demand exact(modules);
  std::uint64_t longest_after = longest;
  for (const auto& [chunk, one] : growth)
    longest_after = std::max(longest_after, had.at(chunk) + one.entries);
  for (const auto& [chunk, one] : growth) {
    const bool root = tree.options_.shadow && one.level == 2;
    exact.array(module_of(chunk), had.at(chunk) + one.entries, root ? 3 : 2, had.at(chunk));
    if (root) {
      exact.block(module_of(chunk), kHeaderWords, one.entries);
      exact.block(module_of(chunk), 2 * std::bit_ceil(longest_after), one.entries);
    }
    if (tree.options_.shadow && one.level == 1)
      exact.array(module_of(survivor_of(paths.at[2][one.key])), had.at(chunk) + one.entries, 2,
                  had.at(chunk));
  }
  const std::uint32_t lacks = exact.first_that_lacks(space);
  if (lacks != modules) refuse(exact, space, lacks, tree.machine_.options().memory);
}

}  // namespace ballast::index
