// Batch insert (specification 3.6): draw heights, search with paths, split the chunks that tall keys cut,
// fill.
//
// A key of height h is the head of a chunk of its own on levels 0 .. h-2 and an entry of the covering chunk
// on level h-1; above height H it is also a key of L3. Every chunk that is cut is truncated once, at the
// smallest head, and the CPU side deals what it gave back to the new chunks.
#include <algorithm>

#include "ballast/base/errors.h"
#include "ballast/index/batch.h"
#include "ballast/index/pim_tree_changes.h"

namespace ballast::index {

using pim::Address;
using pim::module_of;
using pim::offset_of;

InsertReport PimTree::insert(std::span<const Entry> entries) {
  machine_.reset_cost();
  const SortedEntries batch = sort_entries(entries);
  const std::vector<std::uint32_t> heights = look_up_heights(batch.keys, "exists");
  std::vector<Key> keys;
  std::vector<Value> values;
  std::vector<Entry> updates;
  for (std::size_t i = 0; i < batch.keys.size(); ++i) {
    if (heights[i] != 0) {
      updates.push_back({batch.keys[i], batch.values[i]});
    } else {
      keys.push_back(batch.keys[i]);
      values.push_back(batch.values[i]);
    }
  }
  // Values in chunks are written by a search of their own, when the new keys are in.
  const bool apart = keys.empty() || options_.leaf == Leaf::in_line;
  if (!keys.empty()) insert_absent(keys, values, apart ? std::span<const Entry>() : updates);
  if (apart) update_present(updates);
  if (options_.chunking == Chunking::ab) keep_bounds(keys, false);
  return {keys.size(), updates.size(), entries.size() - batch.keys.size()};
}

void PimTree::insert_absent(std::span<const Key> keys, std::span<const Value> values,
                            std::span<const Entry> updates) {
  Insertion work{*this, keys, values, updates};
  work.heights.resize(keys.size());
  std::vector<bool> tall(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    work.heights[i] = options_.chunking == Chunking::geometric ? draw_height()
                      : loading_                               ? height_by_position(++loaded_)
                                                               : 1;
    tall[i] = work.heights[i] >= 2 || options_.record_all;
  }
  search_to_leaves(keys, &tall, work.paths);
  work.plan();
  work.require_space();
  work.allocate_and_cut();
  work.fill();
  work.repair_shadows();
  for (const Key key : keys) ++keys_on_[place(key, 0)];
  size_ += keys.size();
}

// Which chunks change, where new ones will lie: nothing is changed yet.
void PimTree::Insertion::plan() {
  members.resize(levels());
  new_modules.assign(levels(), std::vector<std::uint32_t>(keys.size()));
  for (std::uint32_t level = 0; level < levels(); ++level) {
    const bool root = level == levels() - 1;
    for (std::uint32_t i = 0; i < keys.size(); ++i) {
      if (heights[i] < level + 1 || (only && level < *only)) continue;
      members[level].push_back(i);
      if (heads(i, level))
        new_modules[level][i] = root ? tree.place_root(keys[i]) : tree.place(keys[i], level);
    }
    const auto& of_level = members[level];
    for (std::uint32_t begin = 0, end; begin < of_level.size(); begin = end) {
      const Address chunk = paths.at[level][of_level[begin]];
      for (end = begin; end < of_level.size() && paths.at[level][of_level[end]] == chunk;) ++end;
      Change change{chunk, level, begin, end, end};
      for (std::uint32_t m = end; m-- > begin;)
        if (heads(of_level[m], level)) change.first_head = m;
      changes.push_back(std::move(change));
    }
  }
}

// Round A: new data nodes, new chunks, and the entries of every chunk that is cut.
void PimTree::Insertion::allocate_and_cut() {
  pim::Round& round = tree.machine_.begin("insert A");
  for (const auto& [key, value] : updates) round.add(tree.place(key, 0), TASK_UPDATE, {key, value});
  for (std::uint32_t i = 0; i < keys.size(); ++i) {
    if (only) {
      round.add(tree.place(keys[i], 0), TASK_SET_HEIGHT, {keys[i], heights[i]});
    } else {
      round.add(tree.place(keys[i], 0), TASK_NEW_DATA, {keys[i], values[i], heights[i]});
    }
  }
  chunks.assign(levels(), std::vector<Address>(keys.size()));
  for (std::uint32_t level = 0; level < levels(); ++level) {
    const bool root = level == levels() - 1;
    for (const std::uint32_t i : members[level]) {
      if (!heads(i, level)) continue;
      ++tree.chunk_counts_[level];
      round.add(new_modules[level][i], TASK_NEW_CHUNK,
                {level | static_cast<std::uint64_t>(root && tree.options_.shadow) << 32});
    }
  }
  for (const auto& change : changes)
    if (change.cut())
      round.add(module_of(change.chunk), TASK_TRUNCATE,
                {offset_of(change.chunk), keys[members[change.level][change.first_head]]});
  tree.machine_.run(round);

  for (const auto& [key, value] : updates)
    BALLAST_CHECK(*round.next(tree.place(key, 0), 1) == 1, "a key that was there is gone");
  data.resize(keys.size());
  for (std::uint32_t i = 0; i < keys.size() && !only; ++i) {
    const std::uint32_t module = tree.place(keys[i], 0);
    data[i] = pim::address_of(module, *round.next(module, 1));
  }
  for (std::uint32_t level = 0; level < levels(); ++level) {
    for (const std::uint32_t i : members[level]) {
      if (!heads(i, level)) continue;
      const std::uint32_t module = new_modules[level][i];
      chunks[level][i] = pim::address_of(module, *round.next(module, 1));
    }
  }
  for (auto& change : changes) {
    if (!change.cut()) continue;
    const std::uint32_t module = module_of(change.chunk);
    const std::uint64_t* head = round.next(module, 2);
    const std::uint64_t count = head[0];
    change.right = head[1];
    const std::uint64_t* words = round.next(module, 2 * count);
    for (std::uint64_t e = 0; e < count; ++e) change.moved.push_back({words[e], words[count + e]});
    std::sort(change.moved.begin(), change.moved.end(),
              [](const Entry& a, const Entry& b) { return a.key < b.key; });
    if (tree.options_.shadow && change.level == 2)
      for (const auto& entry : change.moved) moved_children.insert(entry.value);
  }
}

void PimTree::Insertion::fill_one(pim::Round& round, const Change& change) {
  const auto& of_level = members[change.level];
  const bool copies = tree.options_.shadow && change.level == 1;
  CopyChange copy{copies ? paths.at[2][of_level[change.begin]] : 0, change.chunk, false, 0, {}};
  if (change.cut()) {
    copy.cut = true;
    copy.from = keys[of_level[change.first_head]];
  }
  Address target = change.chunk;
  std::vector<Entry> entries;
  std::size_t moved = 0;
  const auto flush = [&] {
    if (entries.empty()) return;
    std::uint64_t* words = round.add(module_of(target), TASK_FILL, 1 + 2 * entries.size());
    words[0] = offset_of(target) | static_cast<std::uint64_t>(entries.size()) << 32;
    for (std::size_t e = 0; e < entries.size(); ++e) {
      words[1 + e] = entries[e].key;
      words[1 + entries.size() + e] = entries[e].value;
      // Every child of a root, old or new, that came to it in this batch needs its copy there.
      if (tree.options_.shadow && change.level == 2) missing.push_back({target, entries[e].value});
    }
    if (copies && target == change.chunk) copy.added = entries;
    entries.clear();
  };
  for (std::uint32_t m = change.begin; m < change.end; ++m) {
    const std::uint32_t i = of_level[m];
    if (heads(i, change.level)) {
      while (moved < change.moved.size() && change.moved[moved].key < keys[i])
        entries.push_back(change.moved[moved++]);
      flush();
      target = chunks[change.level][i];
    }
    if (only == change.level) continue;  // its own entry is among what was moved
    const bool in_line = tree.options_.leaf == Leaf::in_line;
    entries.push_back({keys[i], change.level > 0 ? chunks[change.level - 1][i]
                                : in_line        ? values[i]
                                                 : data[i]});
  }
  while (moved < change.moved.size()) entries.push_back(change.moved[moved++]);
  flush();
  if (copies && moved_children.count(change.chunk) == 0 && (copy.cut || !copy.added.empty()))
    copy_changes.push_back(std::move(copy));
}

// Round B: entries, links, and the new keys of L3 on every replica.
void PimTree::Insertion::fill() {
  pim::Round& round = tree.machine_.begin("insert B");
  for (std::uint32_t i = 0; i < keys.size(); ++i)
    if (heights[i] > levels()) {
      if (tree.options_.l3_host) {
        tree.l3_[keys[i]] = chunks[levels() - 1][i];
      } else {
        round.broadcast(TASK_L3_PUT, {keys[i], chunks[levels() - 1][i]});
      }
    }
  for (const auto& change : changes) fill_one(round, change);
  for (const auto side : {TASK_SET_LEFT, TASK_SET_RIGHT}) {
    for (const auto& change : changes) {
      Address left = change.chunk;
      const auto link = [&](Address a, Address b) {
        if (side == TASK_SET_RIGHT) round.add(module_of(a), TASK_SET_RIGHT, {offset_of(a), b});
        if (side == TASK_SET_LEFT && b != 0) round.add(module_of(b), TASK_SET_LEFT, {offset_of(b), a});
      };
      for (std::uint32_t m = change.first_head; m < change.end; ++m) {
        const std::uint32_t i = members[change.level][m];
        if (!heads(i, change.level)) continue;
        link(left, chunks[change.level][i]);
        left = chunks[change.level][i];
      }
      if (change.cut()) link(left, change.right);
    }
  }
  tree.machine_.run(round);
}

// Rounds C and D: children that came to a root are fetched once and copied to it; copies whose original
// changed follow.
void PimTree::Insertion::repair_shadows() {
  if (!tree.options_.shadow) return;
  tree.repair_copies(missing, [&](pim::Round& round) {
    for (const auto& change : copy_changes)
      if (change.cut)
        round.add(module_of(change.root), TASK_COPY_TRUNCATE,
                  {offset_of(change.root), change.child, change.from});
    for (const auto& change : copy_changes) {
      if (change.added.empty()) continue;
      const std::size_t count = change.added.size();
      std::uint64_t* words = round.add(module_of(change.root), TASK_COPY_ADD, 2 + 2 * count);
      words[0] = offset_of(change.root) | static_cast<std::uint64_t>(count) << 32;
      words[1] = change.child;
      for (std::size_t e = 0; e < count; ++e) {
        words[2 + e] = change.added[e].key;
        words[2 + count + e] = change.added[e].value;
      }
    }
  });
}

void PimTree::repair_copies(const std::vector<Missing>& missing,
                            const std::function<void(pim::Round&)>& also) {
  pim::Round& fetch = machine_.begin("shadow fetch");
  for (const auto& one : missing) fetch.add(module_of(one.child), TASK_PULL, {offset_of(one.child)});
  machine_.run(fetch);
  std::vector<Fetched> fetched;
  for (const auto& one : missing) fetched.push_back(read_fetched(fetch, module_of(one.child)));
  pim::Round& round = machine_.begin("shadow");
  for (std::size_t i = 0; i < missing.size(); ++i) {
    const auto& entries = fetched[i].entries;
    std::uint64_t* words = round.add(module_of(missing[i].root), TASK_COPY_SET, 3 + 2 * entries.size());
    words[0] = offset_of(missing[i].root) | static_cast<std::uint64_t>(entries.size()) << 32;
    words[1] = missing[i].child;
    words[2] = fetched[i].link;
    for (std::size_t e = 0; e < entries.size(); ++e) {
      words[3 + e] = entries[e].key;
      words[3 + entries.size() + e] = entries[e].value;
    }
  }
  also(round);
  machine_.run(round);
}

}  // namespace ballast::index
