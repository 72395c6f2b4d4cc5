// Ranges (specification 3.6): merged ranges go down level by level; a chunk inside a range gives all its
// children, one at an end those that the range covers; a chunk that many ranges ask is pulled.
#include <algorithm>
#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/index/batch.h"
#include "ballast/index/pim_tree.h"

namespace ballast::index {
namespace {

using pim::Address;
using pim::module_of;
using pim::offset_of;

// The pieces between all ends of the ranges that some range covers, ascending, without overlap.
std::vector<KeyRange> elementary(std::span<const KeyRange> ranges) {
  std::vector<Key> cuts;  // where a piece begins
  for (const auto& [low, high] : ranges) {
    if (low > high) continue;
    cuts.push_back(low);
    if (high != ~Key{0}) cuts.push_back(high + 1);
  }
  std::sort(cuts.begin(), cuts.end());
  cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
  std::vector<KeyRange> pieces;
  const std::vector<KeyRange> covered = merge_ranges(ranges);
  std::size_t cover = 0;
  for (std::size_t i = 0; i < cuts.size(); ++i) {
    while (cover < covered.size() && covered[cover].high < cuts[i]) ++cover;
    if (cover == covered.size()) break;
    if (covered[cover].low > cuts[i]) continue;
    pieces.push_back({cuts[i], i + 1 < cuts.size() ? cuts[i + 1] - 1 : covered[cover].high});
    pieces.back().high = std::min(pieces.back().high, covered[cover].high);
  }
  return pieces;
}

}  // namespace

std::vector<PimTree::RangeItem> PimTree::range_roots(std::span<const KeyRange> ranges) {
  if (options_.l3_host) {
    std::vector<RangeItem> items;
    for (std::uint32_t i = 0; i < ranges.size(); ++i) {
      items.push_back({host_root(ranges[i].low), i});
      for (auto at = l3_.upper_bound(ranges[i].low); at != l3_.end() && at->first <= ranges[i].high; ++at)
        items.push_back({at->second, i});
    }
    return items;
  }
  const std::uint64_t modules = machine_.modules(), count = ranges.size();
  const auto lane = [&](std::uint64_t i) { return static_cast<std::uint32_t>(i * modules / count); };
  pim::Round& round = machine_.begin("L3");
  for (std::uint64_t i = 0; i < count; ++i)
    round.add(lane(i), TASK_L3_RANGE, {ranges[i].low, ranges[i].high});
  machine_.run(round);
  std::vector<RangeItem> items;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint64_t found = *round.next(lane(i), 1);
    const std::uint64_t* roots = round.next(lane(i), found);
    for (std::uint64_t r = 0; r < found; ++r) items.push_back({roots[r], i});
  }
  return items;
}

std::vector<PimTree::RangeItem> PimTree::expand(std::span<const KeyRange> ranges,
                                                std::vector<RangeItem> items, const char* phase) {
  std::sort(items.begin(), items.end(), [](const RangeItem& a, const RangeItem& b) { return a.at < b.at; });
  struct Asked {
    std::size_t begin, end;
    bool pull;
  };
  std::vector<Asked> asked;
  for (std::size_t begin = 0, end; begin < items.size(); begin = end) {
    for (end = begin; end < items.size() && items[end].at == items[begin].at;) ++end;
    const bool contended = end - begin > limit_;
    asked.push_back(
        {begin, end, options_.search == Search::pull || (options_.search == Search::push_pull && contended)});
  }
  pim::Round& round = machine_.begin(phase);
  for (const auto& one : asked) {
    if (one.pull) continue;
    for (std::size_t i = one.begin; i < one.end; ++i)
      round.add(module_of(items[i].at), TASK_RANGE,
                {offset_of(items[i].at), ranges[items[i].range].low, ranges[items[i].range].high});
  }
  const bool leaves = phase[0] == 'L' && phase[1] == '1';
  for (const auto& one : asked)
    if (one.pull) round.add(module_of(items[one.begin].at), TASK_PULL, {offset_of(items[one.begin].at)});
  machine_.run(round);
  std::vector<RangeItem> below;
  for (const auto& one : asked) {
    if (one.pull) continue;
    for (std::size_t i = one.begin; i < one.end; ++i) {
      const std::uint32_t module = module_of(items[i].at);
      const std::uint64_t found = *round.next(module, 1);
      const std::uint64_t* children = round.next(module, found);
      for (std::uint64_t c = 0; c < found; ++c) below.push_back({children[c], items[i].range});
    }
  }
  for (const auto& one : asked) {
    if (!one.pull) continue;
    const Fetched chunk = read_fetched(round, module_of(items[one.begin].at));
    for (std::size_t i = one.begin; i < one.end; ++i) {
      const KeyRange& range = ranges[items[i].range];
      auto entry = std::upper_bound(chunk.entries.begin(), chunk.entries.end(), range.low,
                                    [](Key key, const Entry& e) { return key < e.key; });
      if (leaves) {
        if (entry != chunk.entries.begin() && std::prev(entry)->key == range.low) --entry;
      } else if (entry != chunk.entries.begin()) {
        --entry;
      } else if (chunk.link != 0) {
        below.push_back({chunk.link, items[i].range});
      }
      for (; entry != chunk.entries.end() && entry->key <= range.high; ++entry)
        below.push_back({entry->value, items[i].range});
    }
  }
  return below;
}

// Overlapping ranges joined; one of more than 5 times the mean length cut in pieces of that length, so that
// no module names all roots of a long range.
std::vector<KeyRange> PimTree::ranges_to_send(std::span<const KeyRange> questions) const {
  std::vector<KeyRange> ranges;
  if (options_.merge_ranges) {
    ranges = merge_ranges(questions);
  } else {
    for (const auto& range : questions)
      if (range.low <= range.high) ranges.push_back(range);
    std::sort(ranges.begin(), ranges.end(),
              [](const KeyRange& a, const KeyRange& b) { return a.low < b.low; });
  }
  if (!options_.cut_ranges) return ranges;
  double sum = 0, given = 0;
  for (const auto& range : questions) {
    if (range.low > range.high) continue;
    sum += static_cast<double>(range.high - range.low) + 1;
    ++given;
  }
  std::vector<KeyRange> cut;
  for (const auto& range : ranges) {
    const double length = static_cast<double>(range.high - range.low) + 1, mean = sum / given;
    const auto pieces = length > 5 * mean ? static_cast<std::uint64_t>(std::ceil(length / mean)) : 1;
    const Key step = (range.high - range.low) / pieces;
    Key low = range.low;
    for (std::uint64_t p = 1; p < pieces; ++p) {
      cut.push_back({low, range.low + p * step});
      low = range.low + p * step + 1;
    }
    cut.push_back({low, range.high});
  }
  return cut;
}

Rows PimTree::scan(std::span<const KeyRange> questions) {
  machine_.reset_cost();
  const std::vector<KeyRange> ranges = ranges_to_send(questions);
  std::vector<RangeItem> items = range_roots(ranges);
  const bool in_line = options_.leaf == Leaf::in_line;
  for (std::uint32_t level = levels_; level-- > (in_line ? 1u : 0u);)
    items = expand(ranges, std::move(items), level == 0 ? "L1" : level == 1 ? "L2" : "L2 top");
  Rows rows;
  if (in_line) {
    rows.entries = inline_rows(ranges, std::move(items));
  } else {
    std::vector<Address> nodes;
    for (const auto& item : items) nodes.push_back(item.at);
    rows.entries = read_data(nodes);
  }
  std::sort(rows.entries.begin(), rows.entries.end(),
            [](const Entry& a, const Entry& b) { return a.key < b.key; });
  if (!options_.merge_ranges)
    rows.entries.erase(std::unique(rows.entries.begin(), rows.entries.end()), rows.entries.end());
  rows.bounds = bounds_of(rows.entries, questions);
  return rows;
}

// Counts pieces that do not overlap, by lengths alone: no data round.
std::vector<std::uint64_t> PimTree::count(std::span<const KeyRange> questions) {
  machine_.reset_cost();
  const std::vector<KeyRange> pieces = elementary(questions);
  std::vector<RangeItem> items = range_roots(pieces);
  for (std::uint32_t level = levels_; level-- > 1;)
    items = expand(pieces, std::move(items), level == 1 ? "L2" : "L2 top");
  std::sort(items.begin(), items.end(), [](const RangeItem& a, const RangeItem& b) { return a.at < b.at; });
  struct Asked {
    std::size_t begin, end;
    bool pull;
  };
  std::vector<Asked> asked;
  for (std::size_t begin = 0, end; begin < items.size(); begin = end) {
    for (end = begin; end < items.size() && items[end].at == items[begin].at;) ++end;
    asked.push_back({begin, end, options_.search != Search::push && end - begin > limit_ / 2});
  }
  pim::Round& round = machine_.begin("L1");
  for (const auto& one : asked) {
    const Address at = items[one.begin].at;
    if (one.pull) {
      round.add(module_of(at), TASK_PULL, {offset_of(at)});
    } else {
      for (std::size_t i = one.begin; i < one.end; ++i)
        round.add(module_of(at), TASK_COUNT,
                  {offset_of(at), pieces[items[i].range].low, pieces[items[i].range].high});
    }
  }
  machine_.run(round);
  std::vector<std::uint64_t> upto(pieces.size() + 1);  // after the sums: keys in all pieces before i
  for (const auto& one : asked) {
    const std::uint32_t module = module_of(items[one.begin].at);
    if (one.pull) {
      const Fetched chunk = read_fetched(round, module);
      for (std::size_t i = one.begin; i < one.end; ++i)
        for (const auto& entry : chunk.entries)
          upto[items[i].range + 1] +=
              entry.key >= pieces[items[i].range].low && entry.key <= pieces[items[i].range].high;
    } else {
      for (std::size_t i = one.begin; i < one.end; ++i) upto[items[i].range + 1] += *round.next(module, 1);
    }
  }
  for (std::size_t i = 0; i < pieces.size(); ++i) upto[i + 1] += upto[i];
  std::vector<std::uint64_t> out;
  for (const auto& [low, high] : questions) {
    if (low > high) {
      out.push_back(0);
      continue;
    }
    const auto first =
        std::partition_point(pieces.begin(), pieces.end(), [low](const KeyRange& p) { return p.low < low; });
    const auto last = std::partition_point(pieces.begin(), pieces.end(),
                                           [high](const KeyRange& p) { return p.high <= high; });
    out.push_back(upto[static_cast<std::size_t>(last - pieces.begin())] -
                  upto[static_cast<std::size_t>(first - pieces.begin())]);
  }
  return out;
}

}  // namespace ballast::index
