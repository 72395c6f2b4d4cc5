#include "ballast/index/baseline/range_partition.h"

#include <algorithm>
#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/index/batch.h"

namespace ballast::index::baseline {

RangePartition::RangePartition(pim::Machine& machine, RangeOptions options)
    : machine_(machine), options_(options) {
  const std::uint32_t modules = machine.modules();
  const double width = std::ldexp(1.0, 64) / modules;
  for (std::uint32_t m = 0; m < modules; ++m) pieces_.push_back({static_cast<Key>(width * m), m, 0});
}

std::uint64_t RangePartition::size() const {
  std::uint64_t sum = 0;
  for (const auto& piece : pieces_) sum += piece.keys;
  return sum;
}

std::size_t RangePartition::piece_of(Key key) const {
  const auto above = std::upper_bound(pieces_.begin(), pieces_.end(), key,
                                      [](Key k, const Piece& piece) { return k < piece.low; });
  return static_cast<std::size_t>(above - pieces_.begin()) - 1;
}

Key RangePartition::high_of(std::size_t piece) const {
  return piece + 1 < pieces_.size() ? pieces_[piece + 1].low - 1 : ~Key{0};
}

void RangePartition::bulk_load(std::span<const Entry> sorted) {
  if (size() != 0) throw InvalidInput("bulk load", "an index that is not empty", "an empty one");
  require_ascending(sorted);
  machine_.reset_cost();
  const std::uint64_t modules = machine_.modules();
  if (options_.sampled && sorted.size() >= modules) {
    pieces_.clear();
    for (std::uint64_t m = 0; m < modules; ++m)
      pieces_.push_back(
          {m == 0 ? 0 : sorted[m * sorted.size() / modules].key, static_cast<std::uint32_t>(m), 0});
  }
  constexpr std::size_t kPiece = std::size_t{1} << 20;
  for (std::size_t begin = 0; begin < sorted.size(); begin += kPiece)
    insert(sorted.subspan(begin, std::min(kPiece, sorted.size() - begin)));
}

void RangePartition::begin_batch(std::span<const Key> sorted_keys) {
  machine_.reset_cost();
  if (!options_.rebalance) return;
  rebalance();
  last_batch_.assign(sorted_keys.begin(), sorted_keys.end());
}

// All keys of a piece go to another module: read there, written here, removed there.
void RangePartition::move(std::size_t piece, std::uint32_t to) {
  Piece& moved = pieces_[piece];
  if (moved.module == to) return;
  if (moved.keys > 0) {
    const std::uint32_t from = moved.module;
    pim::Round& read = machine_.begin("migrate");
    read.add(from, TASK_TREE_RANGE, {moved.low, high_of(piece)});
    machine_.run(read);
    const std::uint64_t count = *read.next(from, 1);
    const std::uint64_t* words = read.next(from, 2 * count);
    const std::vector<std::uint64_t> entries(words, words + 2 * count);
    pim::Round& write = machine_.begin("migrate");
    for (std::uint64_t e = 0; e < count; ++e) {
      write.add(to, TASK_TREE_PUT, {entries[2 * e], entries[2 * e + 1]});
      write.add(from, TASK_TREE_DROP, {entries[2 * e]});
    }
    machine_.run(write);
  }
  moved.module = to;
}

void RangePartition::rebalance() {
  if (last_batch_.empty()) return;
  const std::uint32_t modules = machine_.modules();
  const double mean = static_cast<double>(last_batch_.size()) / modules;
  std::vector<double> load(modules);
  const auto questions = [&](std::size_t piece) {
    const auto begin = std::lower_bound(last_batch_.begin(), last_batch_.end(), pieces_[piece].low);
    const auto end = std::upper_bound(begin, last_batch_.end(), high_of(piece));
    return std::pair(begin - last_batch_.begin(), end - last_batch_.begin());
  };
  for (std::size_t p = 0; p < pieces_.size(); ++p) {
    const auto [begin, end] = questions(p);
    load[pieces_[p].module] += static_cast<double>(end - begin);
  }
  for (std::uint32_t step = 0; step < 2 * modules; ++step) {
    const auto hot = static_cast<std::uint32_t>(std::max_element(load.begin(), load.end()) - load.begin());
    const auto cold = static_cast<std::uint32_t>(std::min_element(load.begin(), load.end()) - load.begin());
    if (load[hot] <= options_.tolerance * mean) return;
    const auto wanted = static_cast<std::ptrdiff_t>(std::min(load[hot] - mean, mean - load[cold]));
    if (wanted < 1) return;
    // The hot module's busiest piece, cut so that its right part carries the wanted load.
    std::size_t best = pieces_.size();
    std::ptrdiff_t most = 0;
    for (std::size_t p = 0; p < pieces_.size(); ++p) {
      if (pieces_[p].module != hot) continue;
      const auto [begin, end] = questions(p);
      if (end - begin > most) {
        most = end - begin;
        best = p;
      }
    }
    if (best == pieces_.size()) return;
    const auto [begin, end] = questions(best);
    const std::ptrdiff_t cut = std::max(begin, end - wanted);
    const Key at = last_batch_[static_cast<std::size_t>(cut)];
    if (at > pieces_[best].low) {
      pim::Round& round = machine_.begin("migrate");
      round.add(hot, TASK_TREE_COUNT, {at, high_of(best)});
      machine_.run(round);
      const std::uint64_t keys = *round.next(hot, 1);
      pieces_[best].keys -= keys;
      pieces_.insert(pieces_.begin() + static_cast<std::ptrdiff_t>(best) + 1, Piece{at, hot, keys});
      ++best;
    }
    move(best, cold);
    const auto moved = static_cast<double>(end - cut);
    load[hot] -= moved;
    load[cold] += moved;
  }
}

std::vector<std::optional<Value>> RangePartition::get(std::span<const Key> questions) {
  const SortedKeys batch = sort_keys(questions);
  begin_batch(batch.keys);
  pim::Round& round = machine_.begin("get");
  std::vector<std::uint32_t> owner(batch.keys.size());
  for (std::size_t i = 0; i < batch.keys.size(); ++i) {
    owner[i] = pieces_[piece_of(batch.keys[i])].module;
    round.add(owner[i], TASK_TREE_GET, {batch.keys[i]});
  }
  machine_.run(round);
  std::vector<std::optional<Value>> answers(batch.keys.size()), out(questions.size());
  for (std::size_t i = 0; i < batch.keys.size(); ++i) {
    const std::uint64_t* reply = round.next(owner[i], 2);
    if (reply[0] != 0) answers[i] = reply[1];
  }
  for (std::size_t i = 0; i < questions.size(); ++i) out[i] = answers[batch.place[i]];
  return out;
}

// A module holds several pieces, so what it finds may lie in another one of its own: still the right answer
// only if no piece between has keys. The CPU side knows every piece's number of keys and asks the nearest
// that has some.
std::vector<std::optional<Entry>> RangePartition::near(std::span<const Key> questions, bool after) {
  const SortedKeys batch = sort_keys(questions);
  begin_batch(batch.keys);
  const std::size_t count = batch.keys.size();
  std::vector<std::optional<Entry>> answers(count), out(questions.size());
  struct Ask {
    std::size_t first, end;  // questions that this answers
    Key key;
    std::size_t piece;
  };
  std::vector<Ask> asks;
  for (std::size_t i = 0; i < count; ++i) asks.push_back({i, i + 1, batch.keys[i], piece_of(batch.keys[i])});
  while (!asks.empty()) {
    pim::Round& round = machine_.begin(after ? "after" : "before");
    std::vector<Ask> asked;
    for (Ask ask : asks) {
      // Over pieces without keys to the next that has some: its end is the question there.
      while (ask.piece < pieces_.size() && pieces_[ask.piece].keys == 0) {
        if (after) {
          if (++ask.piece < pieces_.size()) ask.key = pieces_[ask.piece].low;
        } else {
          if (--ask.piece < pieces_.size()) ask.key = high_of(ask.piece);
        }
      }
      if (ask.piece >= pieces_.size()) continue;  // none at all
      if (!asked.empty() && asked.back().piece == ask.piece && asked.back().key == ask.key) {
        asked.back().end = ask.end;
        continue;
      }
      round.add(pieces_[ask.piece].module, after ? TASK_TREE_AFTER : TASK_TREE_BEFORE, {ask.key});
      asked.push_back(ask);
    }
    machine_.run(round);
    asks.clear();
    for (Ask ask : asked) {
      const std::uint64_t* reply = round.next(pieces_[ask.piece].module, 2);
      const Entry found{reply[0], reply[1]};
      const Key low = pieces_[ask.piece].low, high = high_of(ask.piece);
      const bool inside =
          after ? found.key >= ask.key && found.key <= high : found.key <= ask.key && found.key >= low;
      if (inside) {
        for (std::size_t i = ask.first; i < ask.end; ++i) answers[i] = found;
      } else if (after) {
        if (++ask.piece < pieces_.size()) {
          ask.key = pieces_[ask.piece].low;
          asks.push_back(ask);
        }
      } else if (ask.piece-- > 0) {
        ask.key = high_of(ask.piece);
        asks.push_back(ask);
      }
    }
  }
  for (std::size_t i = 0; i < questions.size(); ++i) out[i] = answers[batch.place[i]];
  return out;
}

std::vector<std::optional<Entry>> RangePartition::predecessor(std::span<const Key> questions) {
  return near(questions, false);
}
std::vector<std::optional<Entry>> RangePartition::successor(std::span<const Key> questions) {
  return near(questions, true);
}

InsertReport RangePartition::insert(std::span<const Entry> entries) {
  const SortedEntries batch = sort_entries(entries);
  begin_batch(batch.keys);
  pim::Round& round = machine_.begin("insert");
  std::vector<std::size_t> piece(batch.keys.size());
  for (std::size_t i = 0; i < batch.keys.size(); ++i) {
    piece[i] = piece_of(batch.keys[i]);
    round.add(pieces_[piece[i]].module, TASK_TREE_PUT, {batch.keys[i], batch.values[i]});
  }
  machine_.run(round);
  InsertReport report{0, 0, entries.size() - batch.keys.size()};
  for (std::size_t i = 0; i < batch.keys.size(); ++i) {
    const bool fresh = *round.next(pieces_[piece[i]].module, 1) != 0;
    fresh ? ++report.inserted : ++report.overwritten;
    pieces_[piece[i]].keys += fresh;
  }
  return report;
}

std::vector<bool> RangePartition::update(std::span<const Entry> entries) {
  const SortedEntries batch = sort_entries(entries);
  begin_batch(batch.keys);
  pim::Round& round = machine_.begin("update");
  std::vector<std::uint32_t> owner(batch.keys.size());
  for (std::size_t i = 0; i < batch.keys.size(); ++i) {
    owner[i] = pieces_[piece_of(batch.keys[i])].module;
    round.add(owner[i], TASK_TREE_UPDATE, {batch.keys[i], batch.values[i]});
  }
  machine_.run(round);
  std::vector<bool> found(batch.keys.size()), out(entries.size());
  for (std::size_t i = 0; i < batch.keys.size(); ++i) found[i] = *round.next(owner[i], 1) != 0;
  for (std::size_t i = 0; i < entries.size(); ++i) out[i] = found[batch.place[i]];
  return out;
}

std::vector<bool> RangePartition::erase(std::span<const Key> questions) {
  const SortedKeys batch = sort_keys(questions);
  begin_batch(batch.keys);
  pim::Round& round = machine_.begin("erase");
  std::vector<std::size_t> piece(batch.keys.size());
  for (std::size_t i = 0; i < batch.keys.size(); ++i) {
    piece[i] = piece_of(batch.keys[i]);
    round.add(pieces_[piece[i]].module, TASK_TREE_DROP, {batch.keys[i]});
  }
  machine_.run(round);
  std::vector<bool> found(batch.keys.size()), out(questions.size());
  for (std::size_t i = 0; i < batch.keys.size(); ++i) {
    found[i] = *round.next(pieces_[piece[i]].module, 1) != 0;
    pieces_[piece[i]].keys -= found[i];
  }
  for (std::size_t i = 0; i < questions.size(); ++i) out[i] = found[batch.place[i]];
  return out;
}

Rows RangePartition::scan(std::span<const KeyRange> questions) {
  const std::vector<KeyRange> ranges = merge_ranges(questions);
  std::vector<Key> lows;
  for (const auto& range : ranges) lows.push_back(range.low);
  begin_batch(lows);
  pim::Round& round = machine_.begin("scan");
  std::vector<std::uint32_t> owner;
  for (const auto& range : ranges) {
    for (std::size_t p = piece_of(range.low); p < pieces_.size() && pieces_[p].low <= range.high; ++p) {
      if (pieces_[p].keys == 0) continue;
      owner.push_back(pieces_[p].module);
      round.add(owner.back(), TASK_TREE_RANGE,
                {std::max(range.low, pieces_[p].low), std::min(range.high, high_of(p))});
    }
  }
  machine_.run(round);
  Rows rows;
  for (const std::uint32_t module : owner) {
    const std::uint64_t count = *round.next(module, 1);
    const std::uint64_t* words = round.next(module, 2 * count);
    for (std::uint64_t e = 0; e < count; ++e) rows.entries.push_back({words[2 * e], words[2 * e + 1]});
  }
  rows.bounds = bounds_of(rows.entries, questions);
  return rows;
}

std::vector<std::uint64_t> RangePartition::count(std::span<const KeyRange> questions) {
  std::vector<Key> lows;
  for (const auto& range : questions) lows.push_back(range.low);
  std::sort(lows.begin(), lows.end());
  begin_batch(lows);
  pim::Round& round = machine_.begin("count");
  std::vector<std::pair<std::size_t, std::uint32_t>> asked;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    const auto& [low, high] = questions[i];
    if (low > high) continue;
    for (std::size_t p = piece_of(low); p < pieces_.size() && pieces_[p].low <= high; ++p) {
      if (pieces_[p].keys == 0) continue;
      asked.emplace_back(i, pieces_[p].module);
      round.add(pieces_[p].module, TASK_TREE_COUNT,
                {std::max(low, pieces_[p].low), std::min(high, high_of(p))});
    }
  }
  machine_.run(round);
  std::vector<std::uint64_t> out(questions.size());
  for (const auto& [i, module] : asked) out[i] += *round.next(module, 1);
  return out;
}

}  // namespace ballast::index::baseline
