// A PIM-tree that outlives the loss of a module: a snapshot of the entries and a log of the changes since.
// When a module is lost in the middle of a batch, the modules are emptied, the snapshot is loaded, the log is
// replayed and the batch is run again, so that nobody sees half of an update.
//
//   RecoveringTree tree(machine, options, {.snapshot = "/tmp/tree.bidx", .every = 64});
//   tree.insert(entries);                                // survives pim::ModuleLost
//   tree.recoveries();
//
// The snapshot is a .bidx file, written whole or not at all; the log is kept by the CPU side, which does not
// fail here. The first snapshot is taken by bulk_load.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ballast/index/pim_tree.h"

namespace ballast::index {

struct RecoveryOptions {
  std::string snapshot;      ///< file
  std::uint64_t every = 64;  ///< changing batches between snapshots
};

class RecoveringTree : public MeteredIndex {
 public:
  /// Throws InvalidInput for an empty file name or every = 0.
  RecoveringTree(pim::Machine& machine, PimTreeOptions tree, RecoveryOptions options);

  std::string name() const override { return "pim-tree"; }
  std::uint64_t size() const override { return tree_.size(); }
  void bulk_load(std::span<const Entry> sorted) override;
  std::vector<std::optional<Value>> get(std::span<const Key> keys) override;
  std::vector<std::optional<Entry>> predecessor(std::span<const Key> keys) override;
  std::vector<std::optional<Entry>> successor(std::span<const Key> keys) override;
  InsertReport insert(std::span<const Entry> entries) override;
  std::vector<bool> update(std::span<const Entry> entries) override;
  std::vector<bool> erase(std::span<const Key> keys) override;
  Rows scan(std::span<const KeyRange> ranges) override;
  std::vector<std::uint64_t> count(std::span<const KeyRange> ranges) override;
  const pim::Cost& cost() const override { return tree_.cost(); }

  /// How often a module was lost and the tree restored.
  std::uint64_t recoveries() const { return recoveries_; }
  PimTree& tree() { return tree_; }

 private:
  struct Change {
    enum class Kind { insert, update, erase } kind;
    std::vector<Entry> entries;  // of erase: keys
  };
  template <typename Batch>
  auto guarded(Batch batch);
  void play(const Change& change);
  void restore();
  void keep(Change change);

  pim::Machine& machine_;
  PimTree tree_;
  RecoveryOptions options_;
  std::vector<Change> log_;
  std::uint64_t recoveries_ = 0;
};

}  // namespace ballast::index
