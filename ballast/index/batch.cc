#include "ballast/index/batch.h"

#include <tbb/parallel_sort.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "ballast/base/errors.h"

namespace ballast::index {
namespace {

struct Tagged {
  Key key;
  std::uint32_t position;
  bool operator<(const Tagged& other) const {
    return key < other.key || (key == other.key && position < other.position);
  }
};

template <typename KeyAt>
std::vector<Tagged> sorted(std::size_t count, KeyAt key_at) {
  if (count > std::numeric_limits<std::uint32_t>::max())
    throw InvalidInput("operations of a batch", std::to_string(count), "up to 4294967295");
  std::vector<Tagged> tagged(count);
  for (std::size_t i = 0; i < count; ++i) tagged[i] = {key_at(i), static_cast<std::uint32_t>(i)};
  if (!std::is_sorted(tagged.begin(), tagged.end())) tbb::parallel_sort(tagged.begin(), tagged.end());
  return tagged;
}

}  // namespace

SortedKeys sort_keys(std::span<const Key> questions) {
  const auto tagged = sorted(questions.size(), [&](std::size_t i) { return questions[i]; });
  SortedKeys out;
  out.keys.reserve(tagged.size());
  out.place.resize(tagged.size());
  for (const auto& [key, position] : tagged) {
    if (out.keys.empty() || out.keys.back() != key) out.keys.push_back(key);
    out.place[position] = static_cast<std::uint32_t>(out.keys.size() - 1);
  }
  return out;
}

SortedKeys sort_all(std::span<const Key> questions) {
  const auto tagged = sorted(questions.size(), [&](std::size_t i) { return questions[i]; });
  SortedKeys out;
  out.place.resize(tagged.size());
  for (const auto& [key, position] : tagged) {
    out.place[position] = static_cast<std::uint32_t>(out.keys.size());
    out.keys.push_back(key);
  }
  return out;
}

SortedKeys as_they_are(std::span<const Key> questions) {
  SortedKeys out{{questions.begin(), questions.end()}, std::vector<std::uint32_t>(questions.size())};
  std::iota(out.place.begin(), out.place.end(), 0u);
  return out;
}

SortedEntries sort_entries(std::span<const Entry> entries) {
  const auto tagged = sorted(entries.size(), [&](std::size_t i) { return entries[i].key; });
  SortedEntries out;
  out.keys.reserve(tagged.size());
  out.values.reserve(tagged.size());
  out.place.resize(tagged.size());
  for (const auto& [key, position] : tagged) {
    if (out.keys.empty() || out.keys.back() != key) {
      out.keys.push_back(key);
      out.values.push_back(0);
    }
    out.values.back() = entries[position].value;  // positions ascend: the last one stays
    out.place[position] = static_cast<std::uint32_t>(out.keys.size() - 1);
  }
  return out;
}

std::vector<std::pair<std::uint64_t, std::uint64_t>> bounds_of(std::span<const Entry> sorted_entries,
                                                               std::span<const KeyRange> ranges) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> bounds;
  const auto position = [&](auto before) {
    return static_cast<std::uint64_t>(
        std::partition_point(sorted_entries.begin(), sorted_entries.end(), before) - sorted_entries.begin());
  };
  for (const auto& range : ranges) {
    const std::uint64_t begin = position([&](const Entry& e) { return e.key < range.low; });
    const std::uint64_t end = position([&](const Entry& e) { return e.key <= range.high; });
    bounds.emplace_back(begin, std::max(begin, end));
  }
  return bounds;
}

std::vector<KeyRange> merge_ranges(std::span<const KeyRange> ranges) {
  std::vector<KeyRange> sorted_ranges;
  for (const auto& range : ranges)
    if (range.low <= range.high) sorted_ranges.push_back(range);
  std::sort(sorted_ranges.begin(), sorted_ranges.end(),
            [](const KeyRange& a, const KeyRange& b) { return a.low < b.low; });
  std::vector<KeyRange> merged;
  for (const auto& range : sorted_ranges) {
    // Touching: low is at most one above the end so far (which may be the largest key there is).
    if (!merged.empty() && (range.low == 0 || range.low - 1 <= merged.back().high)) {
      merged.back().high = std::max(merged.back().high, range.high);
    } else {
      merged.push_back(range);
    }
  }
  return merged;
}

}  // namespace ballast::index
