// Lane programs: compiled against interpreted, over every access mode, and bit-identical for every batch.
#include "ballast/loop/batched.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/loop/gemm.h"
#include "ballast/loop/interpreter.h"

namespace ballast::loop {
namespace {

KernelRegistry& registry() {
  static KernelRegistry shared("");
  return shared;
}

/// Data of one batch for a function: every lane's operand is noise of its own, laid out as the access says.
struct Batch {
  std::int64_t lanes;
  std::vector<std::vector<float>> floats;
  std::vector<std::vector<std::int32_t>> integers;
  std::vector<std::vector<void*>> pointers;
  std::vector<void*> buffers;
  std::vector<std::vector<std::int32_t>> tables;
  std::vector<const std::int32_t*> aux;
  std::vector<std::int64_t> scalars;
  std::vector<std::byte> scratch;

  /// sizes: elements a lane of every operand (all of it for Shared). Lane b of the batch is `first` + b of
  /// the world.
  Batch(const Function& f, const std::vector<std::int64_t>& sizes, std::int64_t n, std::int64_t first = 0)
      : lanes(n), scalars{n} {
    floats.resize(sizes.size());
    integers.resize(sizes.size());
    pointers.resize(sizes.size());
    scratch.resize(static_cast<std::size_t>(f.signature.scratch_bytes) + 64);
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      const OperandDesc& o = f.signature.operands[i];
      const auto size = static_cast<std::size_t>(sizes[i]);
      const auto value = [&](std::int64_t lane, std::size_t at) {
        Random random(3, static_cast<std::uint64_t>(lane * 1000003 + static_cast<std::int64_t>(i) * 7919 +
                                                    static_cast<std::int64_t>(at)));
        return static_cast<float>(random.uniform(-1, 1));
      };
      std::vector<float>& v = floats[i];
      if (o.dtype == DType::i32) {
        for (std::int64_t b = 0; b < n; ++b)
          integers[i].push_back(static_cast<std::int32_t>((first + b) % 5));
        buffers.push_back(integers[i].data());
        continue;
      }
      if (o.access == Access::Shared) {
        for (std::size_t x = 0; x < size; ++x) v.push_back(value(-1, x));
      } else {
        // RowIndex and PtrTable: lanes in reverse order, so that the table matters.
        const bool reversed = o.access == Access::RowIndex || o.access == Access::PtrTable;
        for (std::int64_t b = 0; b < n; ++b)
          for (std::size_t x = 0; x < size; ++x)
            v.push_back(o.written ? 0.0f : value(first + (reversed ? n - 1 - b : b), x));
      }
      buffers.push_back(v.data());
      if (o.access == Access::PtrTable) {
        for (std::int64_t b = 0; b < n; ++b)
          pointers[i].push_back(v.data() + static_cast<std::size_t>(n - 1 - b) * size);
        buffers.back() = pointers[i].data();
      }
      if (o.access == Access::RowIndex) {
        std::vector<std::int32_t> rows;
        for (std::int64_t b = 0; b < n; ++b) rows.push_back(static_cast<std::int32_t>(n - 1 - b));
        tables.push_back(rows);
      }
    }
    for (const auto& t : tables) aux.push_back(t.data());
  }
  KernelFrame frame() {
    std::byte* aligned = scratch.data() + (64 - reinterpret_cast<std::uintptr_t>(scratch.data()) % 64) % 64;
    return {buffers.data(), scalars.data(), aux.data(), aligned};
  }
};

/// Compiles, compares with the interpreter, and checks that lanes do not see their batch.
void check(const Function& f, const std::vector<std::int64_t>& sizes, float tolerance = 2e-5f) {
  const auto kernel = registry().get(f);
  const std::size_t out = sizes.size() - 1;
  Launcher launcher(2);
  Batch whole(f, sizes, 77), reference(f, sizes, 77);
  KernelFrame frame = whole.frame();
  launcher.run(*kernel, frame);
  KernelFrame slow = reference.frame();
  interpret(f, slow);
  const auto size = static_cast<std::size_t>(sizes[out]);
  if (f.signature.operands[out].dtype == DType::i32) {
    EXPECT_EQ(whole.integers[out], reference.integers[out]);
    return;
  }
  for (std::size_t i = 0; i < whole.floats[out].size(); ++i)
    ASSERT_NEAR(whole.floats[out][i], reference.floats[out][i], tolerance)
        << f.signature.name << " lane " << i / size << " element " << i % size;
  for (std::int64_t lane : {0, 5, 31, 32, 76}) {
    Batch one(f, sizes, 1, lane);
    KernelFrame single = one.frame();
    kernel->run(&single, 0, kernel->num_tasks(&single));
    EXPECT_EQ(0, std::memcmp(one.floats[out].data(),
                             whole.floats[out].data() + static_cast<std::size_t>(lane) * size,
                             size * sizeof(float)))
        << f.signature.name << ": lane " << lane << " depends on its batch";
  }
}

TEST(Batched, GateOverEveryAccess) {
  for (Access x_access : {Access::Dense, Access::PtrTable, Access::RowIndex}) {
    for (Access h_access : {Access::Dense, Access::PtrTable}) {
      LaneProgram p("gate");
      const auto x = p.input("x", {20}, x_access), h = p.input("h", {33}, h_access);
      const auto w = p.input("w", {48, 53}, Access::Shared), b = p.input("b", {48}, Access::Shared),
                 c = p.input("c", {48}, h_access);
      const auto y = p.affine(p.concat({x, h}), w, b);
      p.output("out", p.map([](auto a) { return sigmoid(a[0]) * a[1]; }, {y, c}));
      check(p.build(), {20, 33, 48 * 53, 48, 48, 48});
    }
  }
}

TEST(Batched, AffineWithAddendSliceAndComputedOperand) {
  LaneProgram p("affine");
  const auto x = p.input("x", {40}, Access::PtrTable), e = p.input("e", {16}, Access::Dense),
             w = p.input("w", {16, 20}, Access::Shared);
  const auto first = p.affine(p.slice(x, 0, 0, 20), w, {}, e);
  const auto second =
      p.affine(p.map([](auto a) { return tanh(a[0]); }, {p.slice(x, 0, 20, 40)}), w, {}, first);
  p.output("out", second);
  check(p.build(), {40, 16, 320, 16});
}

TEST(Batched, PackedWeightsGiveTheSameBits) {
  const auto build = [](bool packed) {
    LaneProgram p(packed ? "packed" : "plain");
    const auto x = p.input("x", {24}, Access::PtrTable), y = p.input("y", {16}, Access::Dense),
               w = p.input("w", {70, 40}, Access::Shared);
    p.output("out", p.affine(p.concat({x, y}), w, {}, {}, packed));
    return p.build();
  };
  const std::vector<std::int64_t> sizes{24, 16, 70 * 40, 70};
  const Function plain = build(false), packed = build(true);
  Batch a(plain, sizes, 50), b(packed, sizes, 50);
  std::vector<float> panels(static_cast<std::size_t>(packed_size(40, 70)));
  pack_panels(b.floats[2].data(), 40, true, 40, 70, panels.data());
  b.buffers[2] = panels.data();
  KernelFrame fa = a.frame(), fb = b.frame();
  registry().get(plain)->run(&fa, 0, 2);
  registry().get(packed)->run(&fb, 0, 2);
  EXPECT_EQ(a.floats[3], b.floats[3]);
}

TEST(Batched, PerLaneMatricesSoftmaxAndNorm) {
  {
    LaneProgram p("attention");
    const auto q = p.input("q", {5, 12}, Access::Dense), k = p.input("k", {7, 12}, Access::PtrTable),
               v = p.input("v", {7, 9}, Access::PtrTable);
    p.output("out", p.matmul(p.softmax(p.matmul(q, k, true)), v));
    check(p.build(8), {60, 84, 63, 45});
  }
  {
    LaneProgram p("norm");
    const auto x = p.input("x", {3, 33}, Access::RowIndex), g = p.input("g", {33}, Access::Shared),
               b = p.input("b", {33}, Access::Shared);
    p.output("out", p.layer_norm(x, g, b));
    check(p.build(), {99, 33, 33, 99}, 1e-4f);
  }
  {
    LaneProgram p("shapes");
    const auto x = p.input("x", {4, 6}, Access::PtrTable);
    const auto t = p.transpose(x, {1, 0});
    const auto r = p.reshape(p.concat({t, t}, 0), {8, 6});
    p.output("out", p.reduce(Combine::sum, r, 0));
    check(p.build(), {24, 6});
  }
}

TEST(Batched, EmbeddingPickAndArgmax) {
  {
    LaneProgram p("lookup");
    const auto table = p.input("table", {5, 21}, Access::Shared),
               index = p.input("index", {1}, Access::Dense, DType::i32);
    p.output("out", p.map([](auto a) { return a[0] * Expr(2.0); }, {p.embedding(table, index)}));
    check(p.build(), {105, 1, 21});
  }
  {
    LaneProgram p("loss");
    const auto x = p.input("x", {9}, Access::PtrTable),
               index = p.input("index", {1}, Access::Dense, DType::i32);
    p.output("out", p.map([](auto a) { return -a[0]; }, {p.pick(p.log_softmax(x), index)}));
    check(p.build(), {9, 1, 1});
  }
  {
    LaneProgram p("best");
    const auto x = p.input("x", {9}, Access::PtrTable);
    p.output("out", p.argmax(x));
    check(p.build(), {9, 1});
  }
}

TEST(Batched, SumsVariadicTerms) {
  const Function f = sum_terms(37);
  std::vector<std::vector<float>> terms(10, std::vector<float>(37));
  Random random(9);
  std::vector<void*> pointers;
  for (auto& t : terms) {
    for (float& v : t) v = static_cast<float>(random.normal());
    pointers.push_back(t.data());
  }
  const std::vector<std::int32_t> offsets{0, 3, 3, 10};
  std::vector<float> out(3 * 37, -1);
  void* buffers[] = {pointers.data(), out.data()};
  const std::int32_t* aux[] = {offsets.data()};
  const std::int64_t scalars[] = {3};
  const KernelFrame frame{buffers, scalars, aux, nullptr};
  registry().get(f)->run(&frame, 0, 3);
  for (std::size_t b = 0; b < 3; ++b)
    for (std::size_t i = 0; i < 37; ++i) {
      float want = 0;
      for (auto t = static_cast<std::size_t>(offsets[b]); t < static_cast<std::size_t>(offsets[b + 1]); ++t)
        want += terms[t][i];
      EXPECT_EQ(out[b * 37 + i], want);
    }
}

TEST(Batched, OuterSumIsTheGradientOfAffine) {
  const Function f = outer_sum(6, 19, Access::PtrTable, Access::RowIndex);
  Batch batch(f, {6, 19, 6 * 19}, 25);
  std::fill(batch.floats[2].begin(), batch.floats[2].end(), 0.5f);
  KernelFrame frame = batch.frame();
  const auto kernel = registry().get(f);
  kernel->run(&frame, 0, kernel->num_tasks(&frame));
  for (std::size_t n = 0; n < 6; ++n)
    for (std::size_t k = 0; k < 19; ++k) {
      double want = 0.5;
      for (std::size_t b = 0; b < 25; ++b)
        want += static_cast<double>(static_cast<const float*>(batch.pointers[0][b])[n]) *
                batch.floats[1][(24 - b) * 19 + k];
      EXPECT_NEAR(batch.floats[2][n * 19 + k], want, 1e-5);
    }
}

TEST(Batched, RefusesShapesThatDoNotFit) {
  LaneProgram p("bad");
  const auto x = p.input("x", {4}, Access::Dense), w = p.input("w", {3, 5}, Access::Shared),
             m = p.input("m", {3, 4}, Access::Dense);
  EXPECT_THROW(p.affine(x, w), InvalidInput);
  EXPECT_THROW(p.affine(x, m), InvalidInput);
  EXPECT_THROW(p.map([](auto a) { return a[0] + a[1]; }, {x, w}), InvalidInput);
  EXPECT_THROW(p.slice(x, 0, 2, 9), InvalidInput);
  EXPECT_THROW(p.build(), InvalidInput);
}

}  // namespace
}  // namespace ballast::loop
