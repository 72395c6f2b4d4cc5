// Changes of the distributed index: the replicated heads first, then every entry straight from its origin to
// the machine of the chunk that covers it now.
#include <algorithm>
#include <numeric>
#include <unordered_set>

#include "ballast/index/distributed/distributed_map.h"

namespace ballast::index {

using cluster::Buffer;
using cluster::Inbox;
using cluster::Outbox;
using cluster::Reader;
using Text = orch::Wire<std::string>;
template <typename T>
using Wire = orch::Wire<T>;

namespace {

/// What all machines contribute, in key order, each once.
template <typename T>
std::vector<T> gather_distinct(cluster::Machine& me, const std::vector<T>& mine) {
  Buffer buffer;
  for (const T& one : mine) Wire<T>::put(buffer, one);
  std::vector<T> all;
  for (const auto& bytes : me.allgather_bytes(buffer.bytes()))
    for (Reader in(bytes); !in.empty();) all.push_back(Wire<T>::get(in));
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

/// Positions of the last entry of each key, in key order.
template <typename T, typename KeyOf>
std::vector<std::uint32_t> last_of_each(const T& batch, KeyOf key_of) {
  std::vector<std::uint32_t> order(batch.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return key_of(batch[a]) != key_of(batch[b]) ? key_of(batch[a]) < key_of(batch[b]) : a < b;
  });
  std::vector<std::uint32_t> kept;
  for (const std::uint32_t i : order) {
    if (!kept.empty() && key_of(batch[kept.back()]) == key_of(batch[i])) {
      kept.back() = i;
    } else {
      kept.push_back(i);
    }
  }
  return kept;
}

}  // namespace

// Keyed by the seed and the number of the batch: the same on all machines, and unknown to whoever chooses
// keys.
template <typename K>
bool DistributedMap<K>::coin(const K& key) const {
  return orch::hash_key(key, mix64(options_.seed) ^ mix64(epoch_)) % options_.chunk == 0;
}

// The batch's keys that will head a chunk: those of the coin that are not there yet (1/chunk of the keys are
// asked).
template <typename K>
std::vector<K> DistributedMap<K>::fresh_heads(const std::vector<K>& sorted) {
  std::vector<K> candidates, fresh;
  for (const K& key : sorted)
    if (coin(key)) candidates.push_back(key);
  Outbox out = me_.outbox();
  for (const K& key : candidates) {
    const std::uint32_t position = position_of(key);
    Buffer& buffer = out.to(owner_of(position));
    buffer.put(position);
    Wire<K>::put(buffer, key);
  }
  const Inbox in = me_.exchange(std::move(out));
  Outbox replies = me_.outbox();
  for (int m = 0; m < me_.machines(); ++m) {
    for (Reader reader = in.from(m); !reader.empty();) {
      const auto position = reader.get<std::uint32_t>();
      if (position >= ids_.size()) throw InvalidInput("a question about an unknown chunk arrived");
      const Chunk<K>* chunk = store_.find(ids_[position]);
      const K key = Wire<K>::get(reader);
      replies.to(m).put(
          static_cast<std::uint8_t>(chunk != nullptr && chunk->holds(chunk->lower_bound(key), key)));
    }
  }
  const Inbox answers = me_.exchange(std::move(replies));
  std::vector<Reader> readers;
  for (int m = 0; m < me_.machines(); ++m) readers.push_back(answers.from(m));
  for (const K& key : candidates)
    if (readers[static_cast<std::size_t>(owner_of(position_of(key)))].get<std::uint8_t>() == 0)
      fresh.push_back(key);
  return fresh;
}

// Puts new heads into the replicated list and gives what they cut off this machine's chunks, by new chunk.
template <typename K>
std::vector<std::pair<std::uint64_t, Chunk<K>>> DistributedMap<K>::add_heads(std::vector<K> heads) {
  std::vector<std::pair<std::uint64_t, Chunk<K>>> moved;
  // From the greatest down, so that each head cuts off what lies behind it alone.
  for (std::size_t h = heads.size(); h-- > 0;) {
    Chunk<K>* chunk = nullptr;
    const std::uint32_t position = position_of(heads[h]);
    if (store_.owns(ids_[position]) && store_.find(ids_[position]) != nullptr)
      chunk = &store_.make(ids_[position]);
    if (chunk == nullptr) continue;
    const std::size_t at = chunk->lower_bound(heads[h]);
    if (at < chunk->size()) moved.emplace_back(next_id_ + h, chunk->split(at));
  }
  std::vector<K> merged;
  std::vector<std::uint64_t> ids;
  merged.reserve(heads_.size() + heads.size());
  ids.reserve(heads_.size() + heads.size());
  std::size_t next = 0;
  for (std::size_t p = 0; p < heads_.size(); ++p) {
    // heads_[0] stands for what is below all keys, whatever its value.
    for (; p > 0 && next < heads.size() && heads[next] < heads_[p]; ++next) {
      ids.push_back(next_id_ + next);
      merged.push_back(std::move(heads[next]));
    }
    merged.push_back(std::move(heads_[p]));
    ids.push_back(ids_[p]);
  }
  for (; next < heads.size(); ++next) {
    ids.push_back(next_id_ + next);
    merged.push_back(std::move(heads[next]));
  }
  next_id_ += heads.size();
  heads_ = std::move(merged);
  ids_ = std::move(ids);
  return moved;
}

template <typename K>
void DistributedMap<K>::drop_heads(const std::vector<std::uint32_t>& positions) {
  std::size_t next = 0, to = 0;
  for (std::size_t p = 0; p < heads_.size(); ++p) {
    if (next < positions.size() && positions[next] == p) {
      ++next;
      continue;
    }
    if (to != p) {
      heads_[to] = std::move(heads_[p]);
      ids_[to] = ids_[p];
    }
    ++to;
  }
  heads_.resize(to);
  ids_.resize(to);
}

template <typename K>
InsertReport DistributedMap<K>::insert(std::span<const Entry> entries) {
  me_.begin_stage("index insert");
  ++epoch_;
  const auto kept = last_of_each(entries, [](const Entry& e) -> const K& { return e.first; });
  std::vector<K> sorted;
  sorted.reserve(kept.size());
  for (const std::uint32_t i : kept) sorted.push_back(entries[i].first);
  auto moved = add_heads(gather_distinct(me_, fresh_heads(sorted)));

  Outbox out = me_.outbox();
  std::vector<Buffer> parts(static_cast<std::size_t>(me_.machines()));
  for (auto& [id, chunk] : moved) {
    Buffer& buffer = parts[static_cast<std::size_t>(store_.owner(id))];
    buffer.put(id);
    chunk.encode(buffer);
  }
  for (int m = 0; m < me_.machines(); ++m) {
    Buffer& part = parts[static_cast<std::size_t>(m)];
    out.to(m).put_varint(part.size());
    out.to(m).append(part.bytes());
  }
  for (std::size_t begin = 0, end; begin < kept.size(); begin = end) {
    const std::uint32_t position = position_of(sorted[begin]);
    const bool last = position + 1 == heads_.size();
    for (end = begin + 1; end < kept.size() && (last || sorted[end] < heads_[position + 1]);) ++end;
    Buffer& buffer = out.to(owner_of(position));
    buffer.put(position);
    buffer.put_varint(end - begin);
    for (std::size_t i = begin; i < end; ++i) {
      Wire<K>::put(buffer, sorted[i]);
      Text::put(buffer, entries[kept[i]].second);
    }
  }
  const Inbox in = me_.exchange(std::move(out));
  std::vector<Reader> readers;
  for (int m = 0; m < me_.machines(); ++m) {
    readers.push_back(in.from(m));
    for (Reader part(readers.back().take(readers.back().get_varint())); !part.empty();) {
      const auto id = part.get<std::uint64_t>();
      store_.put(id, Chunk<K>::decode(part));
    }
  }
  struct Sums {
    std::uint64_t inserted = 0, given = 0, distinct = 0;
  };
  Sums sums{0, entries.size(), 0};
  // Machines in the order of their ids: the last one wins. Several machines may give the same key.
  std::map<std::uint32_t, std::vector<std::pair<K, std::string>>> arrived;
  for (auto& reader : readers) {
    while (!reader.empty()) {
      const auto position = reader.get<std::uint32_t>();
      if (position >= ids_.size()) throw InvalidInput("entries of an unknown chunk arrived");
      auto& list = arrived[position];
      for (std::uint64_t count = reader.get_varint(); count > 0; --count) {
        K key = Wire<K>::get(reader);
        list.emplace_back(std::move(key), Text::get(reader));
      }
    }
  }
  for (auto& [position, list] : arrived) {
    std::stable_sort(list.begin(), list.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    Chunk<K>& chunk = store_.make(ids_[position]);
    Chunk<K> merged;
    std::size_t old = 0;
    const auto take_old = [&] {
      merged.keys.push_back(std::move(chunk.keys[old]));
      merged.values.push_back(std::move(chunk.values[old++]));
    };
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (i + 1 < list.size() && list[i].first == list[i + 1].first) continue;
      ++sums.distinct;
      while (old < chunk.size() && chunk.keys[old] < list[i].first) take_old();
      if (old < chunk.size() && chunk.keys[old] == list[i].first) {
        ++old;
      } else {
        ++sums.inserted;
      }
      merged.keys.push_back(std::move(list[i].first));
      merged.values.push_back(std::move(list[i].second));
    }
    while (old < chunk.size()) take_old();
    chunk = std::move(merged);
  }
  sums = me_.allreduce(sums, [](const Sums& a, const Sums& b) {
    return Sums{a.inserted + b.inserted, a.given + b.given, a.distinct + b.distinct};
  });
  finish_change();
  return {sums.inserted, sums.distinct - sums.inserted, sums.given - sums.distinct};
}

template <typename K>
std::vector<bool> DistributedMap<K>::update(std::span<const Entry> entries) {
  std::vector<K> keys;
  for (const auto& entry : entries) keys.push_back(entry.first);
  std::vector<bool> present = contains(keys);
  std::vector<Entry> there;
  for (std::size_t i = 0; i < entries.size(); ++i)
    if (present[i]) there.push_back(entries[i]);
  insert(there);
  return present;
}

// Absent keys are found out by a read, which no crowd of them can hurt; only present ones, at most one of
// each from each machine, go to their chunks.
template <typename K>
std::vector<bool> DistributedMap<K>::erase(std::span<const K> keys) {
  const std::vector<bool> present = contains(keys);
  me_.begin_stage("index erase");
  Outbox out = me_.outbox();
  for (const std::uint32_t i : last_of_each(keys, [](const K& key) -> const K& { return key; })) {
    if (!present[i]) continue;
    const std::uint32_t position = position_of(keys[i]);
    Buffer& buffer = out.to(owner_of(position));
    buffer.put(position);
    Wire<K>::put(buffer, keys[i]);
  }
  const Inbox in = me_.exchange(std::move(out));
  std::vector<std::uint32_t> dead;  // chunks that lost their head
  for (int m = 0; m < me_.machines(); ++m) {
    for (Reader reader = in.from(m); !reader.empty();) {
      const auto position = reader.get<std::uint32_t>();
      const K key = Wire<K>::get(reader);
      if (position >= ids_.size()) throw InvalidInput("a key of an unknown chunk arrived");
      if (!store_.make(ids_[position]).erase(key)) continue;
      if (position > 0 && key == heads_[position]) dead.push_back(position);
    }
  }
  dead = gather_distinct(me_, dead);
  // What is left of them goes to the nearest chunk on the left that stays.
  const std::unordered_set<std::uint32_t> gone(dead.begin(), dead.end());
  Outbox rest = me_.outbox();
  for (const std::uint32_t position : dead) {
    if (!store_.owns(ids_[position])) continue;
    const Chunk<K>* chunk = store_.find(ids_[position]);
    std::uint32_t to = position;
    while (gone.count(to) != 0) --to;
    if (chunk != nullptr && chunk->size() > 0) {
      Buffer& buffer = rest.to(owner_of(to));
      buffer.put(ids_[to]);
      chunk->encode(buffer);
    }
    store_.erase(ids_[position]);
  }
  drop_heads(dead);
  const Inbox parts = me_.exchange(std::move(rest));
  std::map<std::uint64_t, std::vector<Chunk<K>>> joined;
  for (int m = 0; m < me_.machines(); ++m) {
    for (Reader reader = parts.from(m); !reader.empty();) {
      const auto id = reader.get<std::uint64_t>();
      joined[id].push_back(Chunk<K>::decode(reader));
    }
  }
  for (auto& [id, list] : joined) {
    std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.keys[0] < b.keys[0]; });
    for (auto& chunk : list) store_.make(id).append(std::move(chunk));
  }
  finish_change();
  return present;
}

// Sizes and means that all machines agree on.
template <typename K>
void DistributedMap<K>::finish_change() {
  struct Sums {
    std::uint64_t entries = 0, chunks = 0, chunk_bytes = 0, value_bytes = 0;
  };
  Sums sums;
  for (const auto& [id, chunk] : store_.all()) {
    sums.entries += chunk.size();
    ++sums.chunks;
  }
  sums.chunk_bytes = store_.item_bytes();
  std::size_t looked_at = 0, bytes = 0;
  for (const auto& [id, chunk] : store_.all()) {
    for (const auto& value : chunk.values) bytes += value.size();
    looked_at += chunk.size();
    if (looked_at > 4096) break;
  }
  sums.value_bytes = looked_at == 0 ? 0 : bytes * sums.entries / looked_at;
  sums = me_.allreduce(sums, [](const Sums& a, const Sums& b) {
    return Sums{a.entries + b.entries, a.chunks + b.chunks, a.chunk_bytes + b.chunk_bytes,
                a.value_bytes + b.value_bytes};
  });
  size_ = sums.entries;
  const auto mean = [](std::uint64_t sum, std::uint64_t count) {
    return count == 0 ? 0.0 : static_cast<double>(sum) / static_cast<double>(count);
  };
  chunk_bytes_ = mean(sums.chunk_bytes, sums.chunks);
  value_bytes_ = mean(sums.value_bytes, sums.entries);
}

template InsertReport DistributedMap<std::uint64_t>::insert(std::span<const Entry>);
template std::vector<bool> DistributedMap<std::uint64_t>::update(std::span<const Entry>);
template std::vector<bool> DistributedMap<std::uint64_t>::erase(std::span<const std::uint64_t>);
template InsertReport DistributedMap<std::string>::insert(std::span<const Entry>);
template std::vector<bool> DistributedMap<std::string>::update(std::span<const Entry>);
template std::vector<bool> DistributedMap<std::string>::erase(std::span<const std::string>);

}  // namespace ballast::index
