// What people do today: the key space is cut into ranges, each owned by one module with a local B+-tree.
// Uniform questions are spread well; skewed ones drown the owner of the hot range.
//
//   RangePartition index(machine, {.rebalance = false});
//
// With `rebalance`, ranges are split and moved between batches, by the questions of the batch before (the
// practice of distributed stores): from the most to the least loaded module, at the point that moves the
// wanted load, until the most loaded is within a quarter of the mean. What migration costs is part of the
// batch's cost.
#pragma once

#include "ballast/index/metered.h"

namespace ballast::index::baseline {

struct RangeOptions {
  bool rebalance = false;
  bool sampled = true;  ///< ranges by quantiles of the loaded keys; otherwise equal pieces of the key space
  double tolerance = 1.25;  ///< rebalance while the most loaded module has more than this times the mean
};

class RangePartition : public MeteredIndex {
 public:
  RangePartition(pim::Machine& machine, RangeOptions options = {});

  std::string name() const override { return options_.rebalance ? "range-rebalance" : "range"; }
  std::uint64_t size() const override;
  void bulk_load(std::span<const Entry> sorted) override;
  std::vector<std::optional<Value>> get(std::span<const Key> keys) override;
  std::vector<std::optional<Entry>> predecessor(std::span<const Key> keys) override;
  std::vector<std::optional<Entry>> successor(std::span<const Key> keys) override;
  InsertReport insert(std::span<const Entry> entries) override;
  std::vector<bool> update(std::span<const Entry> entries) override;
  std::vector<bool> erase(std::span<const Key> keys) override;
  Rows scan(std::span<const KeyRange> ranges) override;
  std::vector<std::uint64_t> count(std::span<const KeyRange> ranges) override;
  const pim::Cost& cost() const override { return machine_.cost(); }

  std::size_t pieces() const { return pieces_.size(); }

 private:
  /// Keys from `low` up to the next piece's low; `keys` of them are stored.
  struct Piece {
    Key low;
    std::uint32_t module;
    std::uint64_t keys;
  };
  std::size_t piece_of(Key key) const;
  Key high_of(std::size_t piece) const;
  void begin_batch(std::span<const Key> sorted_keys);
  void rebalance();
  void move(std::size_t piece, std::uint32_t to);
  std::vector<std::optional<Entry>> near(std::span<const Key> questions, bool after);

  pim::Machine& machine_;
  RangeOptions options_;
  std::vector<Piece> pieces_;    // by low; the first begins at 0
  std::vector<Key> last_batch_;  // sorted
};

}  // namespace ballast::index::baseline
