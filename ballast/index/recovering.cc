#include "ballast/index/recovering.h"

#include "ballast/base/errors.h"
#include "ballast/index/snapshot.h"

namespace ballast::index {

RecoveringTree::RecoveringTree(pim::Machine& machine, PimTreeOptions tree, RecoveryOptions options)
    : machine_(machine), tree_(machine, tree), options_(std::move(options)) {
  if (options_.snapshot.empty()) throw InvalidInput("snapshot file", "''", "a name");
  if (options_.every == 0) throw InvalidInput("batches between snapshots", "0", "at least 1");
  write_snapshot(options_.snapshot, {});
}

// Runs the batch; when a module is lost, restores the tree first and runs it again.
template <typename Batch>
auto RecoveringTree::guarded(Batch batch) {
  for (;;) {
    try {
      return batch();
    } catch (const pim::ModuleLost&) {
      ++recoveries_;
    }
    restore();
  }
}

void RecoveringTree::restore() {
  for (;;) {
    try {
      tree_.restart();
      tree_.bulk_load(read_snapshot(data::InputStream::open(options_.snapshot)));
      for (const auto& change : log_) play(change);
      return;
    } catch (const pim::ModuleLost&) {
      ++recoveries_;  // another one, meanwhile
    }
  }
}

void RecoveringTree::play(const Change& change) {
  if (change.kind == Change::Kind::insert) {
    tree_.insert(change.entries);
  } else if (change.kind == Change::Kind::update) {
    tree_.update(change.entries);
  } else {
    std::vector<Key> keys;
    for (const auto& entry : change.entries) keys.push_back(entry.key);
    tree_.erase(keys);
  }
}

void RecoveringTree::keep(Change change) {
  log_.push_back(std::move(change));
  if (log_.size() < options_.every) return;
  const pim::Cost of_the_batch = tree_.cost();
  const KeyRange all{0, ~Key{0}};
  write_snapshot(options_.snapshot, guarded([&] { return tree_.scan({&all, 1}); }).entries);
  log_.clear();
  machine_.restore_cost(of_the_batch);
}

void RecoveringTree::bulk_load(std::span<const Entry> sorted) {
  guarded([&] { tree_.bulk_load(sorted); });
  write_snapshot(options_.snapshot, sorted);
  log_.clear();
}

std::vector<std::optional<Value>> RecoveringTree::get(std::span<const Key> keys) {
  return guarded([&] { return tree_.get(keys); });
}
std::vector<std::optional<Entry>> RecoveringTree::predecessor(std::span<const Key> keys) {
  return guarded([&] { return tree_.predecessor(keys); });
}
std::vector<std::optional<Entry>> RecoveringTree::successor(std::span<const Key> keys) {
  return guarded([&] { return tree_.successor(keys); });
}
Rows RecoveringTree::scan(std::span<const KeyRange> ranges) {
  return guarded([&] { return tree_.scan(ranges); });
}
std::vector<std::uint64_t> RecoveringTree::count(std::span<const KeyRange> ranges) {
  return guarded([&] { return tree_.count(ranges); });
}

InsertReport RecoveringTree::insert(std::span<const Entry> entries) {
  const InsertReport report = guarded([&] { return tree_.insert(entries); });
  keep({Change::Kind::insert, {entries.begin(), entries.end()}});
  return report;
}

std::vector<bool> RecoveringTree::update(std::span<const Entry> entries) {
  auto found = guarded([&] { return tree_.update(entries); });
  keep({Change::Kind::update, {entries.begin(), entries.end()}});
  return found;
}

std::vector<bool> RecoveringTree::erase(std::span<const Key> keys) {
  auto found = guarded([&] { return tree_.erase(keys); });
  Change change{Change::Kind::erase, {}};
  for (const Key key : keys) change.entries.push_back({key, 0});
  keep(std::move(change));
  return found;
}

}  // namespace ballast::index
