// The edges of one machine, by one of their ends: row v lists the other ends, those that the machine owns
// first ("inner"), then mirrors ("outer"), each part rising. Plain, an entry takes 4 bytes; byte-coded
// (technique L6), a part is its first id and then differences, in 7-bit groups: 1 to 2 bytes where ids lie
// close together.
//
//   rows.scan(v, rows.begin(v), rows.end(v), [&](LocalId end, std::uint64_t entry) { ...; return true; });
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ballast/graph/dist/routes.h"
#include "ballast/graph/dist/workers.h"
#include "ballast/graph/graph.h"

namespace ballast::graph {

/// An allocator that leaves plain values as the memory has them, so that the thread that first writes a page
/// decides on which memory node it lies (L7).
template <typename T>
struct Untouched : std::allocator<T> {
  template <typename U>
  struct rebind {
    using other = Untouched<U>;
  };
  template <typename U>
  void construct(U* place) noexcept {
    ::new (static_cast<void*>(place)) U;
  }
  template <typename U, typename... Args>
  void construct(U* place, Args&&... args) {
    ::new (static_cast<void*>(place)) U(std::forward<Args>(args)...);
  }
};
template <typename T>
using Untidy = std::vector<T, Untouched<T>>;

enum class Part { inner, outer, both };

class Rows {
 public:
  struct Options {
    bool coded = false;        ///< L6
    bool first_touch = false;  ///< L7: the workers that will read a block of rows write it first
  };
  Rows() = default;
  /// `csr`: rows of local ids, each rising; ids below `owned` are inner.
  Rows(Csr csr, LocalId owned, const Options& options, Workers& workers);

  std::uint64_t count() const { return offsets_.size() - 1; }
  /// Entries of all rows, and those whose end is a mirror.
  std::uint64_t entries() const { return offsets_.back(); }
  std::uint64_t outer_entries() const { return outer_entries_; }
  std::uint64_t begin(LocalId v, Part part = Part::both) const {
    return part == Part::outer ? offsets_[v] + inner_[v] : offsets_[v];
  }
  std::uint64_t end(LocalId v, Part part = Part::both) const {
    return part == Part::inner ? offsets_[v] + inner_[v] : offsets_[v + 1];
  }
  std::uint64_t degree(LocalId v, Part part = Part::both) const { return end(v, part) - begin(v, part); }
  /// Of an entry; 1 in an unweighted graph.
  double weight(std::uint64_t entry) const { return weights_.empty() ? 1.0 : weights_[entry]; }
  bool coded() const { return !byte_offsets_.empty(); }
  /// The ends of all entries, of plain rows.
  std::span<const LocalId> plain() const { return ends_; }
  const std::vector<std::uint64_t>& offsets() const { return offsets_; }

  /// use(end, entry) for the entries begin..end-1 of row v, until it returns false.
  template <typename Use>
  void scan(LocalId v, std::uint64_t begin, std::uint64_t end, Use use) const;
  /// use(end, entry) for all entries of row v.
  template <typename Use>
  void for_each(LocalId v, Use use) const {
    scan(v, begin(v), this->end(v), [&](LocalId other, std::uint64_t entry) {
      use(other, entry);
      return true;
    });
  }

  /// Memory, in bytes.
  std::uint64_t bytes() const;

 private:
  void encode(const Csr& csr, LocalId owned);

  std::vector<std::uint64_t> offsets_{0};
  std::vector<std::uint32_t> inner_;  // entries of the inner part of each row
  Untidy<LocalId> ends_;              // plain
  std::vector<std::uint8_t> codes_;   // coded: inner part, outer part, row after row
  std::vector<std::uint64_t> byte_offsets_;
  std::vector<std::uint32_t> inner_bytes_;
  Untidy<double> weights_;
  std::uint64_t outer_entries_ = 0;
};

template <typename Use>
void Rows::scan(LocalId v, std::uint64_t begin, std::uint64_t end, Use use) const {
  if (!coded()) {
    for (std::uint64_t i = begin; i < end; ++i) {
      if (!use(ends_[i], i)) return;
    }
    return;
  }
  const std::uint64_t split = offsets_[v] + inner_[v];
  std::uint64_t i = begin < split ? offsets_[v] : split;
  const std::uint8_t* at = codes_.data() + byte_offsets_[v] + (begin < split ? 0 : inner_bytes_[v]);
  for (LocalId id = 0; i < end; ++i) {
    if (i == split) id = 0;
    LocalId step = *at & 0x7f;
    for (int shift = 7; (*at++ & 0x80) != 0; shift += 7) step |= LocalId{*at & 0x7fu} << shift;
    id += step;
    if (i >= begin && !use(id, i)) return;
  }
}

}  // namespace ballast::graph
