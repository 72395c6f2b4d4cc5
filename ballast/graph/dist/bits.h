// A set of local vertices as bits.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

namespace ballast::graph {

class Bits {
 public:
  explicit Bits(std::size_t size = 0) : words_((size + 63) / 64, 0) {}
  bool test(std::size_t i) const { return (words_[i / 64] >> i % 64 & 1) != 0; }
  void set(std::size_t i) { words_[i / 64] |= std::uint64_t{1} << i % 64; }
  void reset(std::size_t i) { words_[i / 64] &= ~(std::uint64_t{1} << i % 64); }
  /// Sets bit i; returns whether it was clear.
  bool insert(std::size_t i) {
    std::uint64_t& word = words_[i / 64];
    const std::uint64_t bit = std::uint64_t{1} << i % 64;
    const bool fresh = (word & bit) == 0;
    word |= bit;
    return fresh;
  }
  void clear() { std::fill(words_.begin(), words_.end(), 0); }
  std::size_t word_count() const { return words_.size(); }

  /// Calls use(i) for every member below `end`, rising.
  template <typename Use>
  void for_each(std::size_t end, Use use) const {
    for (std::size_t w = 0; w * 64 < end; ++w) {
      for (std::uint64_t rest = words_[w]; rest != 0; rest &= rest - 1) {
        const std::size_t i = w * 64 + static_cast<std::size_t>(std::countr_zero(rest));
        if (i >= end) return;
        use(i);
      }
    }
  }

 private:
  std::vector<std::uint64_t> words_;
};

}  // namespace ballast::graph
