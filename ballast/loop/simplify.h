// Integer expressions made smaller, and conditions on them proved: what removes guards, and what makes the
// position of an element in a fused loop collapse to the loop's own variable.
//
//   Facts facts;
//   facts.loop(i, 0, extent);                       // 0 <= i < extent from here on
//   simplify(floormod(i * 8 + 16, 8), facts)        // 0
//   prove(i * 4 + 3 < extent * 4, facts)            // true
//
// A sum is brought to one form: a polynomial over atoms (variables, scalars, table reads, quotients, min,
// max). Quotients by constants lose their whole multiples, remainders keep only the rest, and what the ranges
// of the atoms decide is decided. A proof of `p >= 0` replaces one atom after the other by a bound of it
// until the ranges of what is left suffice; it may fail for a true condition, it never holds for a false one
// (the tests of `ragged` give every proof of the schedule fuzzer to Z3). Rules for the maps of a fused loop
// are of the paper's section on vloop fusion.
#pragma once

#include <vector>

#include "ballast/loop/ir.h"

namespace ballast::loop {

/// Bounds of an integer, inclusive; kNoMinimum and kNoMaximum stand for none.
struct Range {
  std::int64_t low = kNoMinimum, high = kNoMaximum;
};

class Facts {
 public:
  /// first <= v < first + extent.
  void loop(const Var& v, Expr first, Expr extent) {
    loops_.push_back({v, std::move(first), std::move(extent)});
  }
  /// A fused loop's map and prefix sums: `map[prefix[o] + i] = o` for 0 <= i < element(o), where `element` is
  /// an expression of `variable`.
  void fused(Buffer map, Buffer prefix, Var variable, Expr element) {
    maps_.push_back({std::move(map), std::move(prefix), std::move(variable), std::move(element)});
  }

  struct Loop {
    Var var;
    Expr first, extent;
  };
  struct Map {
    Buffer map, prefix;
    Var variable;
    Expr element;
  };
  const std::vector<Loop>& loops() const { return loops_; }
  const std::vector<Map>& maps() const { return maps_; }
  /// The facts as conditions, for a record of a proof.
  std::vector<Expr> conditions() const;

 private:
  std::vector<Loop> loops_;
  std::vector<Map> maps_;
};

/// The same value, for integers in the one form described above; other expressions have their indices
/// simplified.
Expr simplify(const Expr& e, const Facts& facts = {});
/// Bounds from the declared ranges of scalars and tables and from constant loop bounds.
Range range_of(const Expr& e, const Facts& facts = {});
/// Whether a condition (<, <=, and) holds for all values that the facts allow.
bool prove(const Expr& condition, const Facts& facts = {});
/// Whether e is a multiple of m > 0.
bool prove_multiple(const Expr& e, std::int64_t m, const Facts& facts = {});

/// A condition that was proved and relied upon, for an independent check.
struct Proof {
  std::vector<Expr> assumptions;
  Expr goal;
};

}  // namespace ballast::loop
