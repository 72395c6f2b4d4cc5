#include "ballast/index/distributed/spmd_index.h"

#include "ballast/base/errors.h"
#include "ballast/index/snapshot.h"

namespace ballast::index {

using Words = std::vector<std::uint64_t>;

namespace {

std::vector<Words> words_of(const std::vector<bool>& flags) {
  std::vector<Words> out;
  for (const bool flag : flags) out.push_back({flag});
  return out;
}

std::vector<Words> words_of(const std::vector<std::optional<std::pair<Key, std::string>>>& found) {
  std::vector<Words> out;
  for (const auto& one : found)
    out.push_back(one ? Words{one->first, word_of_snapshot(one->second)} : Words{});
  return out;
}

std::vector<bool> flags_of(const std::vector<Words>& words) {
  std::vector<bool> out;
  for (const auto& one : words) out.push_back(one.at(0) != 0);
  return out;
}

std::vector<std::optional<Entry>> found_of(const std::vector<Words>& words) {
  std::vector<std::optional<Entry>> out(words.size());
  for (std::size_t i = 0; i < words.size(); ++i)
    if (!words[i].empty()) out[i] = Entry{words[i].at(0), words[i].at(1)};
  return out;
}

std::vector<std::pair<Key, Key>> pairs_of(std::span<const KeyRange> ranges) {
  std::vector<std::pair<Key, Key>> out;
  for (const auto& [low, high] : ranges) out.emplace_back(low, high);
  return out;
}

}  // namespace

template <typename T>
std::span<const T> SpmdIndex::slice(std::span<const T> batch) const {
  const auto machines = static_cast<std::size_t>(me_.machines()), self = static_cast<std::size_t>(me_.id());
  const std::size_t begin = self * batch.size() / machines, end = (self + 1) * batch.size() / machines;
  return batch.subspan(begin, end - begin);
}

std::vector<Words> SpmdIndex::gather(const std::vector<Words>& mine) {
  cluster::Buffer buffer;
  for (const auto& words : mine) orch::Wire<Words>::put(buffer, words);
  std::vector<Words> all;
  for (const auto& bytes : me_.allgather_bytes(buffer.bytes()))
    for (cluster::Reader in(bytes); !in.empty();) all.push_back(orch::Wire<Words>::get(in));
  return all;
}

std::vector<SpmdIndex::Row> SpmdIndex::rows_of(std::span<const Entry> entries) const {
  std::vector<Row> rows;
  for (const auto& [key, value] : slice(entries)) rows.emplace_back(key, snapshot_word(value));
  return rows;
}

void SpmdIndex::bulk_load(std::span<const Entry> sorted) {
  if (map_.size() != 0) throw InvalidInput("bulk load", "an index that is not empty", "an empty one");
  require_ascending(sorted);
  map_.insert(rows_of(sorted));
}

std::vector<std::optional<Value>> SpmdIndex::get(std::span<const Key> keys) {
  std::vector<Words> mine;
  for (const auto& found : map_.get(slice(keys)))
    mine.push_back(found ? Words{word_of_snapshot(*found)} : Words{});
  std::vector<std::optional<Value>> out;
  for (const auto& words : gather(mine))
    out.push_back(words.empty() ? std::nullopt : std::optional(words[0]));
  return out;
}

std::vector<std::optional<Entry>> SpmdIndex::predecessor(std::span<const Key> keys) {
  return found_of(gather(words_of(map_.predecessor(slice(keys)))));
}

std::vector<std::optional<Entry>> SpmdIndex::successor(std::span<const Key> keys) {
  return found_of(gather(words_of(map_.successor(slice(keys)))));
}

// Slices are in the order of machines, so the last entry of a key is that of the highest machine id.
InsertReport SpmdIndex::insert(std::span<const Entry> entries) {
  return map_.insert(rows_of(entries));
}

std::vector<bool> SpmdIndex::update(std::span<const Entry> entries) {
  return flags_of(gather(words_of(map_.update(rows_of(entries)))));
}

std::vector<bool> SpmdIndex::erase(std::span<const Key> keys) {
  return flags_of(gather(words_of(map_.erase(slice(keys)))));
}

Rows SpmdIndex::scan_first(std::span<const KeyRange> ranges, std::uint64_t limit) {
  std::vector<Words> mine;
  for (const auto& rows : map_.scan(pairs_of(slice(ranges)), limit)) {
    Words words;
    for (const auto& [key, value] : rows) {
      words.push_back(key);
      words.push_back(word_of_snapshot(value));
    }
    mine.push_back(std::move(words));
  }
  Rows out;
  for (const auto& words : gather(mine)) {
    const std::uint64_t begin = out.entries.size();
    for (std::size_t w = 0; w + 1 < words.size(); w += 2) out.entries.push_back({words[w], words[w + 1]});
    out.bounds.emplace_back(begin, out.entries.size());
  }
  return out;
}

std::vector<std::uint64_t> SpmdIndex::count(std::span<const KeyRange> ranges) {
  std::vector<Words> mine;
  for (const std::uint64_t sum : map_.count(pairs_of(slice(ranges)))) mine.push_back({sum});
  std::vector<std::uint64_t> out;
  for (const auto& words : gather(mine)) out.push_back(words.at(0));
  return out;
}

}  // namespace ballast::index
