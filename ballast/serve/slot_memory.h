// Which slot (sequence) of the executor holds which tokens, and for whom. A slot that nobody uses any more
// keeps its content until the slot is wanted: a later request that begins with the same tokens (a system
// prompt, the next round of a conversation) takes them over instead of computing them again.
//
//   const SlotMemory::Place place = memory.take(history, /*most=*/history.size() - 1);
//   // executor: place.from >= 0: copy `place.keep` tokens from there; else cut the slot to `place.keep`
//   tokens
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "ballast/base/errors.h"
#include "ballast/llama/model.h"

namespace ballast::serve {

class SlotMemory {
 public:
  /// `share`: false: content is never taken over.
  SlotMemory(int slots, bool share) : slots_(static_cast<std::size_t>(slots)), share_(share) {}

  struct Place {
    int slot = 0;
    int keep = 0;   ///< tokens of the history that are there already, or will be after the copy
    int from = -1;  ///< the slot to copy them from; -1: this one
  };

  int free() const {
    return static_cast<int>(
        std::count_if(slots_.begin(), slots_.end(), [](const Slot& s) { return !s.taken; }));
  }

  /// A free slot for a request with this history; at most `most` of its tokens are taken over. There must be
  /// one.
  Place take(std::span<const llama::Token> history, std::size_t most) {
    constexpr std::size_t kWorthIt = 16;  // fewer tokens are computed as quickly as they are copied
    std::size_t best = slots_.size(), longest = 0;
    for (std::size_t s = 0; s < slots_.size() && share_; ++s) {
      const std::size_t same = std::min(common(slots_[s].content, history), most);
      // Of equally long ones a free slot, which needs no copy.
      if (same > longest || (same == longest && same > 0 && !slots_[s].taken && slots_[best].taken)) {
        best = s;
        longest = same;
      }
    }
    if (longest < kWorthIt) longest = 0;
    Place place;
    place.keep = static_cast<int>(longest);
    if (longest > 0 && !slots_[best].taken) {
      place.slot = static_cast<int>(best);
    } else {
      // The lowest free slot without content, else the one whose content was used longest ago.
      std::size_t chosen = slots_.size();
      for (std::size_t s = 0; s < slots_.size(); ++s) {
        if (slots_[s].taken) continue;
        if (chosen == slots_.size() || (!slots_[chosen].content.empty() &&
                                        (slots_[s].content.empty() || slots_[s].used < slots_[chosen].used)))
          chosen = s;
      }
      BALLAST_CHECK(chosen < slots_.size(), "the ledger granted more slots than there are");
      place.slot = static_cast<int>(chosen);
      if (longest > 0) place.from = static_cast<int>(best);
    }
    Slot& slot = slots_[static_cast<std::size_t>(place.slot)];
    slot.taken = true;
    slot.content.assign(history.begin(), history.begin() + place.keep);
    slot.used = ++clock_;
    return place;
  }

  /// The slot now holds exactly the first `length` tokens of this history.
  void holds(int slot, std::span<const llama::Token> history, int length) {
    auto& content = slots_[static_cast<std::size_t>(slot)].content;
    const auto same = std::min(content.size(), static_cast<std::size_t>(length));
    content.resize(same);
    content.insert(content.end(), history.begin() + static_cast<std::ptrdiff_t>(same),
                   history.begin() + length);
    slots_[static_cast<std::size_t>(slot)].used = ++clock_;
  }
  /// Nobody uses the slot now. `keep_content` false: the executor has emptied it.
  void release(int slot, bool keep_content) {
    slots_[static_cast<std::size_t>(slot)].taken = false;
    if (!keep_content) slots_[static_cast<std::size_t>(slot)].content.clear();
  }
  const std::vector<llama::Token>& content(int slot) const {
    return slots_[static_cast<std::size_t>(slot)].content;
  }
  /// Free slots with content, which the executor may empty when memory is short.
  std::vector<int> retained() const {
    std::vector<int> result;
    for (std::size_t s = 0; s < slots_.size(); ++s) {
      if (!slots_[s].taken && !slots_[s].content.empty()) result.push_back(static_cast<int>(s));
    }
    return result;
  }
  bool shares() const { return share_; }

 private:
  struct Slot {
    bool taken = false;
    std::vector<llama::Token> content;
    std::uint64_t used = 0;
  };
  static std::size_t common(const std::vector<llama::Token>& a, std::span<const llama::Token> b) {
    const std::size_t most = std::min(a.size(), b.size());
    std::size_t n = 0;
    while (n < most && a[n] == b[n]) ++n;
    return n;
  }
  std::vector<Slot> slots_;
  bool share_;
  std::uint64_t clock_ = 0;
};

}  // namespace ballast::serve
