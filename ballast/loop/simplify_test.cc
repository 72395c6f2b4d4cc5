// Simplified expressions have the value of the original for every assignment that is tried; what is proved
// holds for every one.
#include "ballast/loop/simplify.h"

#include <gtest/gtest.h>

#include "ballast/base/random.h"
#include "ballast/loop/interpreter.h"

namespace ballast::loop {
namespace {

struct World {
  Expr n = scalar("n", 0, 0, 6);
  Var v = variable("v"), w = variable("w");
  Buffer table = aux_buffer("table", 0, Expr(8), 0, 9);
  Facts facts;
  World() {
    facts.loop(v, 0, n);
    facts.loop(w, 0, 4);
  }
  Expr random_expr(Random& r, int depth) const {
    if (depth == 0 || r.below(5) == 0) {
      switch (r.below(5)) {
        case 0:
          return Expr(static_cast<std::int64_t>(r.below(9)) - 3);
        case 1:
          return n;
        case 2:
          return v;
        case 3:
          return w;
        default:
          return load(table, r.below(2) ? v : w);
      }
    }
    const auto sub = [&] { return random_expr(r, depth - 1); };
    switch (r.below(7)) {
      case 0:
        return sub() + sub();
      case 1:
        return sub() - sub();
      case 2:
        return sub() * sub();
      case 3:
        return floordiv(sub(), Expr(static_cast<std::int64_t>(1 + r.below(5))));
      case 4:
        return floormod(sub(), Expr(static_cast<std::int64_t>(1 + r.below(5))));
      case 5:
        return min(sub(), sub());
      default:
        return max(sub(), sub());
    }
  }
  /// All assignments of the variables that the facts allow, for one table.
  template <typename Check>
  void each(Random& r, const Check& check) const {
    std::int32_t values[8];
    for (auto& x : values) x = static_cast<std::int32_t>(r.below(10));
    for (std::int64_t size = 1; size <= 6; size += 1 + static_cast<std::int64_t>(r.below(3)))
      for (std::int64_t a = 0; a < size; ++a)
        for (std::int64_t b = 0; b < 4; ++b) {
          const std::int32_t* aux[] = {values};
          const KernelFrame frame{nullptr, &size, aux, nullptr};
          const Substitution at{{{v.get(), Expr(a)}, {w.get(), Expr(b)}}};
          check(frame, at);
        }
  }
};

TEST(Simplify, KeepsTheValueOfRandomExpressions) {
  const std::uint64_t seed = 71;
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  Random random(seed);
  const World world;
  for (int round = 0; round < 600; ++round) {
    const Expr e = world.random_expr(random, 4), s = simplify(e, world.facts);
    const Range range = range_of(e, world.facts);
    world.each(random, [&](const KernelFrame& frame, const Substitution& at) {
      const std::int64_t want = evaluate(at(e), frame);
      ASSERT_EQ(evaluate(at(s), frame), want) << to_text(e) << "\nbecame " << to_text(s);
      ASSERT_LE(range.low, want) << to_text(e);
      ASSERT_GE(range.high, want) << to_text(e);
    });
    if (HasFatalFailure()) return;
  }
}

TEST(Simplify, ProvesOnlyWhatHolds) {
  const std::uint64_t seed = 72;
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  Random random(seed);
  const World world;
  int proved = 0;
  for (int round = 0; round < 1500; ++round) {
    const Expr condition = world.random_expr(random, 3) <= world.random_expr(random, 3);
    if (!prove(condition, world.facts)) continue;
    ++proved;
    world.each(random, [&](const KernelFrame& frame, const Substitution& at) {
      ASSERT_TRUE(evaluate(at(condition), frame)) << to_text(condition);
    });
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(proved, 50);
}

TEST(Simplify, WhatGuardsNeed) {
  const Expr l = scalar("l", 0, 0, 1000);
  const Var o = variable("o"), i = variable("i");
  Facts facts;
  facts.loop(o, 0, ceil_div(l, 8));
  facts.loop(i, 0, 8);
  EXPECT_TRUE(prove_multiple(ceil_mult(l, 8), 4));
  EXPECT_FALSE(prove_multiple(ceil_mult(l, 4), 8));
  EXPECT_TRUE(prove(o * Expr(8) + i < ceil_mult(l, 8), facts));
  EXPECT_FALSE(prove(o * Expr(8) + i < l, facts));  // the last piece may end early
  EXPECT_EQ(to_text(simplify(floormod(o * Expr(8) + i, 8), facts)), "i");
  EXPECT_EQ(to_text(simplify(floordiv(o * Expr(8) + i, 8), facts)), "o");
}

TEST(Simplify, TheMapsOfAFusedLoopCancel) {
  const Expr batch = scalar("B", 0, 0, 100);
  const Buffer length = aux_buffer("len", 0, batch, 0, 9),
               prefix = aux_buffer("ofp", 1, batch + Expr(1), 0, kNoMaximum),
               map = aux_buffer("fo", 2, Expr(), 0, kNoMaximum);
  const Var f = variable("f"), o = variable("o"), i = variable("i"), x = variable("x");
  Facts facts;
  facts.fused(map, prefix, x, load(length, x));
  facts.loop(o, 0, batch);
  facts.loop(i, 0, load(length, o));
  // f_oif(f_fo(f), f_fi(f)) = f.
  const Expr fo = load(map, f), fi = f - load(prefix, fo);
  EXPECT_EQ(to_text(simplify(load(prefix, fo) + fi, facts)), "f");
  EXPECT_EQ(to_text(simplify(load(prefix, fo) * Expr(64) + fi * Expr(64) + Expr(3), facts)),
            "((f * 64) + 3)");
  // f_fo(f_oif(o, i)) = o and f_fi(f_oif(o, i)) = i.
  const Expr oif = load(prefix, o) + i;
  EXPECT_EQ(to_text(simplify(load(map, oif), facts)), "o");
  EXPECT_EQ(to_text(simplify(oif - load(prefix, load(map, oif)), facts)), "i");
  // Not when i may lie beyond the slice.
  Facts wrong;
  wrong.fused(map, prefix, x, load(length, x));
  wrong.loop(i, 0, load(length, o) + Expr(1));
  EXPECT_NE(to_text(simplify(load(map, oif), wrong)), "o");
}

}  // namespace
}  // namespace ballast::loop
