// The ordered index over the machines of a cluster, that skew cannot slow: no range of keys is owned by one
// machine. Keys are cut into chunks of `chunk` entries expected (geometric: every key heads a chunk with
// probability 1/chunk, by a coin that is fresh for every batch); chunks lie on random machines; the heads of
// all chunks (L3, the whole of it: H = 1) are replicated on every machine. Calls are collective: every
// machine gives its own part of the batch and gets the answers to it.
//
//   cluster.run([&](cluster::Machine& me) {
//     index::DistributedMap<std::uint64_t> map(me, {.engine = index::ClusterEngine::sorted});
//     map.insert(my_entries);
//     auto found = map.predecessor(my_keys);           // optional<Entry>, in the order of my_keys
//   });
//
// Reads go by one of three engines, with the same answers:
//   sorted    a sample sort gives every machine an equal, contiguous slice of the questions; it pushes small
//             groups to the chunk's machine and pulls chunks that are asked more than moving them costs
//   orch      one TD-Orch stage: contention is found by the communication forest instead of a sort
//   central   machine 0 is the only CPU side, as in a PIM machine: its link is the bottleneck
//   automatic tries sorted and orch once for each kind and size of batch, and stays with the one whose
//   counted
//             bytes and messages take less on the network `profile` (cost_model.h)
// Changes are the same for all: the L3 is updated first (new heads are 1/chunk of the inserts, told to all),
// then every entry goes straight from its origin to the machine of the chunk that covers it now, so that a
// burst of neighbouring keys is spread over all machines at once.
//
// Bytes of a batch, busiest machine, sorted: (34 + V) an operation and machine share for get of V-byte
// values, 8 more for predecessor; whatever the keys.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ballast/cluster/cluster.h"
#include "ballast/index/distributed/chunk.h"
#include "ballast/index/types.h"

namespace ballast::index {

enum class ClusterEngine { sorted, orch, central, automatic };
/// Throws InvalidInput naming the nearest of sorted, orch, central, auto.
ClusterEngine cluster_engine(const std::string& flag, const std::string& word);
std::string to_string(ClusterEngine engine);

struct DistributedOptions {
  ClusterEngine engine = ClusterEngine::automatic;
  std::uint32_t chunk = 64;  ///< entries of a chunk, expected: 1 to 4096
  std::uint64_t seed = 1;    ///< of the coins; adversaries must not know it
  std::string profile = "10gbe";
};

template <typename K>
class DistributedMap {
 public:
  using Entry = std::pair<K, std::string>;

  /// Throws InvalidInput for options out of range, or more than 65 536 machines.
  explicit DistributedMap(cluster::Machine& me, DistributedOptions options = {});

  std::vector<std::optional<std::string>> get(std::span<const K> keys);
  std::vector<bool> contains(std::span<const K> keys);
  std::vector<std::optional<Entry>> predecessor(std::span<const K> keys);
  std::vector<std::optional<Entry>> successor(std::span<const K> keys);

  /// Inserts or overwrites. Of several entries of one key the one of the highest machine id wins, on one
  /// machine the last. The report is that of all machines.
  InsertReport insert(std::span<const Entry> entries);
  /// Overwrites where the key is present.
  std::vector<bool> update(std::span<const Entry> entries);
  /// Whether the key was present, by question.
  std::vector<bool> erase(std::span<const K> keys);

  /// Rows of each range (both ends belong to it), at most `limit` of each (0: all).
  std::vector<std::vector<Entry>> scan(std::span<const std::pair<K, K>> ranges, std::uint64_t limit = 0);
  /// A limit for each range.
  std::vector<std::vector<Entry>> scan(std::span<const std::pair<K, K>> ranges,
                                       std::span<const std::uint64_t> limits);
  std::vector<std::uint64_t> count(std::span<const std::pair<K, K>> ranges);

  /// Of all machines.
  std::uint64_t size() const { return size_; }
  std::uint64_t chunks() const { return heads_.size(); }
  /// Which engine the last read went by.
  ClusterEngine last_engine() const { return last_; }

  /// One .bidx file a machine and a manifest, which comes last; collective. `load` fills an empty map, on any
  /// number of machines. Throw as cluster::Checkpoint does.
  void save(const std::string& folder);
  void load(const std::string& folder);

  /// Collective: the first violation of the structure that any machine sees, or an empty string.
  std::string verify();

 private:
  using Store = orch::Store<ChunkTask<K>>;
  std::uint32_t position_of(const K& key) const;
  int owner_of(std::uint32_t position) const { return store_.owner(ids_[position]); }
  bool coin(const K& key) const;

  std::vector<Found<K>> ask(Ask ask, std::span<const K> keys);
  std::vector<Found<K>> ask_sorted(Ask ask, std::span<const K> keys, bool central);
  std::vector<Found<K>> ask_orch(Ask ask, std::span<const K> keys);
  std::vector<Found<K>> ask_best(Ask ask, std::span<const K> keys);
  struct Record {
    K key;
    std::uint16_t origin;
    std::uint32_t index;
  };
  std::vector<Record> slice(std::span<const K> keys, bool central);
  std::uint64_t pull_limit(Ask ask) const;

  std::vector<K> fresh_heads(const std::vector<K>& sorted);
  std::vector<std::pair<std::uint64_t, Chunk<K>>> add_heads(std::vector<K> heads);
  void drop_heads(const std::vector<std::uint32_t>& positions);
  void finish_change();

  cluster::Machine& me_;
  DistributedOptions options_;
  Store store_;                     // chunks of this machine, by id
  std::vector<K> heads_;            // L3: of all chunks, in key order; [0] is below all keys
  std::vector<std::uint64_t> ids_;  // of the chunks, given out in order: they choose the machine
  std::uint64_t next_id_ = 1, epoch_ = 0, size_ = 0;
  double chunk_bytes_ = 0, value_bytes_ = 0;  // means, agreed by all machines
  ClusterEngine last_ = ClusterEngine::sorted;
  std::map<std::pair<Ask, int>, std::pair<double, double>> tried_;  // modelled seconds: sorted, orch
};

}  // namespace ballast::index
