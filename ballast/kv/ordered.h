// The ordered mode of `kv`: the same operations, and scans. The key space is cut into ranges, cells, by
// splitters from a sample; a cell of some hundred entries is one item of orch and lies with a machine by
// hash. A scan is a task that asks for the cell of its first key, so that ranges which everybody reads are
// pulled like any hot item, and no machine owns a hot stretch of neighbouring keys alone.
//
//   kv::OrderedStore store(me, kv::Ranges::from_sample(me, some_keys, 100));
//   store.load("user7", "hello");                        // every machine may call it for any key; owners
//   keep kv::OrderedBatch batch; batch.scan("user5", 20);                             // up to 20 entries
//   from "user5" on batch.add("user9", kv::put("there")); kv::run_ordered(me, store, batch, {});
//   batch.rows(0);   batch.answer(1).status;
//
// Snapshot rule as in store.h: scans and reads see the values from before the batch. A scan that does not end
// in its cell goes on to the next in a further stage; writes come in the last.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ballast/kv/store.h"

namespace ballast::kv {

/// The splitters: cell c holds the keys k with splitter[c - 1] <= k < splitter[c].
class Ranges {
 public:
  Ranges() = default;
  explicit Ranges(std::vector<std::string> splitters, double entries_per_cell = 1);
  /// Collective: every machine gives a part of the keys (all of them, or a sample that stands for `scale`
  /// times as many); the cells hold about `entries` each. Throws InvalidInput for entries < 1.
  static Ranges from_sample(cluster::Machine& me, std::vector<std::string> keys, std::uint64_t entries,
                            double scale = 1);

  std::uint32_t cells() const { return static_cast<std::uint32_t>(splitters_.size() + 1); }
  std::uint32_t cell_of(const std::string& key) const;
  double entries_per_cell() const { return entries_per_cell_; }

 private:
  std::vector<std::string> splitters_;
  double entries_per_cell_ = 1;
};

using Row = std::pair<std::string, std::string>;

/// The entries of one range, by key.
struct Cell {
  std::vector<Row> rows = {};

  std::size_t encoded_size() const;
  void encode(Buffer& out) const;
  static Cell decode(Reader& in);
  std::vector<Row>::const_iterator at_or_after(const std::string& key) const;
};

/// One operation on a key, or (count > 0) a scan from it.
struct RangeOperation {
  std::string key = {};
  Operation operation = {};
  std::uint32_t count = 0;
  float share = 0;  ///< of a scan: which part of a cell it is expected to give

  std::size_t encoded_size() const;
  void encode(Buffer& out) const;
  static RangeOperation decode(Reader& in);
};

struct RangeAnswer {
  Answer answer = {};
  std::vector<Row> rows = {};

  std::size_t encoded_size() const;
  void encode(Buffer& out) const;
  static RangeAnswer decode(Reader& in);
};

/// The merged writes of a cell, by key.
struct RangeWrites {
  std::vector<std::pair<std::string, Write>> list = {};

  std::size_t encoded_size() const;
  void encode(Buffer& out) const;
  static RangeWrites decode(Reader& in);
};

/// The task class: its items are cells.
struct RangeAccess {
  using Key = std::uint32_t;
  using Context = RangeOperation;
  using Item = Cell;
  using Update = RangeWrites;
  using Reply = RangeAnswer;
  static constexpr orch::Absent kAbsent = orch::Absent::create;
  static RangeAnswer run(const RangeOperation& asked, const Cell& cell, orch::Emit<RangeAccess>& out);
  static RangeWrites merge(RangeWrites a, RangeWrites b);
  static void apply(Cell& cell, RangeWrites writes);
  static double reply_bytes(const RangeOperation& asked, double item) {
    return asked.count > 0 ? 3 + item * static_cast<double>(asked.share) : 32;
  }
};

class OrderedStore : public orch::Store<RangeAccess> {
 public:
  OrderedStore(const cluster::Machine& me, Ranges ranges)
      : orch::Store<RangeAccess>(me), ranges_(std::move(ranges)) {}
  /// Sets an entry if this machine owns it; keys in rising order load fastest.
  void load(const std::string& key, std::string value);
  const Ranges& ranges() const { return ranges_; }
  std::uint64_t entries() const;

 private:
  Ranges ranges_;
};

class IndexedStore;  // indexed.h

class OrderedBatch {
 public:
  /// Throws InvalidInput as orch::Batch does, and for compare-and-set (an operation of the serial class).
  void add(std::string key, Operation operation);
  /// Up to `count` entries whose keys are at or after `start`. Throws InvalidInput for 0 or more than 10 000.
  void scan(std::string start, std::uint32_t count);
  std::size_t size() const { return asked_.size(); }
  const Answer& answer(std::size_t i) const { return answers_[i].answer; }
  const std::vector<Row>& rows(std::size_t i) const { return answers_[i].rows; }

 private:
  friend std::vector<orch::StageReport> run_ordered(cluster::Machine&, OrderedStore&, OrderedBatch&,
                                                    const orch::Options&);
  friend void run_ordered(cluster::Machine&, IndexedStore&, OrderedBatch&);
  std::vector<RangeOperation> asked_;
  std::vector<RangeAnswer> answers_;
};

/// Collective: every machine gives its own batch and the same options. One stage for each cell that the
/// longest scan meets, and one for all other operations; their reports, in order.
std::vector<orch::StageReport> run_ordered(cluster::Machine& me, OrderedStore& store, OrderedBatch& batch,
                                           const orch::Options& options);

}  // namespace ballast::kv
