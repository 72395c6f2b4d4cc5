#include "ballast/index/distributed/distributed_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "ballast/base/cli.h"
#include "ballast/base/file.h"
#include "ballast/base/json.h"
#include "ballast/index/snapshot.h"

namespace ballast::index {

using cluster::Buffer;
using cluster::Inbox;
using cluster::Outbox;
using cluster::Reader;
template <typename T>
using Wire = orch::Wire<T>;

ClusterEngine cluster_engine(const std::string& flag, const std::string& word) {
  cli::require_one_of(flag, word, {"sorted", "orch", "central", "auto"});
  return word == "sorted"    ? ClusterEngine::sorted
         : word == "orch"    ? ClusterEngine::orch
         : word == "central" ? ClusterEngine::central
                             : ClusterEngine::automatic;
}

std::string to_string(ClusterEngine engine) {
  switch (engine) {
    case ClusterEngine::sorted:
      return "sorted";
    case ClusterEngine::orch:
      return "orch";
    case ClusterEngine::central:
      return "central";
    case ClusterEngine::automatic:
      break;
  }
  return "auto";
}

template <typename K>
DistributedMap<K>::DistributedMap(cluster::Machine& me, DistributedOptions options)
    : me_(me), options_(options), store_(me), heads_(1), ids_{0} {
  if (options.chunk < 1 || options.chunk > 4096)
    throw InvalidInput("entries of a chunk", std::to_string(options.chunk), "1 to 4096");
  if (me.machines() > 65'536) throw InvalidInput("machines", std::to_string(me.machines()), "at most 65536");
  (void)cluster::find_profile(options.profile);
}

// The chunk that covers the key: that of the greatest head <= key, or the leftmost.
template <typename K>
std::uint32_t DistributedMap<K>::position_of(const K& key) const {
  return static_cast<std::uint32_t>(std::upper_bound(heads_.begin() + 1, heads_.end(), key) -
                                    heads_.begin()) -
         1;
}

// Every range asks the chunks that it covers, each machine each chunk once; with a limit, first those that
// will hold it, then more where they did not.
template <typename K>
std::vector<std::vector<typename DistributedMap<K>::Entry>> DistributedMap<K>::scan(
    std::span<const std::pair<K, K>> ranges, std::uint64_t limit) {
  return scan(ranges, std::vector<std::uint64_t>(ranges.size(), limit));
}

template <typename K>
std::vector<std::vector<typename DistributedMap<K>::Entry>> DistributedMap<K>::scan(
    std::span<const std::pair<K, K>> ranges, std::span<const std::uint64_t> limits) {
  me_.begin_stage("index scan");
  std::vector<std::vector<Entry>> rows(ranges.size());
  struct Left {
    std::size_t range;
    std::uint32_t next, last;  // chunks still to be asked
    std::uint32_t until = 0;   // of them, those asked in this round
  };
  std::vector<Left> waiting;
  for (std::size_t i = 0; i < ranges.size(); ++i)
    if (!(ranges[i].second < ranges[i].first))
      waiting.push_back({i, position_of(ranges[i].first), position_of(ranges[i].second)});
  for (;;) {
    const auto more = me_.allreduce(static_cast<std::uint64_t>(waiting.size()), std::plus<>());
    if (more == 0) return rows;
    // The part of each chunk that some range of this machine wants, and how many rows of it (0: all).
    struct Part {
      K low, high;
      std::uint64_t most;
    };
    std::map<std::uint32_t, Part> wanted;
    for (auto& one : waiting) {
      const auto& [low, high] = ranges[one.range];
      const std::uint64_t limit = limits[one.range];
      const std::uint64_t missing = limit == 0 ? ~std::uint64_t{0} : limit - rows[one.range].size();
      const std::uint64_t chunks =
          std::min<std::uint64_t>(missing / options_.chunk + 2, one.last - one.next + 1);
      one.until = one.next + static_cast<std::uint32_t>(chunks);
      for (std::uint32_t p = one.next; p < one.until; ++p) {
        const auto [at, fresh] = wanted.emplace(p, Part{low, high, limit == 0 ? 0 : missing});
        if (fresh) continue;
        at->second = {std::min(at->second.low, low), std::max(at->second.high, high), 0};
      }
    }
    Outbox out = me_.outbox();
    for (const auto& [p, range] : wanted) {
      Buffer& buffer = out.to(owner_of(p));
      buffer.put(p);
      Wire<K>::put(buffer, range.low);
      Wire<K>::put(buffer, range.high);
      buffer.put_varint(range.most);
    }
    const Inbox in = me_.exchange(std::move(out));
    Outbox replies = me_.outbox();
    for (int m = 0; m < me_.machines(); ++m) {
      for (Reader reader = in.from(m); !reader.empty();) {
        const auto position = reader.get<std::uint32_t>();
        const K low = Wire<K>::get(reader), high = Wire<K>::get(reader);
        const std::uint64_t most = reader.get_varint();
        if (position >= ids_.size()) throw InvalidInput("a range of an unknown chunk arrived");
        const Chunk<K>* chunk = store_.find(ids_[position]);
        Chunk<K> part;
        if (chunk != nullptr) {
          for (std::size_t e = chunk->lower_bound(low); e < chunk->size() && !(high < chunk->keys[e]); ++e) {
            if (most != 0 && part.size() == most) break;
            part.keys.push_back(chunk->keys[e]);
            part.values.push_back(chunk->values[e]);
          }
        }
        part.encode(replies.to(m));
      }
    }
    const Inbox answers = me_.exchange(std::move(replies));
    std::vector<Reader> readers;
    for (int m = 0; m < me_.machines(); ++m) readers.push_back(answers.from(m));
    std::map<std::uint32_t, Chunk<K>> got;
    for (const auto& [p, range] : wanted)
      got.emplace(p, Chunk<K>::decode(readers[static_cast<std::size_t>(owner_of(p))]));
    std::vector<Left> still;
    for (auto& one : waiting) {
      const auto& [low, high] = ranges[one.range];
      auto& to = rows[one.range];
      const auto full = [&, limit = limits[one.range]] { return limit != 0 && to.size() >= limit; };
      // Other ranges may have asked for parts of the chunks behind `until`: those are not whole.
      for (; one.next < one.until && !full(); ++one.next) {
        const Chunk<K>& chunk = got.at(one.next);
        for (std::size_t e = chunk.lower_bound(low); e < chunk.size() && !(high < chunk.keys[e]) && !full();
             ++e)
          to.emplace_back(chunk.keys[e], chunk.values[e]);
      }
      if (!full() && one.next <= one.last) still.push_back(one);
    }
    waiting = std::move(still);
  }
}

// Every machine counts what it holds of the ranges that reach it: those of few chunks ask only their owners.
template <typename K>
std::vector<std::uint64_t> DistributedMap<K>::count(std::span<const std::pair<K, K>> ranges) {
  me_.begin_stage("index count");
  Outbox out = me_.outbox();
  for (std::uint32_t i = 0; i < ranges.size(); ++i) {
    const auto& [low, high] = ranges[i];
    if (high < low) continue;
    std::vector<bool> reached(static_cast<std::size_t>(me_.machines()));
    const std::uint32_t from = position_of(low), to = position_of(high);
    if (to - from < static_cast<std::uint32_t>(me_.machines())) {
      for (std::uint32_t p = from; p <= to; ++p) reached[static_cast<std::size_t>(owner_of(p))] = true;
    } else {
      reached.assign(reached.size(), true);
    }
    for (int m = 0; m < me_.machines(); ++m) {
      if (!reached[static_cast<std::size_t>(m)]) continue;
      out.to(m).put(i);
      Wire<K>::put(out.to(m), low);
      Wire<K>::put(out.to(m), high);
    }
  }
  const Inbox in = me_.exchange(std::move(out));
  // This machine's chunks in key order, with the number of entries before each.
  std::vector<std::uint32_t> mine;
  std::vector<std::uint64_t> before{0};
  for (std::uint32_t p = 0; p < ids_.size(); ++p) {
    if (!store_.owns(ids_[p])) continue;
    const Chunk<K>* chunk = store_.find(ids_[p]);
    mine.push_back(p);
    before.push_back(before.back() + (chunk == nullptr ? 0 : chunk->size()));
  }
  const auto below = [&](const K& key, bool inclusive) -> std::uint64_t {
    const std::uint32_t position = position_of(key);
    const auto at =
        static_cast<std::size_t>(std::lower_bound(mine.begin(), mine.end(), position) - mine.begin());
    std::uint64_t sum = before[at];
    if (at == mine.size() || mine[at] != position) return sum;
    const Chunk<K>* chunk = store_.find(ids_[position]);
    if (chunk == nullptr) return sum;
    const std::size_t inside = chunk->lower_bound(key);
    return sum + inside + (inclusive && chunk->holds(inside, key) ? 1 : 0);
  };
  Outbox replies = me_.outbox();
  for (int m = 0; m < me_.machines(); ++m) {
    for (Reader reader = in.from(m); !reader.empty();) {
      const auto index = reader.get<std::uint32_t>();
      const K low = Wire<K>::get(reader), high = Wire<K>::get(reader);
      replies.to(m).put(index);
      replies.to(m).put(below(high, true) - below(low, false));
    }
  }
  const Inbox answers = me_.exchange(std::move(replies));
  std::vector<std::uint64_t> out_counts(ranges.size());
  for (int m = 0; m < me_.machines(); ++m) {
    for (Reader reader = answers.from(m); !reader.empty();) {
      const auto index = reader.get<std::uint32_t>();
      if (index >= out_counts.size()) throw InvalidInput("a count of no range arrived");
      out_counts[index] += reader.get<std::uint64_t>();
    }
  }
  return out_counts;
}

template <typename K>
void DistributedMap<K>::save(const std::string& folder) {
  if (me_.is_first()) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) throw Unavailable(fmt::format("{}: cannot be made ({})", folder, error.message()));
  }
  me_.barrier();
  // A name that no older checkpoint here has, so that the manifest always names whole files.
  const auto tag = me_.broadcast(
      static_cast<std::uint64_t>(std::distance(std::filesystem::directory_iterator(folder), {})), 0);
  const std::string name = fmt::format("part{}.{}.bidx", me_.id(), tag);
  SnapshotWriter file(folder + "/" + name,
                      std::is_same_v<K, std::string> ? SnapshotKeys::bytes : SnapshotKeys::u64);
  for (std::uint32_t p = 0; p < ids_.size(); ++p) {
    if (!store_.owns(ids_[p])) continue;
    const Chunk<K>* chunk = store_.find(ids_[p]);
    if (chunk == nullptr) continue;
    for (std::size_t e = 0; e < chunk->size(); ++e) file.put(snapshot_key(chunk->keys[e]), chunk->values[e]);
  }
  file.commit();
  me_.barrier();
  if (me_.is_first()) {
    Json manifest{{"format", "ballast.index.checkpoint/1"}, {"entries", size_}, {"parts", Json::array()}};
    for (int m = 0; m < me_.machines(); ++m)
      manifest["parts"].push_back(fmt::format("part{}.{}.bidx", m, tag));
    write_file(folder + "/manifest.json", manifest.dump(1) + "\n");
    for (const auto& other : std::filesystem::directory_iterator(folder)) {
      const std::string file_name = other.path().filename();
      if (file_name.ends_with(".bidx") && !file_name.ends_with(fmt::format(".{}.bidx", tag))) {
        std::error_code ignored;
        std::filesystem::remove(other.path(), ignored);
      }
    }
  }
  me_.barrier();
}

// Parts are dealt out to whatever machines there are now, and inserted as batches.
template <typename K>
void DistributedMap<K>::load(const std::string& folder) {
  if (size_ != 0) throw InvalidInput("load", "an index that is not empty", "an empty one");
  const std::string path = folder + "/manifest.json";
  std::vector<std::string> parts;
  std::uint64_t entries = 0;
  try {
    const Json manifest = Json::parse(read_file(path));
    if (manifest.at("format") != "ballast.index.checkpoint/1") throw InvalidInput(path + ": another format");
    entries = manifest.at("entries");
    for (const auto& part : manifest.at("parts")) {
      parts.push_back(part);
      if (parts.back().find('/') != std::string::npos) throw InvalidInput(path + ": a part lies elsewhere");
    }
  } catch (const Json::exception& error) {
    throw InvalidInput(fmt::format("{}: no manifest of an index ({})", path, error.what()));
  }
  const auto machines = static_cast<std::size_t>(me_.machines());
  for (std::size_t first = 0; first < parts.size(); first += machines) {
    std::vector<Entry> mine;
    const std::size_t own = first + static_cast<std::size_t>(me_.id());
    if (own < parts.size()) {
      SnapshotReader file(folder + "/" + parts[own]);
      file.require(std::is_same_v<K, std::string> ? SnapshotKeys::bytes : SnapshotKeys::u64);
      std::string key, value;
      while (file.next(key, value)) mine.emplace_back(key_of_snapshot<K>(key), value);
    }
    insert(mine);
  }
  if (size_ != entries)
    throw InvalidInput(fmt::format("{}: {} entries are named, the parts hold {}", path, entries, size_));
}

template <typename K>
std::string DistributedMap<K>::verify() {
  std::string problem;
  const auto say = [&](std::string text) {
    if (problem.empty()) problem = fmt::format("machine {}: {}", me_.id(), text);
  };
  std::uint64_t entries = 0, known = 0;
  for (std::size_t p = 2; p < heads_.size(); ++p)
    if (!(heads_[p - 1] < heads_[p])) say(fmt::format("head {} does not ascend", p));
  for (std::uint32_t p = 0; p < ids_.size(); ++p) {
    if (!store_.owns(ids_[p])) continue;
    const Chunk<K>* chunk = store_.find(ids_[p]);
    if (chunk == nullptr) {
      if (p > 0) say(fmt::format("chunk {} is missing", p));
      continue;
    }
    ++known;
    entries += chunk->size();
    if (chunk->values.size() != chunk->size()) say(fmt::format("chunk {} lacks values", p));
    if (p > 0 && (chunk->size() == 0 || chunk->keys[0] != heads_[p]))
      say(fmt::format("chunk {} does not begin with its head", p));
    for (std::size_t e = 1; e < chunk->size(); ++e)
      if (!(chunk->keys[e - 1] < chunk->keys[e])) say(fmt::format("keys of chunk {} do not ascend", p));
    if (p + 1 < heads_.size() && chunk->size() > 0 && !(chunk->keys.back() < heads_[p + 1]))
      say(fmt::format("chunk {} reaches into the next", p));
  }
  if (known != store_.items()) say("a chunk is held that no head leads to");
  struct Sums {
    std::uint64_t entries, digest;
  };
  std::uint64_t digest = ids_.size();
  for (std::size_t p = 0; p < ids_.size(); ++p)
    digest = mix64(digest ^ ids_[p]) ^ (p == 0 ? 0 : orch::hash_key(heads_[p], 1));
  const auto all = me_.allgather(Sums{entries, digest});
  std::uint64_t total = 0;
  for (const auto& one : all) {
    total += one.entries;
    if (one.digest != all[0].digest) say("the replicas of the heads differ");
  }
  if (total != size_) say(fmt::format("{} entries are held, the size is {}", total, size_));
  Buffer mine;
  mine.append(problem.data(), problem.size());
  for (const auto& bytes : me_.allgather_bytes(mine.bytes()))
    if (!bytes.empty()) return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  return {};
}

template class DistributedMap<std::uint64_t>;
template class DistributedMap<std::string>;

}  // namespace ballast::index
