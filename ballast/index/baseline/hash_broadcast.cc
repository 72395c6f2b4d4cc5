#include "ballast/index/baseline/hash_broadcast.h"

#include <algorithm>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/index/batch.h"

namespace ballast::index::baseline {

HashBroadcast::HashBroadcast(pim::Machine& machine, std::uint64_t seed)
    : machine_(machine), seed_(seed), keys_on_(machine.modules()) {}

std::uint32_t HashBroadcast::place(Key key) const {
  return static_cast<std::uint32_t>(mix64(key ^ mix64(seed_)) % machine_.modules());
}

void HashBroadcast::bulk_load(std::span<const Entry> sorted) {
  if (size_ != 0) throw InvalidInput("bulk load", "an index that is not empty", "an empty one");
  require_ascending(sorted);
  insert(sorted);
}

std::vector<std::optional<Value>> HashBroadcast::get(std::span<const Key> questions) {
  machine_.reset_cost();
  const SortedKeys batch = sort_keys(questions);
  pim::Round& round = machine_.begin("get");
  for (const Key key : batch.keys) round.add(place(key), TASK_TREE_GET, {key});
  machine_.run(round);
  std::vector<std::optional<Value>> found(batch.keys.size()), out(questions.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    const std::uint64_t* reply = round.next(place(batch.keys[i]), 2);
    if (reply[0] != 0) found[i] = reply[1];
  }
  for (std::size_t i = 0; i < questions.size(); ++i) out[i] = found[batch.place[i]];
  return out;
}

// A module that has no such key answers with one on the wrong side of the question.
std::vector<std::optional<Entry>> HashBroadcast::near(std::span<const Key> questions, bool after) {
  machine_.reset_cost();
  const SortedKeys batch = sort_keys(questions);
  pim::Round& round = machine_.begin("ask all");
  for (std::uint32_t m = 0; m < machine_.modules(); ++m) {
    if (keys_on_[m] == 0) continue;
    for (const Key key : batch.keys) round.add(m, after ? TASK_TREE_AFTER : TASK_TREE_BEFORE, {key});
  }
  machine_.run(round);
  std::vector<std::optional<Entry>> best(batch.keys.size()), out(questions.size());
  for (std::uint32_t m = 0; m < machine_.modules(); ++m) {
    if (keys_on_[m] == 0) continue;
    for (std::size_t i = 0; i < best.size(); ++i) {
      const std::uint64_t* reply = round.next(m, 2);
      const Key key = reply[0], asked = batch.keys[i];
      if (after ? key < asked : key > asked) continue;
      if (!best[i] || (after ? key < best[i]->key : key > best[i]->key)) best[i] = Entry{key, reply[1]};
    }
  }
  for (std::size_t i = 0; i < questions.size(); ++i) out[i] = best[batch.place[i]];
  return out;
}

std::vector<std::optional<Entry>> HashBroadcast::predecessor(std::span<const Key> keys) {
  return near(keys, false);
}

std::vector<std::optional<Entry>> HashBroadcast::successor(std::span<const Key> keys) {
  return near(keys, true);
}

// One task a distinct key to its module, and the flag that it answers.
std::vector<bool> HashBroadcast::flags(std::span<const Key> keys, std::span<const Value> values, task type,
                                       const char* phase) {
  machine_.reset_cost();
  pim::Round& round = machine_.begin(phase);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (values.empty()) {
      round.add(place(keys[i]), type, {keys[i]});
    } else {
      round.add(place(keys[i]), type, {keys[i], values[i]});
    }
  }
  machine_.run(round);
  std::vector<bool> out(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) out[i] = *round.next(place(keys[i]), 1) != 0;
  return out;
}

InsertReport HashBroadcast::insert(std::span<const Entry> entries) {
  const SortedEntries batch = sort_entries(entries);
  InsertReport report{0, 0, entries.size() - batch.keys.size()};
  const std::vector<bool> fresh = flags(batch.keys, batch.values, TASK_TREE_PUT, "insert");
  for (std::size_t i = 0; i < batch.keys.size(); ++i) {
    ++(fresh[i] ? report.inserted : report.overwritten);
    keys_on_[place(batch.keys[i])] += fresh[i];
  }
  size_ += report.inserted;
  return report;
}

std::vector<bool> HashBroadcast::update(std::span<const Entry> entries) {
  const SortedEntries batch = sort_entries(entries);
  const std::vector<bool> found = flags(batch.keys, batch.values, TASK_TREE_UPDATE, "update");
  std::vector<bool> out(entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i) out[i] = found[batch.place[i]];
  return out;
}

std::vector<bool> HashBroadcast::erase(std::span<const Key> questions) {
  const SortedKeys batch = sort_keys(questions);
  const std::vector<bool> found = flags(batch.keys, {}, TASK_TREE_DROP, "erase");
  std::vector<bool> out(questions.size());
  for (std::size_t i = 0; i < batch.keys.size(); ++i) {
    keys_on_[place(batch.keys[i])] -= found[i];
    size_ -= found[i];
  }
  for (std::size_t i = 0; i < questions.size(); ++i) out[i] = found[batch.place[i]];
  return out;
}

Rows HashBroadcast::scan(std::span<const KeyRange> questions) {
  machine_.reset_cost();
  const std::vector<KeyRange> ranges = merge_ranges(questions);
  pim::Round& round = machine_.begin("ask all");
  for (std::uint32_t m = 0; m < machine_.modules(); ++m)
    for (const auto& [low, high] : ranges) round.add(m, TASK_TREE_RANGE, {low, high});
  machine_.run(round);
  Rows rows;
  for (std::uint32_t m = 0; m < machine_.modules(); ++m) {
    for (std::size_t r = 0; r < ranges.size(); ++r) {
      const std::uint64_t count = *round.next(m, 1);
      const std::uint64_t* words = round.next(m, 2 * count);
      for (std::uint64_t e = 0; e < count; ++e) rows.entries.push_back({words[2 * e], words[2 * e + 1]});
    }
  }
  std::sort(rows.entries.begin(), rows.entries.end(),
            [](const Entry& a, const Entry& b) { return a.key < b.key; });
  rows.bounds = bounds_of(rows.entries, questions);
  return rows;
}

std::vector<std::uint64_t> HashBroadcast::count(std::span<const KeyRange> ranges) {
  machine_.reset_cost();
  pim::Round& round = machine_.begin("ask all");
  for (std::uint32_t m = 0; m < machine_.modules(); ++m)
    for (const auto& [low, high] : ranges) round.add(m, TASK_TREE_COUNT, {low, high});
  machine_.run(round);
  std::vector<std::uint64_t> out(ranges.size());
  for (std::uint32_t m = 0; m < machine_.modules(); ++m)
    for (auto& sum : out) sum += *round.next(m, 1);
  return out;
}

}  // namespace ballast::index::baseline
