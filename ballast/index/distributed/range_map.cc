#include "ballast/index/distributed/range_map.h"

#include <algorithm>

#include "ballast/orch/codec.h"

namespace ballast::index::baseline {

using cluster::Buffer;
using cluster::Inbox;
using cluster::Outbox;
using cluster::Reader;
using Text = orch::Wire<std::string>;

namespace {

/// Up to `most` keys of each machine, evenly taken; of all machines, sorted.
std::vector<Key> sample_of(cluster::Machine& me, std::span<const Key> keys, std::size_t most) {
  Buffer mine;
  const std::size_t take = std::min(most, keys.size());
  for (std::size_t i = 0; i < take; ++i) mine.put(keys[i * keys.size() / take]);
  std::vector<Key> all;
  for (const auto& bytes : me.allgather_bytes(mine.bytes()))
    for (Reader in(bytes); !in.empty();) all.push_back(in.get<Key>());
  std::sort(all.begin(), all.end());
  return all;
}

}  // namespace

RangeMap::RangeMap(cluster::Machine& me, RangeMapOptions options)
    : me_(me), options_(options), pieces_{{0, 0}} {}

std::size_t RangeMap::piece_of(Key key) const {
  const auto above = std::upper_bound(pieces_.begin(), pieces_.end(), key,
                                      [](Key k, const Piece& piece) { return k < piece.low; });
  return static_cast<std::size_t>(above - pieces_.begin()) - 1;
}

void RangeMap::load(std::span<const Row> entries) {
  std::vector<Key> keys;
  for (const auto& [key, value] : entries) keys.push_back(key);
  const std::vector<Key> all = sample_of(me_, keys, 4096);
  pieces_ = {{0, 0}};
  const auto machines = static_cast<std::size_t>(me_.machines());
  for (std::size_t m = 1; m < machines && !all.empty(); ++m)
    pieces_.push_back({all[m * all.size() / machines], static_cast<int>(m)});
  send(entries);
}

void RangeMap::send(std::span<const Row> entries) {
  Outbox out = me_.outbox();
  for (const auto& [key, value] : entries) {
    Buffer& buffer = out.to(pieces_[piece_of(key)].machine);
    buffer.put(key);
    Text::put(buffer, value);
  }
  const Inbox in = me_.exchange(std::move(out));
  for (int m = 0; m < me_.machines(); ++m) {
    for (Reader reader = in.from(m); !reader.empty();) {
      const auto key = reader.get<Key>();
      mine_.insert_or_assign(key, Text::get(reader));
    }
  }
}

void RangeMap::begin_batch(std::span<const Key> keys) {
  me_.begin_stage("range");
  if (!options_.rebalance) return;
  rebalance();
  sample_ = sample_of(me_, keys, 512);
}

// Loads by the last sample; the same plan on every machine.
void RangeMap::rebalance() {
  if (sample_.empty()) return;
  std::vector<Piece> wanted = pieces_;
  const auto machines = static_cast<std::size_t>(me_.machines());
  const double mean = static_cast<double>(sample_.size()) / static_cast<double>(machines);
  const auto first_at = [&](Key key) {
    return static_cast<std::size_t>(std::lower_bound(sample_.begin(), sample_.end(), key) - sample_.begin());
  };
  for (int move = 0; move < 256; ++move) {
    std::vector<double> load(machines);
    std::vector<std::size_t> begin(wanted.size() + 1, sample_.size());
    for (std::size_t p = 0; p < wanted.size(); ++p) begin[p] = first_at(wanted[p].low);
    begin[0] = 0;
    for (std::size_t p = 0; p < wanted.size(); ++p)
      load[static_cast<std::size_t>(wanted[p].machine)] += static_cast<double>(begin[p + 1] - begin[p]);
    const auto hot = static_cast<int>(std::max_element(load.begin(), load.end()) - load.begin());
    const auto cold = static_cast<int>(std::min_element(load.begin(), load.end()) - load.begin());
    const double most = load[static_cast<std::size_t>(hot)];
    if (most <= options_.tolerance * mean) break;
    std::size_t hottest = wanted.size();
    for (std::size_t p = 0; p < wanted.size(); ++p)
      if (wanted[p].machine == hot &&
          (hottest == wanted.size() || begin[p + 1] - begin[p] > begin[hottest + 1] - begin[hottest]))
        hottest = p;
    const auto shift =
        static_cast<std::size_t>(std::min(most - mean, mean - load[static_cast<std::size_t>(cold)]));
    const std::size_t held = begin[hottest + 1] - begin[hottest];
    if (shift == 0 || held == 0) break;
    if (held <= shift) {
      wanted[hottest].machine = cold;
      continue;
    }
    const Key cut = sample_[begin[hottest + 1] - shift];
    if (cut <= wanted[hottest].low) break;  // one key alone: it cannot be cut
    wanted.insert(wanted.begin() + static_cast<std::ptrdiff_t>(hottest) + 1, {cut, cold});
  }
  migrate(wanted);
}

void RangeMap::migrate(const std::vector<Piece>& wanted) {
  Outbox out = me_.outbox();
  for (std::size_t p = 0; p < wanted.size(); ++p) {
    const bool last = p + 1 == wanted.size();
    if (wanted[p].machine == me_.id()) continue;
    const auto begin = mine_.lower_bound(wanted[p].low);
    const auto end = last ? mine_.end() : mine_.lower_bound(wanted[p + 1].low);
    Buffer& buffer = out.to(wanted[p].machine);
    for (auto at = begin; at != end; ++at) {
      buffer.put(at->first);
      Text::put(buffer, at->second);
    }
    mine_.erase(begin, end);
  }
  const Inbox in = me_.exchange(std::move(out));
  for (int m = 0; m < me_.machines(); ++m) {
    for (Reader reader = in.from(m); !reader.empty();) {
      const auto key = reader.get<Key>();
      mine_.insert_or_assign(key, Text::get(reader));
    }
  }
  // Neighbours on one machine are one piece again.
  pieces_.clear();
  for (const auto& piece : wanted)
    if (pieces_.empty() || pieces_.back().machine != piece.machine) pieces_.push_back(piece);
}

void RangeMap::insert(std::span<const Row> entries) {
  std::vector<Key> keys;
  for (const auto& [key, value] : entries) keys.push_back(key);
  begin_batch(keys);
  send(entries);
}

std::vector<std::optional<std::string>> RangeMap::get(std::span<const Key> keys) {
  begin_batch(keys);
  Outbox out = me_.outbox();
  for (const Key key : keys) out.to(pieces_[piece_of(key)].machine).put(key);
  const Inbox in = me_.exchange(std::move(out));
  Outbox replies = me_.outbox();
  for (int m = 0; m < me_.machines(); ++m) {
    for (Reader reader = in.from(m); !reader.empty();) {
      const auto found = mine_.find(reader.get<Key>());
      replies.to(m).put(static_cast<std::uint8_t>(found != mine_.end()));
      if (found != mine_.end()) Text::put(replies.to(m), found->second);
    }
  }
  const Inbox answers = me_.exchange(std::move(replies));
  std::vector<Reader> readers;
  for (int m = 0; m < me_.machines(); ++m) readers.push_back(answers.from(m));
  std::vector<std::optional<std::string>> found(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    Reader& reader = readers[static_cast<std::size_t>(pieces_[piece_of(keys[i])].machine)];
    if (reader.get<std::uint8_t>() != 0) found[i] = Text::get(reader);
  }
  return found;
}

std::vector<std::vector<RangeMap::Row>> RangeMap::scan(std::span<const std::pair<Key, Key>> ranges) {
  std::vector<Key> lows;
  for (const auto& [low, high] : ranges) lows.push_back(low);
  begin_batch(lows);
  std::vector<std::pair<std::size_t, int>> asked;  // range and machine, in key order
  Outbox out = me_.outbox();
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    const auto& [low, high] = ranges[i];
    if (high < low) continue;
    for (std::size_t p = piece_of(low); p < pieces_.size() && pieces_[p].low <= high; ++p) {
      Buffer& buffer = out.to(pieces_[p].machine);
      buffer.put(std::max(low, pieces_[p].low));
      buffer.put(p + 1 < pieces_.size() ? std::min(high, pieces_[p + 1].low - 1) : high);
      asked.emplace_back(i, pieces_[p].machine);
    }
  }
  const Inbox in = me_.exchange(std::move(out));
  Outbox replies = me_.outbox();
  for (int m = 0; m < me_.machines(); ++m) {
    for (Reader reader = in.from(m); !reader.empty();) {
      const auto low = reader.get<Key>();
      const auto high = reader.get<Key>();
      const auto begin = mine_.lower_bound(low), end = mine_.upper_bound(high);
      replies.to(m).put_varint(static_cast<std::uint64_t>(std::distance(begin, end)));
      for (auto at = begin; at != end; ++at) {
        replies.to(m).put(at->first);
        Text::put(replies.to(m), at->second);
      }
    }
  }
  const Inbox answers = me_.exchange(std::move(replies));
  std::vector<Reader> readers;
  for (int m = 0; m < me_.machines(); ++m) readers.push_back(answers.from(m));
  std::vector<std::vector<Row>> rows(ranges.size());
  for (const auto& [range, machine] : asked) {
    Reader& reader = readers[static_cast<std::size_t>(machine)];
    for (std::uint64_t count = reader.get_varint(); count > 0; --count) {
      const auto key = reader.get<Key>();
      rows[range].emplace_back(key, Text::get(reader));
    }
  }
  return rows;
}

// A piece that has nothing up to the key sends the question on to the piece on its left.
std::vector<std::optional<RangeMap::Row>> RangeMap::predecessor(std::span<const Key> keys) {
  begin_batch(keys);
  std::vector<std::optional<Row>> found(keys.size());
  struct Open {
    std::size_t index, piece;
  };
  std::vector<Open> open;
  for (std::size_t i = 0; i < keys.size(); ++i) open.push_back({i, piece_of(keys[i])});
  for (;;) {
    if (me_.allreduce(static_cast<std::uint64_t>(open.size()), std::plus<>()) == 0) return found;
    Outbox out = me_.outbox();
    for (const auto& one : open) {
      Buffer& buffer = out.to(pieces_[one.piece].machine);
      buffer.put(keys[one.index]);
      buffer.put(static_cast<std::uint32_t>(one.piece));
    }
    const Inbox in = me_.exchange(std::move(out));
    Outbox replies = me_.outbox();
    for (int m = 0; m < me_.machines(); ++m) {
      for (Reader reader = in.from(m); !reader.empty();) {
        const auto key = reader.get<Key>();
        const auto piece = reader.get<std::uint32_t>();
        auto at = mine_.upper_bound(key);
        const bool here = at != mine_.begin() && std::prev(at)->first >= pieces_[piece].low;
        replies.to(m).put(static_cast<std::uint8_t>(here));
        if (!here) continue;
        --at;
        replies.to(m).put(at->first);
        Text::put(replies.to(m), at->second);
      }
    }
    const Inbox answers = me_.exchange(std::move(replies));
    std::vector<Reader> readers;
    for (int m = 0; m < me_.machines(); ++m) readers.push_back(answers.from(m));
    std::vector<Open> still;
    for (const auto& one : open) {
      Reader& reader = readers[static_cast<std::size_t>(pieces_[one.piece].machine)];
      if (reader.get<std::uint8_t>() != 0) {
        const auto key = reader.get<Key>();
        found[one.index].emplace(key, Text::get(reader));
      } else if (one.piece > 0) {
        still.push_back({one.index, one.piece - 1});
      }
    }
    open = std::move(still);
  }
}

}  // namespace ballast::index::baseline
