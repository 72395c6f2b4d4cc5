#include "ballast/loop/gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "ballast/base/random.h"
#include "ballast/loop/jit.h"
#include "ballast/loop/kernel.h"

namespace ballast::loop {
namespace {

KernelRegistry& registry() {
  static KernelRegistry shared("");
  return shared;
}

std::vector<float> noise(std::size_t n, std::uint64_t stream) {
  Random random(11, stream);
  std::vector<float> v(n);
  for (float& x : v) x = static_cast<float>(random.uniform(-1, 1));
  return v;
}

struct Problem {
  std::int64_t m, n, k;
  bool transposed = false, packed = false, accumulate = false, bias = false;
  double scale = 1;
  int rows = 0;  ///< 0 strided, 1 row numbers, 2 pointers
};

std::vector<float> run(const Problem& p, bool check) {
  const auto size = [](std::int64_t a, std::int64_t b) { return static_cast<std::size_t>(a * b); };
  const std::int64_t as = p.k + 3, bs = (p.transposed ? p.k : p.n) + 5, cs = p.n + 2;
  const std::vector<float> a = noise(size(p.m, as), 1), b = noise(size(p.transposed ? p.n : p.k, bs), 2),
                           bias = noise(static_cast<std::size_t>(p.n), 3);
  std::vector<float> c = noise(size(p.m, cs), 4), before = c;
  std::vector<float> packed(static_cast<std::size_t>(packed_size(p.k, p.n)));
  if (p.packed) pack_panels(b.data(), bs, p.transposed, p.k, p.n, packed.data());
  std::vector<std::int32_t> numbers;
  std::vector<void*> pointers;
  for (std::int64_t i = 0; i < p.m; ++i) {
    const std::int64_t row = p.rows ? (i * 7 + 3) % p.m : i;
    numbers.push_back(static_cast<std::int32_t>(row));
    pointers.push_back(const_cast<float*>(a.data() + row * as) - 2);
  }
  GemmArgs g;
  g.m = p.m, g.n = p.n, g.k = p.k;
  g.a = a.data();
  g.a_stride = p.rows == 2 ? 2 : as;
  if (p.rows == 1) g.a_rows = numbers.data();
  if (p.rows == 2) g.a_pointers = pointers.data();
  g.b = p.packed ? packed.data() : b.data();
  g.b_stride = p.packed ? p.k : bs;
  g.b_transposed = p.transposed && !p.packed;
  g.b_packed = p.packed;
  g.c = c.data();
  g.c_stride = cs;
  g.bias = p.bias ? bias.data() : nullptr;
  g.scale = p.scale;
  g.accumulate = p.accumulate;
  gemm(registry().tiles(), g);
  if (check) {
    for (std::int64_t i = 0; i < p.m; ++i) {
      for (std::int64_t j = 0; j < cs; ++j) {
        const auto at = static_cast<std::size_t>(i * cs + j);
        double want = before[at];
        if (j < p.n) {
          double sum = 0;
          for (std::int64_t x = 0; x < p.k; ++x)
            sum += static_cast<double>(
                       a[static_cast<std::size_t>(numbers[static_cast<std::size_t>(i)] * as + x)]) *
                   b[static_cast<std::size_t>(p.transposed ? j * bs + x : x * bs + j)];
          want = (p.accumulate ? before[at] : 0) + p.scale * sum +
                 (p.bias ? bias[static_cast<std::size_t>(j)] : 0);
        }
        EXPECT_NEAR(c[at], want, 1e-6 * std::sqrt(static_cast<double>(p.k) + 1) * 4)
            << p.m << "x" << p.n << "x" << p.k << " at " << i << "," << j;
      }
    }
  }
  return c;
}

TEST(Gemm, EqualsTheDefinitionForAllForms) {
  const std::uint64_t seed = 5;
  RecordProperty("seed", std::to_string(seed));
  Random random(seed);
  for (int round = 0; round < 120; ++round) {
    Problem p{static_cast<std::int64_t>(1 + random.below(40)),
              static_cast<std::int64_t>(1 + random.below(150)),
              static_cast<std::int64_t>(1 + random.below(80))};
    if (round % 10 == 0) p.k = static_cast<std::int64_t>(500 + random.below(900));
    p.transposed = random.below(2);
    p.packed = random.below(2);
    p.accumulate = random.below(2);
    p.bias = random.below(2);
    p.scale = !p.accumulate && random.below(2) ? 0.125 : 1;
    p.rows = static_cast<int>(random.below(3));
    run(p, true);
    if (HasFailure()) break;
  }
}

TEST(Gemm, EmptySumsGiveBiasOrNothing) {
  run({3, 5, 0, false, false, false, true}, true);
  run({3, 5, 0, false, false, true, false}, true);
  run({0, 5, 4}, true);
  run({4, 0, 4}, true);
}

TEST(Gemm, ARowIsTheSameBitsInEveryProduct) {
  // Rows of a product of 40 rows against products of fewer rows, packed or not, whole or cut columns.
  const std::vector<float> all = run({40, 100, 700}, false);
  for (std::int64_t m : {1, 5, 13, 29}) {
    for (bool packed : {false, true}) {
      Problem p{m, 100, 700};
      p.packed = packed;
      // The same A and B: noise depends on the stream alone, and rows start at the same place.
      const std::vector<float> part = run(p, false);
      for (std::int64_t i = 0; i < m; ++i)
        EXPECT_EQ(0, std::memcmp(part.data() + i * 102, all.data() + i * 102, 100 * sizeof(float)))
            << "row " << i << " of " << m;
    }
  }
}

}  // namespace
}  // namespace ballast::loop
