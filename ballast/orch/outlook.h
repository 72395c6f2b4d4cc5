// What a stage tells the next one on the same store: mean sizes of records and how skewed its requests were.
// It rides in the all-clear that ends a stage anyway, so that a store that is used again and again begins its
// stages without asking anyone; only the first one needs an allreduce of its own. A guess that has become
// wrong costs bytes for one stage, never a wrong result.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

namespace ballast::orch {

/// Of one machine, or of all, what the sizes of records follow from.
struct SizeSums {
  std::uint64_t items = 0, item_bytes = 0, tasks = 0, task_bytes = 0, key_bytes = 0;

  static SizeSums both(const SizeSums& a, const SizeSums& b) {
    return {a.items + b.items, a.item_bytes + b.item_bytes, a.tasks + b.tasks, a.task_bytes + b.task_bytes,
            a.key_bytes + b.key_bytes};
  }
};

/// What a flat stage would move, from one machine's own groups: the same decision that its leaves would take.
struct SkewFacts {
  std::uint64_t tasks = 0;
  std::uint64_t pushed = 0;                ///< tasks
  std::uint64_t pulled = 0;                ///< items
  std::uint64_t busiest_owner_pulled = 0;  ///< items that one owner sends to one machine; the most of all

  static SkewFacts both(const SkewFacts& a, const SkewFacts& b) {
    return {a.tasks + b.tasks, a.pushed + b.pushed, a.pulled + b.pulled,
            std::max(a.busiest_owner_pulled, b.busiest_owner_pulled)};
  }
};

struct Outlook {
  SizeSums sizes;
  SkewFacts skew;

  static Outlook both(const Outlook& a, const Outlook& b) {
    return {SizeSums::both(a.sizes, b.sizes), SkewFacts::both(a.skew, b.skew)};
  }
};

/// What a store keeps of its last stage: the same on all machines.
struct StageMemory {
  /// A fan-out that was chosen by a sketch serves so many stages.
  static constexpr int kStagesASketchServes = 16;

  bool known = false;
  bool knows_skew = false;  ///< only stages whose fan-out was to be chosen looked at it
  Outlook outlook = {};
  std::string fanout = {};  ///< chosen by the last sketch; empty: none
  int stages_left = 0;      ///< for which it still serves
};

}  // namespace ballast::orch
