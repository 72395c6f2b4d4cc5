// What distributed stores do today: the key space is cut into ranges, each owned by one machine. The baseline
// of the cluster benchmarks; its calls are collective, as those of DistributedMap are.
//
// With `rebalance`, ranges are split and moved between batches by a sample of the questions of the batch
// before: from the most to the least loaded machine, at the sampled key that moves the wanted load, until the
// most loaded is within `tolerance` of the mean. What migration sends is part of the batch.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ballast/cluster/cluster.h"
#include "ballast/index/types.h"

namespace ballast::index::baseline {

struct RangeMapOptions {
  bool rebalance = false;
  double tolerance = 1.25;
};

class RangeMap {
 public:
  using Row = std::pair<Key, std::string>;

  explicit RangeMap(cluster::Machine& me, RangeMapOptions options = {});

  /// Fills an empty map; ranges are quantiles of the keys of all machines.
  void load(std::span<const Row> entries);
  std::vector<std::optional<std::string>> get(std::span<const Key> keys);
  std::vector<std::optional<Row>> predecessor(std::span<const Key> keys);
  void insert(std::span<const Row> entries);
  std::vector<std::vector<Row>> scan(std::span<const std::pair<Key, Key>> ranges);

 private:
  struct Piece {
    Key low;
    int machine;
  };
  std::size_t piece_of(Key key) const;
  void begin_batch(std::span<const Key> keys);
  void rebalance();
  void migrate(const std::vector<Piece>& wanted);
  void send(std::span<const Row> entries);

  cluster::Machine& me_;
  RangeMapOptions options_;
  std::vector<Piece> pieces_;  // by low; the first begins at 0
  std::map<Key, std::string> mine_;
  std::vector<Key> sample_;  // of the last batch, of all machines, sorted
};

}  // namespace ballast::index::baseline
