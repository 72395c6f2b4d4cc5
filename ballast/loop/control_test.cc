// Interpreted and compiled control programs give the same results; limits leave through `overflow`.
#include "ballast/loop/control.h"

#include <gtest/gtest.h>

#include <bit>
#include <stdexcept>

namespace ballast::loop {
namespace {

struct Context : ControlContext {
  std::vector<std::int64_t> memory = std::vector<std::int64_t>(1 << 16);
  std::int64_t told = 0;
};

void add_up(ControlContext* context, std::int64_t immediate, const std::int64_t* args,
            std::int64_t* results) {
  static_cast<Context*>(context)->told += immediate;
  results[0] = args[0] + args[1];
  results[1] = args[0] - args[1];
}
const HostFunction kHosts[] = {add_up};

Context fresh() {
  Context c;
  c.next = c.memory.data();
  c.end = c.next + c.memory.size();
  c.fuel = 1'000'000;
  c.most_frames = 10'000;
  c.hosts = kHosts;
  c.overflow = [](ControlContext*, std::int64_t what, const std::int64_t* id, std::int64_t*) {
    throw std::runtime_error("overflow " + std::to_string(what) + " in " + std::to_string(*id));
  };
  return c;
}

// fib(n) by calls, and sum(n, s) by `again`.
ControlProgram example() {
  using Op = ControlOp;
  ControlProgram p;
  p.functions.push_back({"fib",
                         1,
                         6,
                         {{Op::constant, 1, 0, 0, 0, 2},
                          {Op::less, 2, 0, 1},
                          {Op::jump_zero, 0, 2, 0, 0, 4},
                          {Op::result, 0, 0},
                          {Op::constant, 1, 0, 0, 0, 1},
                          {Op::sub, 2, 0, 1},
                          {Op::call, 3, 0, 1, 0, 0},
                          {Op::sub, 2, 2, 1},
                          {Op::call, 4, 0, 1, 0, 0},
                          {Op::add, 5, 3, 4},
                          {Op::result, 0, 5}},
                         {2}});
  p.functions.push_back({"sum",
                         2,
                         4,
                         {{Op::jump_zero, 0, 0, 0, 0, 5},
                          {Op::constant, 2, 0, 0, 0, 1},
                          {Op::add, 3, 1, 0},
                          {Op::sub, 2, 0, 2},
                          {Op::again, 0, 0, 2},
                          {Op::result, 0, 1}},
                         {2, 3}});
  // memory, doubles, fields and a host function: ((a + b) - (a - b)) kept in an object, as a double
  p.functions.push_back({"mixed",
                         2,
                         8,
                         {{Op::host, 0, 0, 2, 2, 7},
                          {Op::allocate, 4, 0, 0, 0, 2},
                          {Op::sub, 2, 2, 3},
                          {Op::store, 4, 2, 0, 0, 1},
                          {Op::load, 5, 4, 0, 0, 1},
                          {Op::set, 0, 5, 0, 0, 0},
                          {Op::get, 6, 0, 0, 0, 0},
                          {Op::to_real, 7, 6},
                          {Op::real_mul, 7, 7, 7},
                          {Op::to_integer, 7, 7},
                          {Op::result, 0, 7}},
                         {0, 1, 2, 3}});
  return p;
}

TEST(Control, CompiledAndInterpretedAgree) {
  const ControlProgram program = example();
  ControlMachine vm(program);
  ControlCode native(program, "");
  for (ControlExecutor* executor :
       {static_cast<ControlExecutor*>(&vm), static_cast<ControlExecutor*>(&native)}) {
    Context c = fresh();
    const std::int64_t n[] = {20}, s[] = {100000, 0}, m[] = {30, 4};
    EXPECT_EQ(executor->call(0, c, n), 6765);
    EXPECT_EQ(executor->call(1, c, s), 5000050000);
    EXPECT_EQ(executor->call(2, c, m), 64);  // (34 - 26)^2
    EXPECT_EQ(c.told, 7);
    EXPECT_EQ(c.depth, 8);
    EXPECT_EQ(c.frames, 0);
  }
}

TEST(Control, LimitsAreKept) {
  const ControlProgram program = example();
  ControlMachine vm(program);
  Context c = fresh();
  c.most_frames = 15;
  const std::int64_t n[] = {20}, s[] = {10'000'000, 0};
  EXPECT_THROW(vm.call(0, c, n), std::runtime_error);
  c = fresh();
  EXPECT_THROW(vm.call(1, c, s), std::runtime_error);
}

}  // namespace
}  // namespace ballast::loop
