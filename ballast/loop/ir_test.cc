#include "ballast/loop/ir.h"

#include <gtest/gtest.h>

#include <numeric>

#include "ballast/loop/interpreter.h"

namespace ballast::loop {
namespace {

TEST(Ir, FoldsIntegersAndNeutralElements) {
  const Var x = variable("x");
  EXPECT_TRUE(is_integer(floordiv(Expr(-7), Expr(2)), -4));
  EXPECT_TRUE(is_integer(floormod(Expr(-7), Expr(2)), 1));
  EXPECT_TRUE(is_integer(ceil_mult(Expr(33), 32), 64));
  EXPECT_EQ((x + Expr(0)).get(), x.get());
  EXPECT_EQ((x * Expr(1)).get(), x.get());
  EXPECT_TRUE(is_integer(x * Expr(0), 0));
  EXPECT_EQ(to_text((x + Expr(1)) * Expr(2)), "((x + 1) * 2)");
}

TEST(Ir, SubstitutesByIdentityNotByName) {
  const Var a = variable("i"), b = variable("i");
  const Expr e = a * Expr(3) + b;
  EXPECT_EQ(to_text(Substitution{{{a.get(), Expr(5)}}}(e)), "(15 + i)");
  EXPECT_TRUE(depends_on(e, b.get()));
}

/// y[i] = 2 x[i] over n elements, one task.
Function doubling() {
  const Expr n = scalar("n", 0);
  const Buffer x = operand_buffer("x", DType::f32, 0, n), y = operand_buffer("y", DType::f32, 1, n);
  const Var i = variable("i");
  Function f;
  f.signature = {"doubling", {{"x"}, {"y", DType::f32, Access::Dense, true}}, {{"n"}}, {}, 0};
  f.task = variable("t");
  f.num_tasks = Expr(1);
  f.body = loop(i, 0, n, store(y, i, load(x, i) * Expr(2.0)), LoopKind::vector);
  return f;
}

TEST(Interpreter, RunsAndCounts) {
  std::vector<float> x(10), y(10);
  std::iota(x.begin(), x.end(), 0.0f);
  void* buffers[] = {x.data(), y.data()};
  const std::int64_t scalars[] = {10};
  const Counters c = interpret(doubling(), {buffers, scalars, nullptr, nullptr});
  EXPECT_EQ(c.loads, 10);
  EXPECT_EQ(c.stores, 10);
  for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(y[i], 2 * x[i]);
}

TEST(Interpreter, NamesTheAccessThatIsOutside) {
  Function f = doubling();
  const Buffer x = operand_buffer("x", DType::f32, 0, scalar("n", 0)),
               y = operand_buffer("y", DType::f32, 1, scalar("n", 0));
  const Var i = variable("i");
  f.body = loop(i, 0, scalar("n", 0), store(y, i, load(x, i + Expr(1))));
  std::vector<float> memory(16);
  void* buffers[] = {memory.data(), memory.data()};
  const std::int64_t scalars[] = {10};
  try {
    interpret(f, {buffers, scalars, nullptr, nullptr});
    FAIL() << "an access outside its buffer went through";
  } catch (const BoundsError& error) {
    EXPECT_STREQ(error.what(), "x[10] is outside its 10 elements");
  }
}

TEST(Launcher, CutsByCost) {
  // Costs 8 1 1 1 1 4 in two parts of 8 each.
  const std::vector<std::int64_t> costs{8, 1, 1, 1, 1, 4};
  EXPECT_EQ(cut_by_cost(costs, 2), (std::vector<std::int64_t>{0, 1, 6}));
  EXPECT_EQ(cut_by_cost(std::vector<std::int64_t>{}, 4), (std::vector<std::int64_t>{0, 0}));
}

}  // namespace
}  // namespace ballast::loop
