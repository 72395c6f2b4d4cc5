// Compiled code against the interpreter, and the vector functions against libm.
#include "ballast/loop/codegen.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "ballast/base/random.h"
#include "ballast/loop/interpreter.h"

namespace ballast::loop {
namespace {

KernelRegistry& registry() {
  static KernelRegistry shared("");
  return shared;
}

/// One input, one output, `n` iterations of `body(i)`, both of extent `extent`.
Function simple(const std::string& name,
                const std::function<Stmt(const Buffer&, const Buffer&, const Expr&)>& body) {
  const Expr n = scalar("n", 0);
  const Buffer x = operand_buffer("x", DType::f32, 0, n * Expr(4) + Expr(2)),
               y = operand_buffer("y", DType::f32, 1, n * Expr(4) + Expr(2));
  Function f;
  f.signature = {name, {{"x"}, {"y", DType::f32, Access::Dense, true}}, {{"n"}}, {}, 0};
  f.task = variable("t");
  f.num_tasks = Expr(1);
  f.body = body(x, y, n);
  return f;
}

void expect_same(const Function& f, std::int64_t n, float tolerance = 1e-6f) {
  Random random(7, static_cast<std::uint64_t>(n));
  std::vector<float> x(static_cast<std::size_t>(4 * n + 2));
  for (float& v : x) v = static_cast<float>(random.normal());
  std::vector<float> compiled(x.size(), -1), interpreted(x.size(), -1);
  const std::int64_t scalars[] = {n};
  void* first[] = {x.data(), compiled.data()};
  void* second[] = {x.data(), interpreted.data()};
  const KernelFrame frame{first, scalars, nullptr, nullptr};
  const auto kernel = registry().get(f);
  ASSERT_EQ(kernel->num_tasks(&frame), 1);
  kernel->run(&frame, 0, 1);
  interpret(f, {second, scalars, nullptr, nullptr});
  for (std::size_t i = 0; i < x.size(); ++i)
    ASSERT_NEAR(compiled[i], interpreted[i], tolerance * std::max(1.0f, std::fabs(interpreted[i])))
        << f.signature.name << " n=" << n << " i=" << i;
}

TEST(Codegen, VectorLoopsEqualTheInterpreterForEveryTail) {
  const Function unit = simple("unit", [](auto x, auto y, auto n) {
    const Var i = variable("i");
    return loop(i, 0, n,
                store(y, i, select(load(x, i) < Expr(0.0), exp(load(x, i)), tanh(load(x, i)) + Expr(3.0))),
                LoopKind::vector);
  });
  const Function strided = simple("strided", [](auto x, auto y, auto n) {
    const Var i = variable("i");
    return loop(i, 0, n, store(y, i * Expr(3), load(x, i * Expr(2) + Expr(1)) * cast(DType::f32, i)),
                LoopKind::vector);
  });
  const Function sum = simple("sum", [](auto x, auto y, auto n) {
    const Var i = variable("i");
    return block(
        {store(y, 0, Expr(1.0)), store(y, 1, Expr(-1e30)),
         loop(i, 0, n,
              block({accumulate(y, 0, Combine::sum, load(x, i)), accumulate(y, 1, Combine::max, load(x, i))}),
              LoopKind::vector)});
  });
  const Function masked = simple("masked", [](auto x, auto y, auto n) {
    const Var i = variable("i");
    return loop(i, 0, n,
                branch(load(x, i) < Expr(0.0), store(y, i, Expr(0.0) - load(x, i)),
                       store(y, i, load(x, i) * Expr(2.0))),
                LoopKind::vector);
  });
  const Function inner = simple("inner", [](auto x, auto y,
                                            auto n) {  // a per-lane local and a serial inner loop
    const Var i = variable("i"), k = variable("k");
    const Buffer s = local_buffer("s", DType::f32, 1);
    return loop(i, 0, n,
                allocate(s, block({store(s, 0, Expr(0.0)),
                                   loop(k, 0, 3, accumulate(s, 0, Combine::sum, load(x, i + k) * load(x, k))),
                                   store(y, i, load(s, 0))})),
                LoopKind::vector);
  });
  const Function triangle =
      simple("triangle", [](auto x, auto y, auto n) {  // inner bound depends on the lane: compiled serially
        const Var i = variable("i"), k = variable("k");
        return loop(i, 0, n,
                    block({store(y, i, Expr(0.0)),
                           loop(k, 0, i + Expr(1), accumulate(y, i, Combine::sum, load(x, k)))}),
                    LoopKind::vector);
      });
  for (std::int64_t n : {0, 1, 2, 7, 15, 16, 17, 31, 32, 33, 48, 63, 100}) {
    for (const Function* f : {&unit, &strided, &masked, &inner}) expect_same(*f, n);
    expect_same(sum, n, 1e-5f);
    expect_same(triangle, n, 1e-5f);
  }
}

TEST(Codegen, IntegerDivisionRoundsDown) {
  const Function f = simple("division", [](auto, auto y, auto n) {
    const Var i = variable("i");
    const Expr v = i - Expr(20);
    return loop(i, 0, n,
                store(y, i,
                      cast(DType::f32, floordiv(v, Expr(7)) * Expr(100) + floormod(v, Expr(7)) * Expr(10) +
                                           floordiv(v, Expr(4)))));
  });
  expect_same(f, 60);
}

double ulps(float got, double want) {
  if (std::isnan(want)) return std::isnan(got) ? 0 : 1e9;
  const float rounded = static_cast<float>(want);
  if (std::isinf(rounded) || std::isinf(got)) return got == rounded ? 0 : 1e9;
  const double unit =
      std::max<double>(std::nextafter(std::fabs(rounded), INFINITY) - std::fabs(rounded), 1e-44);
  return std::fabs(static_cast<double>(got) - want) / unit;
}

TEST(Codegen, VectorFunctionsAreWithinTheirUlps) {
  struct Case {
    const char* name;
    Expr (*make)(Expr);
    double (*want)(double);
    double limit;
  };
  const Case cases[] = {{"exp", &exp, [](double v) { return std::exp(v); }, 2},
                        {"tanh", &tanh, [](double v) { return std::tanh(v); }, 4},
                        {"erf", &erf, [](double v) { return std::erf(v); }, 4}};
  std::vector<float> x;
  for (int e = -120; e <= 24; ++e)  // every magnitude, both signs
    for (int i = 0; i < 400; ++i) {
      const double v = std::ldexp(1.0 + i / 400.0, e) / 16;
      x.push_back(static_cast<float>(v));
      x.push_back(static_cast<float>(-v));
    }
  for (float v : {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 88.72f, 88.73f, -87.4f, -103.0f, -110.0f})
    x.push_back(v);
  for (const Case& c : cases) {
    const Function f = simple(c.name, [&](auto in, auto out, auto n) {
      const Var i = variable("i");
      return loop(i, 0, n, store(out, i, c.make(load(in, i))), LoopKind::vector);
    });
    std::vector<float> y(x.size());
    void* buffers[] = {x.data(), y.data()};
    const std::int64_t scalars[] = {static_cast<std::int64_t>(x.size())};
    const KernelFrame frame{buffers, scalars, nullptr, nullptr};
    registry().get(f)->run(&frame, 0, 1);
    double worst = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double error = ulps(y[i], c.want(x[i]));
      EXPECT_LE(error, c.limit) << c.name << "(" << x[i] << ") = " << y[i];
      worst = std::max(worst, error);
    }
    RecordProperty(std::string(c.name) + "_worst_ulp", std::to_string(worst));
  }
}

TEST(Registry, OneKernelForEqualFunctions) {
  KernelRegistry own("");
  const auto make = [](const char* name, double factor) {
    return simple(name, [&](auto x, auto y, auto n) {
      const Var i = variable("i");
      return loop(i, 0, n, store(y, i, load(x, i) * Expr(factor)), LoopKind::vector);
    });
  };
  own.prefetch(make("f", 2));
  const auto first = own.get(make("f", 2)), second = own.get(make("f", 2)), third = own.get(make("f", 3));
  EXPECT_EQ(first.get(), second.get());
  EXPECT_NE(first->run_function(), third->run_function());
  EXPECT_EQ(own.stats().compiled, 2);
}

TEST(Registry, KeepsObjectsOnDiskAndRemovesDamagedOnes) {
  const auto directory =
      std::filesystem::temp_directory_path() / ("ballast-jit-test-" + std::to_string(::getpid()));
  const Function f = simple("cached", [](auto x, auto y, auto n) {
    const Var i = variable("i");
    return loop(i, 0, n, store(y, i, load(x, i) * Expr(5.0)), LoopKind::vector);
  });
  const auto run = [&](std::int64_t compiled, std::int64_t from_disk, std::int64_t damaged) {
    KernelRegistry own(directory.string());
    std::vector<float> x{3, 3, 3, 3, 3}, y(5);
    void* buffers[] = {x.data(), y.data()};
    const std::int64_t scalars[] = {1};
    const KernelFrame frame{buffers, scalars, nullptr, nullptr};
    own.get(f)->run(&frame, 0, 1);
    EXPECT_EQ(y[0], 15);
    EXPECT_EQ(own.stats().compiled, compiled);
    EXPECT_EQ(own.stats().from_disk, from_disk);
    EXPECT_EQ(own.stats().damaged, damaged);
  };
  run(1, 0, 0);
  run(0, 1, 0);
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    std::ofstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(200);
    file << "damage";
  }
  run(1, 0, 1);
  run(0, 1, 0);
  std::filesystem::remove_all(directory);
}

TEST(Registry, EmitsCodeForReading) {
  const Function f = simple("shown", [](auto x, auto y, auto n) {
    const Var i = variable("i");
    return loop(i, 0, n, store(y, i, exp(load(x, i))), LoopKind::vector);
  });
  EXPECT_NE(registry().emit(f, "llvm").find("define"), std::string::npos);
  const std::string assembly = registry().emit(f, "asm");
  EXPECT_NE(assembly.find("run"), std::string::npos);
  EXPECT_THROW(registry().emit(f, "ptx"), std::exception);
}

}  // namespace
}  // namespace ballast::loop
