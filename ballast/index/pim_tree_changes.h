// Batches of changes on their way into and out of the tree: shared by the files that plan, reserve and carry
// out (pim_tree_insert.cc, pim_tree_erase.cc, pim_tree_space.cc).
#pragma once

#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ballast/index/pim_tree.h"

namespace ballast::index {

// One batch of absent keys on its way into the tree.
struct PimTree::Insertion {
  PimTree& tree;
  std::span<const Key> keys;
  std::span<const Value> values;
  std::span<const Entry> updates;  // of keys that are there; they change in round A
  std::vector<std::uint32_t> heights = {};
  /// The keys are there: each is raised to head a chunk of this level (pim_tree_ab.cc).
  std::optional<std::uint32_t> only = {};
  Paths paths = {};
  std::vector<pim::Address> data = {};                       // data node of each key
  std::vector<std::vector<pim::Address>> chunks = {};        // [level][key]: the new chunk that the key heads
  std::vector<std::vector<std::uint32_t>> new_modules = {};  // [level][key]: where that chunk will lie
  std::vector<std::vector<std::uint32_t>> members = {};      // [level]: keys that get an entry on this level

  /// One existing chunk that changes: keys members[begin, end) of its level fall into it.
  struct Change {
    pim::Address chunk;
    std::uint32_t level, begin, end;
    std::uint32_t first_head;       // position in members of the smallest head, or end
    pim::Address right = 0;         // what lay to its right
    std::vector<Entry> moved = {};  // what it gave back, in key order
    bool cut() const { return first_head < end; }
  };
  std::vector<Change> changes = {};
  std::unordered_set<pim::Address> moved_children = {};  // level-1 chunks whose root is another one now

  std::vector<Missing> missing = {};
  /// An existing copy below `root` changes as its original does.
  struct CopyChange {
    pim::Address root, child;
    bool cut = false;
    Key from = 0;
    std::vector<Entry> added = {};
  };
  std::vector<CopyChange> copy_changes = {};

  std::uint32_t levels() const { return tree.levels_; }
  bool heads(std::uint32_t key, std::uint32_t level) const { return heights[key] >= level + 2; }

  void plan();
  std::uint64_t most_added(const Change& change) const;
  template <typename Length>
  Demand demand(Length length, bool exact) const;
  /// Throws ModuleFull when the batch does not fit; nothing was changed then.
  void require_space();
  void allocate_and_cut();
  void fill();
  void repair_shadows();
  void fill_one(pim::Round& round, const Change& change);
};

// One batch of present keys on its way out of the tree.
struct PimTree::Removal {
  PimTree& tree;
  std::vector<Key> keys = {};
  std::vector<std::uint32_t> heights = {};
  /// The keys stay: each is lowered to head no chunk of this level any more (pim_tree_ab.cc).
  std::optional<std::uint32_t> only = {};
  Paths paths = {};

  /// A chunk that loses its head: taken apart in round A.
  struct Taken {
    std::uint32_t level;
    std::uint32_t key;  // position of its head
    pim::Address left = 0, right = 0;
    std::vector<Entry> entries = {};  // without the head's own
  };
  std::vector<Taken> taken = {};
  std::unordered_map<pim::Address, std::size_t> taken_at = {};

  std::uint32_t levels() const { return tree.levels_; }
  bool takes(std::uint32_t level, std::uint32_t key) const {
    return only ? level == *only : heights[key] >= level + 2;
  }
  /// The nearest chunk to the left that stays.
  pim::Address survivor(pim::Address chunk) const;
  pim::Address right_survivor(pim::Address chunk) const;
  void require_space() const;
  void remove_and_take();
  void join();
};

}  // namespace ballast::index
