#include "ballast/index/oracle.h"

#include <fmt/format.h>

#include <set>

#include "ballast/base/errors.h"

namespace ballast::index {

Rows OrderedIndex::scan_first(std::span<const KeyRange> ranges, std::uint64_t limit) {
  Rows rows = scan(ranges);
  if (limit == 0) return rows;
  for (auto& [begin, end] : rows.bounds) end = std::min(end, begin + limit);
  return rows;
}

void require_ascending(std::span<const Entry> sorted) {
  for (std::size_t i = 1; i < sorted.size(); ++i) {
    if (sorted[i - 1].key < sorted[i].key) continue;
    throw InvalidInput(
        fmt::format("bulk load: key {} at position {} does not follow key {}; accepted: strictly "
                    "ascending keys",
                    sorted[i].key, i, sorted[i - 1].key));
  }
}

void Oracle::bulk_load(std::span<const Entry> sorted) {
  if (!map_.empty()) throw InvalidInput("bulk load", "an index that is not empty", "an empty one");
  require_ascending(sorted);
  for (const auto& [key, value] : sorted) map_.emplace_hint(map_.end(), key, value);
}

std::vector<std::optional<Value>> Oracle::get(std::span<const Key> keys) {
  std::vector<std::optional<Value>> out;
  for (const Key key : keys) {
    const auto found = map_.find(key);
    out.push_back(found == map_.end() ? std::nullopt : std::optional(found->second));
  }
  return out;
}

std::vector<std::optional<Entry>> Oracle::predecessor(std::span<const Key> keys) {
  std::vector<std::optional<Entry>> out;
  for (const Key key : keys) {
    auto above = map_.upper_bound(key);
    if (above == map_.begin()) {
      out.push_back(std::nullopt);
    } else {
      --above;
      out.push_back(Entry{above->first, above->second});
    }
  }
  return out;
}

std::vector<std::optional<Entry>> Oracle::successor(std::span<const Key> keys) {
  std::vector<std::optional<Entry>> out;
  for (const Key key : keys) {
    const auto found = map_.lower_bound(key);
    out.push_back(found == map_.end() ? std::nullopt : std::optional(Entry{found->first, found->second}));
  }
  return out;
}

InsertReport Oracle::insert(std::span<const Entry> entries) {
  InsertReport report;
  std::set<Key> seen;
  for (const auto& [key, value] : entries) {
    if (!seen.insert(key).second) {
      ++report.duplicates;
      map_[key] = value;
    } else if (map_.insert_or_assign(key, value).second) {
      ++report.inserted;
    } else {
      ++report.overwritten;
    }
  }
  return report;
}

std::vector<bool> Oracle::update(std::span<const Entry> entries) {
  std::vector<bool> out;
  for (const auto& [key, value] : entries) {
    const auto found = map_.find(key);
    out.push_back(found != map_.end());
    if (found != map_.end()) found->second = value;
  }
  return out;
}

std::vector<bool> Oracle::erase(std::span<const Key> keys) {
  std::vector<bool> out;
  for (const Key key : keys) out.push_back(map_.contains(key));
  for (const Key key : keys) map_.erase(key);
  return out;
}

Rows Oracle::scan(std::span<const KeyRange> ranges) {
  Rows rows;
  for (const auto& [low, high] : ranges) {
    const std::uint64_t begin = rows.entries.size();
    for (auto at = map_.lower_bound(low); at != map_.end() && at->first <= high; ++at)
      rows.entries.push_back({at->first, at->second});
    rows.bounds.emplace_back(begin, rows.entries.size());
  }
  return rows;
}

std::vector<std::uint64_t> Oracle::count(std::span<const KeyRange> ranges) {
  std::vector<std::uint64_t> out;
  const Rows rows = scan(ranges);
  for (std::size_t i = 0; i < rows.ranges(); ++i) out.push_back(rows[i].size());
  return out;
}

}  // namespace ballast::index
