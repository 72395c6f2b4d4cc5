// The PIM-tree (arXiv:2211.10516): an ordered index on a PIM machine that skew cannot slow. A skip list cut
// into chunks of B keys expected; chunks and data nodes are placed at random over the modules; the top (L3)
// is replicated on all; and no chunk is ever asked more than a bounded number of questions: above the bound
// it travels to the CPU side instead (push-pull search).
//
//   pim::Machine machine({.modules = 256});
//   PimTree tree(machine, {.chunk = 16});
//   tree.bulk_load(entries);
//   auto answers = tree.predecessor(keys);
//   fmt::print("{} words/op, imbalance {}", tree.cost().words() / keys.size(), tree.cost().io_imbalance());
//
// Costs: get and update one round; predecessor levels + 2 rounds at most; insert and erase a constant number
// of rounds; words per operation O(levels), whatever the keys. `cost()` is that of the last batch, exact.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "ballast/base/random.h"
#include "ballast/index/metered.h"
#include "ballast/index/pim_tree_space.h"

namespace ballast::index {

/// How a level of the tree is searched.
enum class Search {
  push,       ///< always send the keys to the chunk's module
  pull,       ///< always fetch the chunk
  push_pull,  ///< by contention (paper, section 4)
};
/// How push_pull chooses between pushing all and pulling the contended.
enum class Plan {
  paper,     ///< pull only when the most loaded module would get 3 times its share
  adaptive,  ///< the smaller of the two IO times, computed before anything is sent
};

/// How long chunks get.
enum class Chunking {
  geometric,  ///< heights by coin: independent of history, lengths unbounded (about B ln n)
  ab          ///< at most 2B entries, and at least B/2 where a neighbour has room
};
/// Where values lie.
enum class Leaf {
  hash,    ///< in data nodes only
  in_line  ///< in level-0 chunks too: predecessor, successor and scan need no data round, updates write twice
};

struct PimTreeOptions {
  std::uint32_t chunk = 16;  ///< B: a power of two from 2 to 256
  std::uint32_t levels = 0;  ///< H, chunk levels below L3: 1 to 3; 0: by the number of modules (`shape`)
  bool shadow = true;        ///< L2 roots keep copies of their children (levels = 3 only)
  bool four_choices = true;  ///< an L2 root goes to the least loaded of four modules; otherwise by hash
  Search search = Search::push_pull;
  Plan plan = Plan::adaptive;
  std::uint32_t limit = 0;  ///< push-pull limit; 0: B
  bool dedup = true;        ///< remove duplicate questions before they are sent
  bool l3_host = false;     ///< one L3 on the CPU side in place of a replica on every module
  Leaf leaf = Leaf::hash;
  Chunking chunking = Chunking::geometric;
  bool record_all = false;   ///< changes record the whole path of every key, not only of tall ones
  bool merge_ranges = true;  ///< scans join overlapping ranges before they are sent
  bool cut_ranges = true;    ///< and cut those of more than 5 times the mean length
  std::uint64_t seed = 1;    ///< of heights and placement; adversaries must not know it
  int hash_bits = 64;        ///< fewer: a weak placement hash, for tests (correct, only slow)
};

/// The smallest H >= 2 at which broadcasting new L3 keys costs at most 4 words an insert.
std::uint32_t automatic_levels(std::uint32_t modules, std::uint32_t chunk);

/// When a batch of changes does not fit into a module's memory it is refused with pim::ModuleFull before
/// anything changes; bulk_load then leaves the tree empty.
class PimTree : public MeteredIndex {
 public:
  /// Throws InvalidInput for options out of range. The machine must be fresh, and outlive the tree.
  PimTree(pim::Machine& machine, PimTreeOptions options = {});

  std::string name() const override { return "pim-tree"; }
  std::uint64_t size() const override { return size_; }
  void bulk_load(std::span<const Entry> sorted) override;
  std::vector<std::optional<Value>> get(std::span<const Key> keys) override;
  std::vector<std::optional<Entry>> predecessor(std::span<const Key> keys) override;
  std::vector<std::optional<Entry>> successor(std::span<const Key> keys) override;
  InsertReport insert(std::span<const Entry> entries) override;
  std::vector<bool> update(std::span<const Entry> entries) override;
  std::vector<bool> erase(std::span<const Key> keys) override;
  Rows scan(std::span<const KeyRange> ranges) override;
  std::vector<std::uint64_t> count(std::span<const KeyRange> ranges) override;

  /// What the last batch cost.
  const pim::Cost& cost() const override { return machine_.cost(); }
  const PimTreeOptions& options() const { return options_; }

  /// Follows every link and entry, compares every shadow with its original, and returns the first violation
  /// in one sentence, or an empty string. Leaves the cost of its own rounds out.
  std::string verify();

  /// Empties the modules and starts anew: after one was lost, or full in the middle of a batch.
  void restart();

  struct ModuleUsage {
    std::uint64_t words = 0;  ///< in live blocks
    std::uint64_t keys = 0;   ///< data nodes
  };
  /// Of each module; its round is left out of the cost.
  std::vector<ModuleUsage> usage();
  /// Chunks of each level, without the leftmost.
  const std::vector<std::uint64_t>& chunk_counts() const { return chunk_counts_; }

 private:
  /// Where the search path of each of some sorted keys runs: at[l][i] is the chunk of level l for key i.
  /// Levels between are known only where they were asked for, or came along.
  struct Paths {
    std::vector<std::vector<pim::Address>> at;
  };
  /// Neighbouring keys [begin, end) that ask the same chunk.
  struct Group {
    pim::Address at;
    std::uint32_t begin, end;
    bool pull = false;
    std::uint32_t size() const { return end - begin; }
  };
  /// A chunk that was fetched: entries in key order.
  struct Fetched {
    std::vector<Entry> entries;  // key, address
    pim::Address link = 0;       // first child (above level 0), right neighbour (level 0)
  };
  /// Root `root` needs a fresh copy of this level-1 chunk.
  struct Missing {
    pim::Address root, child;
  };
  struct Insertion;
  struct Removal;

  std::uint32_t place(Key key, std::uint32_t level) const;
  std::uint32_t place_root(Key key);
  std::uint32_t draw_height();
  std::uint32_t height_by_position(std::uint64_t position) const;
  void start_empty();
  void load_pieces(std::span<const Entry> sorted);
  void make_leftmost();

  std::vector<Group> group(std::span<const Key> keys, const std::vector<pim::Address>& at) const;
  void plan_level(std::vector<Group>& groups, bool roots, std::uint32_t reply_words = 1);
  std::vector<std::optional<Entry>> inline_entries(std::span<const Key> keys,
                                                   const std::vector<pim::Address>& leaves, bool after);
  void update_inline(std::span<const Entry> entries);
  pim::Address host_root(Key key) const;
  void search_roots(std::span<const Key> keys, std::vector<pim::Address>& roots);
  void search_to_leaves(std::span<const Key> keys, const std::vector<bool>* tall, Paths& paths);
  std::vector<pim::Address> search_leaves(std::span<const Key> keys, const std::vector<pim::Address>& leaves);
  std::vector<pim::Address> search_after(std::span<const Key> keys, const std::vector<pim::Address>& leaves);
  std::vector<Entry> read_data(const std::vector<pim::Address>& nodes);
  Fetched read_fetched(pim::Round& round, std::uint32_t module);
  void push(pim::Round& round, task type, std::span<const Key> keys, const Group& group) const;
  template <typename Take>
  void each_piece(const Group& group, Take take) const;

  std::vector<std::uint32_t> look_up_heights(std::span<const Key> keys, const char* phase);
  std::vector<bool> update_present(std::span<const Entry> entries);
  void insert_absent(std::span<const Key> keys, std::span<const Value> values,
                     std::span<const Entry> updates);
  bool know_space(std::uint64_t keys, pim::Round* round);
  void take_space(pim::Round& round);
  void keep_credit(const Demand& demand, std::uint64_t keys);
  void keep_bounds(std::vector<Key> changed, bool may_be_short);
  std::vector<Key> split_long(std::uint32_t level, const std::vector<Key>& changed);
  std::vector<Key> join_short(std::uint32_t level, const std::vector<Key>& changed);
  void repair_copies(const std::vector<Missing>& missing, const std::function<void(pim::Round&)>& also);

  /// Chunks (or, at the end, data nodes) that hold part of a range.
  struct RangeItem {
    pim::Address at;
    std::uint32_t range;
  };
  std::vector<RangeItem> range_roots(std::span<const KeyRange> ranges);
  std::vector<RangeItem> expand(std::span<const KeyRange> ranges, std::vector<RangeItem> items,
                                const char* phase);
  std::vector<Entry> inline_rows(std::span<const KeyRange> ranges, std::vector<RangeItem> items);
  std::vector<KeyRange> ranges_to_send(std::span<const KeyRange> questions) const;

  pim::Machine& machine_;
  PimTreeOptions options_;
  std::uint32_t levels_;  // H
  std::uint32_t limit_;
  std::uint64_t size_ = 0;
  Random heights_;
  Random choices_;
  std::vector<std::uint32_t> roots_on_;  // L2 roots by module, for the four choices
  std::vector<std::uint64_t> chunk_counts_;
  std::vector<std::uint64_t> keys_on_;  // data nodes by module
  std::vector<ModuleSpace> space_;      // as asked for this batch; empty: the credit covers it
  std::uint64_t credit_bytes_ = 0;      // that every module surely has
  std::uint64_t longest_ = 8;           // no chunk is longer
  std::vector<pim::Address> leftmost_;  // by level
  std::map<Key, pim::Address> l3_;      // with l3_host
  std::uint64_t loaded_ = 0;            // keys of a bulk load so far: positions give heights (ab)
  bool loading_ = false;
  bool bounded_ = true;  // ab: no cut had to be left out for want of memory
};

// The pieces of at most 2 * limit keys in which a group is pushed.
template <typename Take>
void PimTree::each_piece(const Group& group, Take take) const {
  const std::uint32_t most = std::min<std::uint32_t>(2 * limit_, 512);
  for (std::uint32_t begin = group.begin; begin < group.end; begin += most)
    take(begin, std::min(group.end, begin + most));
}

}  // namespace ballast::index
