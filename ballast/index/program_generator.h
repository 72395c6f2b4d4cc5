// Random programs of batches for the property tests: every engine runs the same one and must give the
// oracle's answers.
#pragma once

#include <fmt/format.h>

#include <set>
#include <string>
#include <vector>

#include "ballast/base/random.h"
#include "ballast/index/types.h"

namespace ballast::index {

enum class KeySpace {
  wide,   ///< all 64 bits, with the ends of the range among them
  dense,  ///< a few thousand neighbours: hits, runs and collisions
};

class ProgramGenerator {
 public:
  ProgramGenerator(std::uint64_t seed, KeySpace space) : random_(seed, 77), space_(space) {}

  /// Runs one random batch on both; returns what differs, or an empty string.
  std::string step(OrderedIndex& index, OrderedIndex& oracle) {
    const std::uint64_t kind = random_.below(9);
    const std::size_t size = random_.below(8) == 0 ? random_.below(3) : 1 + random_.below(400);
    std::vector<Key> questions;
    for (std::size_t i = 0; i < size; ++i) questions.push_back(key());
    std::vector<Entry> entries;
    for (const Key key : questions) entries.push_back({key, random_()});
    std::vector<KeyRange> ranges;
    for (std::size_t i = 0; i < size / 8 + 1; ++i) {
      const Key low = key(), high = random_.below(4) == 0
                                        ? key()
                                        : low + random_.below(space_ == KeySpace::wide ? ~0ull >> 6 : 100);
      ranges.push_back({low, high});
    }
    switch (kind) {
      case 0:
        return compare("get", index.get(questions), oracle.get(questions));
      case 1:
        return compare("predecessor", index.predecessor(questions), oracle.predecessor(questions));
      case 2:
        return compare("successor", index.successor(questions), oracle.successor(questions));
      case 3:
        return compare("update", index.update(entries), oracle.update(entries));
      case 4:
        return compare("erase", index.erase(questions), oracle.erase(questions));
      case 5:
        return compare("count", index.count(ranges), oracle.count(ranges));
      case 6: {
        last_ = "scan";
        const Rows ours = index.scan(ranges), theirs = oracle.scan(ranges);
        if (ours.ranges() != theirs.ranges()) return "scan gives another number of ranges";
        for (std::size_t i = 0; i < ranges.size(); ++i)
          if (!std::equal(ours[i].begin(), ours[i].end(), theirs[i].begin(), theirs[i].end()))
            return fmt::format("scan of range {} [{}, {}] gives {} rows, not {}", i, ranges[i].low,
                               ranges[i].high, ours[i].size(), theirs[i].size());
        return {};
      }
      default:
        for (const auto& entry : entries) known_.push_back(entry.key);
        return compare("insert", index.insert(entries), oracle.insert(entries));
    }
  }
  const std::string& last() const { return last_; }

 private:
  Key key() {
    if (!known_.empty() && random_.below(3) == 0)
      return known_[random_.below(known_.size())] + random_.below(2);
    if (space_ == KeySpace::dense) return random_.below(3000);
    switch (random_.below(12)) {
      case 0:
        return 0;
      case 1:
        return ~Key{0};
      case 2:
        return (Key{1} << 63) + random_.below(3) - 1;
      default:
        return random_();
    }
  }
  template <typename T>
  std::string compare(const char* what, const T& ours, const T& theirs) {
    last_ = what;
    return ours == theirs ? "" : std::string(what) + " differs from the oracle";
  }

  Random random_;
  KeySpace space_;
  std::vector<Key> known_;
  std::string last_;
};

}  // namespace ballast::index
