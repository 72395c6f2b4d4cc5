// What every engine and every baseline of the index offers: one ordered map of 64-bit keys to 64-bit values,
// driven by batches. Signed integers, doubles and other fixed-size keys map to 64 ordered bits (keys.h).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace ballast::index {

using Key = std::uint64_t;
using Value = std::uint64_t;

struct Entry {
  Key key = 0;
  Value value = 0;
  bool operator==(const Entry&) const = default;
};

/// Both ends belong to the range; low > high is an empty range.
struct KeyRange {
  Key low = 0, high = 0;
};

struct InsertReport {
  std::uint64_t inserted = 0;
  std::uint64_t overwritten = 0;
  std::uint64_t duplicates = 0;  ///< entries of the batch that a later one of the same key replaced
  bool operator==(const InsertReport&) const = default;
};

/// The rows of many ranges, in key order, in one shared array: overlapping ranges share their rows.
struct Rows {
  std::vector<Entry> entries;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> bounds;  ///< of each range: begin and end in entries

  std::span<const Entry> operator[](std::size_t i) const {
    return std::span(entries).subspan(bounds[i].first, bounds[i].second - bounds[i].first);
  }
  std::size_t ranges() const { return bounds.size(); }
};

class OrderedIndex {
 public:
  virtual ~OrderedIndex() = default;
  virtual std::string name() const = 0;
  virtual std::uint64_t size() const = 0;

  /// Fills an empty index. Throws InvalidInput, before any change, when the index is not empty or the keys do
  /// not ascend strictly (naming the first position).
  virtual void bulk_load(std::span<const Entry> sorted) = 0;

  /// Answers in the order of the questions.
  virtual std::vector<std::optional<Value>> get(std::span<const Key> keys) = 0;
  /// The entry of the largest key <= the question.
  virtual std::vector<std::optional<Entry>> predecessor(std::span<const Key> keys) = 0;
  /// The entry of the smallest key >= the question.
  virtual std::vector<std::optional<Entry>> successor(std::span<const Key> keys) = 0;

  /// Inserts or overwrites; of several entries of one key the last wins.
  virtual InsertReport insert(std::span<const Entry> entries) = 0;
  /// Overwrites where the key is present; of several entries of one key the last wins. Found or not, by
  /// question.
  virtual std::vector<bool> update(std::span<const Entry> entries) = 0;
  /// Whether the key was present, by question (all questions of one key get the same answer).
  virtual std::vector<bool> erase(std::span<const Key> keys) = 0;

  virtual Rows scan(std::span<const KeyRange> ranges) = 0;
  /// The first `limit` rows of each range (0: all). Engines that can stop early do; the others read all and
  /// show the first.
  virtual Rows scan_first(std::span<const KeyRange> ranges, std::uint64_t limit);
  virtual std::vector<std::uint64_t> count(std::span<const KeyRange> ranges) = 0;
};

/// Throws InvalidInput naming the first position that does not ascend.
void require_ascending(std::span<const Entry> sorted);

}  // namespace ballast::index
