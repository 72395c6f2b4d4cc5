// Questions to the distributed index: by sorted slices with push and pull, or by a TD-Orch stage.
#include <algorithm>
#include <bit>
#include <numeric>

#include "ballast/index/distributed/distributed_map.h"

namespace ballast::index {

using cluster::Buffer;
using cluster::Inbox;
using cluster::Outbox;
using cluster::Reader;
template <typename T>
using Wire = orch::Wire<T>;

// An equal, contiguous slice of all machines' questions (central: all of them on machine 0). Equal keys are
// cut among machines like any others: what is sorted is (key, origin, index).
template <typename K>
std::vector<typename DistributedMap<K>::Record> DistributedMap<K>::slice(std::span<const K> keys,
                                                                         bool central) {
  const auto machines = static_cast<std::size_t>(me_.machines());
  std::vector<std::uint32_t> order(keys.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(),
            [&](std::uint32_t a, std::uint32_t b) { return keys[a] != keys[b] ? keys[a] < keys[b] : a < b; });
  const auto self = static_cast<std::uint16_t>(me_.id());
  const auto before = [](const Record& a, const Record& b) {
    return std::tie(a.key, a.origin, a.index) < std::tie(b.key, b.origin, b.index);
  };
  std::vector<Record> cuts;
  if (!central && machines > 1) {
    // Regular samples of the sorted questions, each of the same weight on all machines.
    constexpr std::size_t kOversampling = 32;
    Buffer mine;
    mine.put(static_cast<std::uint64_t>(keys.size()));
    const std::size_t samples = std::min(keys.size(), kOversampling);
    for (std::size_t s = 0; s < samples; ++s) {
      const std::uint32_t i = order[(2 * s + 1) * keys.size() / (2 * samples)];
      Wire<K>::put(mine, keys[i]);
      mine.put(i);
    }
    std::vector<std::pair<Record, double>> all;
    double total = 0;
    const auto gathered = me_.allgather_bytes(mine.bytes());
    for (std::size_t m = 0; m < machines; ++m) {
      Reader in(gathered[m]);
      const auto count = in.get<std::uint64_t>();
      const double weight =
          static_cast<double>(count) /
          static_cast<double>(std::max<std::uint64_t>(1, std::min<std::uint64_t>(count, kOversampling)));
      while (!in.empty()) {
        K key = Wire<K>::get(in);
        all.push_back({{std::move(key), static_cast<std::uint16_t>(m), in.get<std::uint32_t>()}, weight});
        total += weight;
      }
    }
    std::sort(all.begin(), all.end(), [&](const auto& a, const auto& b) { return before(a.first, b.first); });
    double so_far = 0;
    std::size_t cut = 1;
    for (auto& [record, weight] : all) {
      so_far += weight;
      for (; cut < machines && so_far >= total * static_cast<double>(cut) / static_cast<double>(machines);
           ++cut)
        cuts.push_back(record);
    }
  }
  Outbox out = me_.outbox();
  std::size_t to = 0;
  for (const std::uint32_t i : order) {
    const Record record{keys[i], self, i};
    while (to < cuts.size() && before(cuts[to], record)) ++to;
    Buffer& buffer = out.to(static_cast<int>(to));
    Wire<K>::put(buffer, keys[i]);
    buffer.put(i);
  }
  const Inbox in = me_.exchange(std::move(out));
  std::vector<Record> records;
  for (std::size_t m = 0; m < machines; ++m) {
    for (Reader reader = in.from(static_cast<int>(m)); !reader.empty();) {
      K key = Wire<K>::get(reader);
      records.push_back({std::move(key), static_cast<std::uint16_t>(m), reader.get<std::uint32_t>()});
    }
  }
  std::sort(records.begin(), records.end(), before);
  return records;
}

// So many questions cost their chunk's machine as much as sending the chunk once.
template <typename K>
std::uint64_t DistributedMap<K>::pull_limit(Ask ask) const {
  const double key = Wire<K>::size(K{}), value = ask == Ask::contains ? 0 : value_bytes_ + 1;
  const double request = key + 6, reply = 5 + (ask >= Ask::before ? key : 0) + value;
  return static_cast<std::uint64_t>(std::max(1.0, chunk_bytes_ / (request + reply)));
}

template <typename K>
std::vector<Found<K>> DistributedMap<K>::ask_sorted(Ask ask, std::span<const K> keys, bool central) {
  me_.begin_stage(central ? "index central" : "index sorted");
  std::vector<Record> records = slice(keys, central);
  const std::uint64_t limit = pull_limit(ask);
  struct Group {
    std::uint32_t position;
    std::size_t begin, end;
  };
  std::vector<Group> pulled;
  Outbox requests = me_.outbox();
  for (std::size_t begin = 0, end; begin < records.size(); begin = end) {
    const std::uint32_t position = position_of(records[begin].key);
    const bool last = position + 1 == heads_.size();
    for (end = begin + 1; end < records.size() && (last || records[end].key < heads_[position + 1]);) ++end;
    Buffer& buffer = requests.to(owner_of(position));
    buffer.put(position);
    if (end - begin > limit) {
      buffer.put_varint(0);
      pulled.push_back({position, begin, end});
      continue;
    }
    buffer.put_varint(end - begin);
    for (std::size_t i = begin; i < end; ++i) {
      Wire<K>::put(buffer, records[i].key);
      buffer.put(records[i].origin);
      buffer.put(records[i].index);
    }
  }
  const Inbox asked = me_.exchange(std::move(requests));

  // Pushed questions are answered straight to their origins; pulled chunks go behind the answers.
  Outbox replies = me_.outbox();
  const auto machines = static_cast<std::size_t>(me_.machines());
  std::vector<Buffer> answers(machines), chunks(machines);
  const static Chunk<K> kEmpty;
  const auto chunk_at = [&](std::uint32_t position) -> const Chunk<K>& {
    if (position >= ids_.size()) throw InvalidInput("a question about an unknown chunk arrived");
    const Chunk<K>* chunk = store_.find(ids_[position]);
    return chunk == nullptr ? kEmpty : *chunk;
  };
  const auto send_answers = [&](Outbox& box) {
    for (std::size_t m = 0; m < machines; ++m) {
      if (answers[m].empty() && chunks[m].empty()) continue;
      Buffer& buffer = box.to(static_cast<int>(m));
      buffer.put_varint(answers[m].size());
      buffer.append(answers[m].bytes());
      buffer.append(chunks[m].bytes());
      answers[m].clear();
      chunks[m].clear();
    }
  };
  for (std::size_t m = 0; m < machines; ++m) {
    for (Reader reader = asked.from(static_cast<int>(m)); !reader.empty();) {
      const Chunk<K>& chunk = chunk_at(reader.get<std::uint32_t>());
      const std::uint64_t count = reader.get_varint();
      if (count == 0) chunk.encode(chunks[m]);
      for (std::uint64_t i = 0; i < count; ++i) {
        const K key = Wire<K>::get(reader);
        const auto origin = reader.get<std::uint16_t>();
        if (origin >= machines) throw InvalidInput("a question of an unknown machine arrived");
        answers[origin].put(reader.get<std::uint32_t>());
        answer(chunk, ask, key).encode(answers[origin]);
      }
    }
  }
  send_answers(replies);
  std::vector<Found<K>> found(keys.size());
  const auto take_answers = [&](Reader& reader) {
    for (Reader part(reader.take(reader.get_varint())); !part.empty();) {
      const auto index = part.get<std::uint32_t>();
      if (index >= found.size()) throw InvalidInput("an answer to no question arrived");
      found[index] = Found<K>::decode(part);
    }
  };
  const Inbox answered = me_.exchange(std::move(replies));
  std::vector<Reader> readers(machines);
  for (std::size_t m = 0; m < machines; ++m) {
    readers[m] = answered.from(static_cast<int>(m));
    if (!readers[m].empty()) take_answers(readers[m]);
  }
  // What was pulled is answered here.
  for (const auto& group : pulled) {
    const Chunk<K> chunk = Chunk<K>::decode(readers[static_cast<std::size_t>(owner_of(group.position))]);
    for (std::size_t i = group.begin; i < group.end; ++i) {
      answers[records[i].origin].put(records[i].index);
      answer(chunk, ask, records[i].key).encode(answers[records[i].origin]);
    }
  }
  Outbox rest = me_.outbox();
  send_answers(rest);
  const Inbox late = me_.exchange(std::move(rest));
  for (std::size_t m = 0; m < machines; ++m)
    if (Reader reader = late.from(static_cast<int>(m)); !reader.empty()) take_answers(reader);
  return found;
}

template <typename K>
std::vector<Found<K>> DistributedMap<K>::ask_orch(Ask ask, std::span<const K> keys) {
  orch::Batch<ChunkTask<K>> batch;
  batch.reserve(keys.size());
  for (const K& key : keys) batch.add(ids_[position_of(key)], {ask, key});
  orch::run(me_, store_, batch, {.hot_keys = 0});
  std::vector<Found<K>> found(batch.replies().begin(), batch.replies().end());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    found[i].ask = ask;
    // Only the leftmost chunk may be absent, while it is empty.
    if (batch.absent(i) && ask == Ask::after) found[i].state = Found<K>::beyond;
  }
  return found;
}

// Counted bytes and messages of the busiest machine, on the network of the profile: the same on all machines.
template <typename K>
std::vector<Found<K>> DistributedMap<K>::ask_best(Ask ask, std::span<const K> keys) {
  const auto total = me_.allreduce(static_cast<std::uint64_t>(keys.size()), std::plus<>());
  auto& [sorted_s, orch_s] = tried_[{ask, std::bit_width(total) / 2}];
  const bool by_sort = sorted_s == 0 || (orch_s != 0 && sorted_s <= orch_s);
  const std::size_t from = me_.account().supersteps.size();
  std::vector<Found<K>> found = by_sort ? ask_sorted(ask, keys, false) : ask_orch(ask, keys);
  last_ = by_sort ? ClusterEngine::sorted : ClusterEngine::orch;
  double& tried = by_sort ? sorted_s : orch_s;
  if (tried != 0) return found;
  const cluster::Profile network = cluster::find_profile(options_.profile);
  const auto& steps = me_.account().supersteps;
  std::vector<double> seconds(steps.size() - from);
  for (std::size_t s = from; s < steps.size(); ++s)
    seconds[s - from] = network.g() * static_cast<double>(steps[s].h()) +
                        network.per_message_s * static_cast<double>(steps[s].messages_out);
  me_.allreduce(std::span(seconds), [](double a, double b) { return std::max(a, b); });
  for (const double step : seconds) tried += step + network.latency_s;
  return found;
}

template <typename K>
std::vector<Found<K>> DistributedMap<K>::ask(Ask what, std::span<const K> keys) {
  std::vector<Found<K>> found;
  last_ = options_.engine;
  switch (options_.engine) {
    case ClusterEngine::automatic:
      found = ask_best(what, keys);
      break;
    case ClusterEngine::orch:
      found = ask_orch(what, keys);
      break;
    default:
      found = ask_sorted(what, keys, options_.engine == ClusterEngine::central);
  }
  if (what != Ask::after) return found;
  // Nothing behind the key in its own chunk: the head of the next chunk, which is a key.
  std::vector<K> heads;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (found[i].state != Found<K>::beyond) continue;
    found[i].state = Found<K>::none;
    const std::uint32_t next = position_of(keys[i]) + 1;
    if (next == heads_.size()) continue;
    heads.push_back(heads_[next]);
    places.push_back(i);
  }
  const auto more = me_.allreduce(static_cast<std::uint64_t>(heads.size()), std::plus<>());
  if (more == 0) return found;
  const ClusterEngine used = last_;
  const std::vector<Found<K>> behind = ask(Ask::get, heads);
  last_ = used;
  for (std::size_t i = 0; i < heads.size(); ++i) {
    Found<K>& to = found[places[i]];
    to.state = behind[i].state;
    to.key = heads[i];
    to.value = behind[i].value;
  }
  return found;
}

template <typename K>
std::vector<std::optional<std::string>> DistributedMap<K>::get(std::span<const K> keys) {
  std::vector<std::optional<std::string>> out(keys.size());
  auto found = ask(Ask::get, keys);
  for (std::size_t i = 0; i < keys.size(); ++i)
    if (found[i].state == Found<K>::found) out[i] = std::move(found[i].value);
  return out;
}

template <typename K>
std::vector<bool> DistributedMap<K>::contains(std::span<const K> keys) {
  std::vector<bool> out(keys.size());
  const auto found = ask(Ask::contains, keys);
  for (std::size_t i = 0; i < keys.size(); ++i) out[i] = found[i].state == Found<K>::found;
  return out;
}

namespace {
template <typename K>
std::vector<std::optional<std::pair<K, std::string>>> entries_of(std::vector<Found<K>> found) {
  std::vector<std::optional<std::pair<K, std::string>>> out(found.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    if (found[i].state == Found<K>::found) out[i].emplace(std::move(found[i].key), std::move(found[i].value));
  return out;
}
}  // namespace

template <typename K>
std::vector<std::optional<std::pair<K, std::string>>> DistributedMap<K>::predecessor(
    std::span<const K> keys) {
  return entries_of(ask(Ask::before, keys));
}

template <typename K>
std::vector<std::optional<std::pair<K, std::string>>> DistributedMap<K>::successor(std::span<const K> keys) {
  return entries_of(ask(Ask::after, keys));
}

template std::vector<std::optional<std::string>> DistributedMap<std::uint64_t>::get(
    std::span<const std::uint64_t>);
template std::vector<bool> DistributedMap<std::uint64_t>::contains(std::span<const std::uint64_t>);
template std::vector<std::optional<std::pair<std::uint64_t, std::string>>>
    DistributedMap<std::uint64_t>::predecessor(std::span<const std::uint64_t>);
template std::vector<std::optional<std::pair<std::uint64_t, std::string>>>
    DistributedMap<std::uint64_t>::successor(std::span<const std::uint64_t>);
template std::vector<std::optional<std::string>> DistributedMap<std::string>::get(
    std::span<const std::string>);
template std::vector<bool> DistributedMap<std::string>::contains(std::span<const std::string>);
template std::vector<std::optional<std::pair<std::string, std::string>>>
    DistributedMap<std::string>::predecessor(std::span<const std::string>);
template std::vector<std::optional<std::pair<std::string, std::string>>>
    DistributedMap<std::string>::successor(std::span<const std::string>);

}  // namespace ballast::index
