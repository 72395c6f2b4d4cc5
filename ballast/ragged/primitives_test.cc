// Primitives of storage and loops beyond those that the schedule fuzzer draws, and what is cached or counted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <numeric>

#include "ballast/base/errors.h"
#include "ballast/ragged/csf.h"
#include "ballast/ragged/encoder.h"
#include "ballast/ragged/lengths.h"
#include "ballast/ragged/operators.h"
#include "ballast/ragged/prelude_cache.h"
#include "ballast/ragged/test_support.h"
#include "ballast/ragged/tuned.h"
#include "ballast/ragged/work.h"

namespace ballast::ragged {
namespace {

using loop::Expr;
using testing::HasSubstr;
using testing::ThrowsMessage;

/// Y[b, i, k] = 2 X[b, i, k] over three sequences.
struct Doubling {
  Dim b = dim("b"), i = dim("i"), k = dim("k");
  LengthFn B = LengthFn::scalar("B"), len = LengthFn::data("len", b, 0, 64);
  Tensor x = input("X", {{b, B}, {i, len}, {k, 5}});
  Tensor y = compute("Y", {{b, B}, {i, len}, {k, 5}}, [&](const Index& at) {
    return Definition(read(x, {at[b], at[i], at[k]}) * Expr(2.0));
  });
  Pattern pattern{.lengths = {{"len", {7, 0, 13}}}, .scalars = {{"B", 3}}};

  std::vector<float> run(const Schedule& s, bool interpret) const {
    const Program program(registry(), {s});
    const Prepared p = program.prepare(pattern);
    std::vector<float> in = uniform_noise(p.volume("X"), 3, 1), out = program.allocate(p, "Y");
    const std::map<std::string, float*> tensors{{"X", in.data()}, {"Y", out.data()}};
    if (interpret) {
      program.interpret(p, tensors);
    } else {
      loop::Launcher launcher(2);
      program.run(launcher, p, tensors);
    }
    return out;
  }
};

TEST(Primitives, SplitDimensionsLieInTiles) {
  Doubling d;
  const auto [io, ii] = split_dim(d.y, d.i, 4);
  reorder_dims(d.y, {d.b, io, d.k, ii});  // tiles of 4 rows, column by column
  const auto in = uniform_noise(20 * 5, 3, 1);
  for (const bool interpret : {true, false}) {
    const auto out = d.run(Schedule(d.y), interpret);
    ASSERT_EQ(out.size(), static_cast<std::size_t>((8 + 0 + 16) * 5));
    std::size_t row = 0, base = 0;
    for (const std::size_t l : {7u, 0u, 13u}) {
      for (std::size_t i = 0; i < l; ++i, ++row)
        for (std::size_t k = 0; k < 5; ++k)
          EXPECT_EQ(out[(base + i / 4 * 4) * 5 + k * 4 + i % 4], 2 * in[row * 5 + k]) << i << ' ' << k;
      base += (l + 3) / 4 * 4;
    }
  }
  EXPECT_THROW(split_dim(d.y, d.k, 2), CompileError);  // one split a tensor
  EXPECT_THROW(split_dim(d.x, d.b, 2), CompileError);  // i depends on b
  EXPECT_THROW(split_dim(d.x, d.i, 0), CompileError);
  EXPECT_THROW(split_dim(d.x, dim("z"), 2), CompileError);
}

TEST(Primitives, FusedDimensionsMustMeetInMemory) {
  Doubling d;
  fuse_dims(d.x, d.b, d.i);
  fuse_dims(d.x, d.i, d.k);
  EXPECT_THAT([&] { fuse_dims(d.x, d.b, d.k); },
              ThrowsMessage<CompileError>(HasSubstr("next to each other")));
  pad_storage(d.x, d.i, 8);
  EXPECT_THAT([&] { fuse_dims(d.x, d.b, d.i); }, ThrowsMessage<CompileError>(HasSubstr("padded")));
}

TEST(Primitives, PeeledLoopsHaveNoTailButInTheLastIteration) {
  Doubling d;
  Schedule s(d.y);
  const auto [io, ii] = s.split(s[d.i], 4);
  s.peel(io).vectorize(s[d.k]);
  const std::string text = Program(registry(), {s}).dump();
  EXPECT_THAT(text, HasSubstr("4")) << text;
  const auto in = uniform_noise(20 * 5, 3, 1);
  for (const bool interpret : {true, false}) {
    const auto out = d.run(s, interpret);
    for (std::size_t e = 0; e < out.size(); ++e) EXPECT_EQ(out[e], 2 * in[e]);
  }
  Schedule other(d.y);
  EXPECT_THROW(other.peel(other[d.i]), CompileError);  // not split
  const auto [bo, bi] = other.split(other[d.b], 2);
  other.peel(bo).parallel(bo);
  EXPECT_THROW(Program(registry(), {other}), CompileError);  // the parallel loop
}

TEST(Primitives, TasksInAnyPermutationAndBalance) {
  Doubling d;
  const auto in = uniform_noise(20 * 5, 3, 1);
  for (const auto policy : {loop::Balance::lpt, loop::Balance::dynamic, loop::Balance::contiguous}) {
    Schedule s(d.y);
    s.parallel(s.fuse(s[d.b], s[d.i])).balance(policy).remap([](const Expr& t, const Expr& tasks) {
      return tasks - Expr(1) - t;
    });
    const auto out = d.run(s, false);
    for (std::size_t e = 0; e < out.size(); ++e) ASSERT_EQ(out[e], 2 * in[e]);
  }
  Schedule twice(d.y);
  twice.parallel(twice[d.b]).remap([](const Expr& t, const Expr&) { return loop::floordiv(t, Expr(2)); });
  const Program program(registry(), {twice});
  EXPECT_THAT([&] { program.prepare(d.pattern); },
              ThrowsMessage<InvalidInput>(HasSubstr("every number from 0 to 2 once")));
}

TEST(PreludeCache, RunsAPreludeOnceForEqualLengthsAndStructure) {
  PreludeCache cache(2);
  const std::vector<std::int32_t> a{3, 1, 4}, b{1, 5};
  const auto first = cache.plan(a);
  EXPECT_EQ(cache.plan(a), first);
  EXPECT_NE(cache.plan(b), first);
  EXPECT_NE(cache.plan(a, 100), first);  // b or a is dropped: two are kept
  EXPECT_EQ(cache.stats().hits, 1);
  EXPECT_EQ(cache.stats().misses, 3);
  EXPECT_THROW(cache.plan(std::vector<std::int32_t>{-1}), InvalidInput);

  Doubling d;
  const Program one(registry(), {Schedule(d.y)});
  EXPECT_EQ(cache.prepared(one, d.pattern), cache.prepared(one, d.pattern));
  Pattern fewer = d.pattern;
  fewer.lengths["len"][2] = 12;
  EXPECT_NE(cache.prepared(one, fewer), cache.prepared(one, d.pattern));
  Schedule other(d.y);
  other.parallel(other[d.b]);
  EXPECT_NE(cache.prepared(Program(registry(), {other}), d.pattern), cache.prepared(one, d.pattern));
}

TEST(PreludeCache, WideTablesServeAnotherProgramToo) {
  Doubling d, same;
  const ProgramOptions narrow{.narrow_limit = 4};
  const Program one(registry(), {Schedule(d.y)}, {}, narrow), two(registry(), {Schedule(same.y)}, {}, narrow);
  PreludeCache cache;
  const auto p = cache.prepared(one, d.pattern);
  ASSERT_TRUE(p->wide());
  std::vector<float> in = uniform_noise(p->volume("X"), 3, 1), out = two.allocate(*p, "Y");
  loop::Launcher launcher(1);
  two.run(launcher, *p, {{"X", in.data()}, {"Y", out.data()}});
  for (std::size_t e = 0; e < out.size(); ++e) EXPECT_EQ(out[e], 2 * in[e]);
}

TEST(Csf, PositionArraysOfALayersTensors) {
  const std::vector<std::int32_t> lengths{2, 3};
  const auto tensors = layer_tensors(8, 2, 16);
  ASSERT_EQ(tensors.size(), 10u);
  const auto rows = csf_positions(tensors[0], lengths);
  EXPECT_EQ(rows, (std::vector<std::vector<std::int64_t>>{{0, 2, 5}}));
  // Scores: rows as above; then one entry a (sequence, row, head): 2 * 2 of length 2, 3 * 2 of length 3.
  const auto scores = csf_positions(tensors[2], lengths);
  ASSERT_EQ(scores.size(), 2u);
  EXPECT_EQ(scores[1].size(), 11u);
  EXPECT_EQ(scores[1].back(), 4 * 2 + 6 * 3);
}

TEST(Work, BucketsPadToTheirWidthAtMost) {
  const std::vector<std::int32_t> lengths{3, 30, 40};
  const LayerSizes s;
  const auto alone = [&](std::int32_t l) { return layer_work(std::vector<std::int32_t>{l}, s).exact; };
  EXPECT_DOUBLE_EQ(bucketed_work(lengths, 32, s), 2 * alone(32) + alone(40));
}

TEST(GemmSizes, SetsAndFiles) {
  EXPECT_EQ(gemm_sizes("large", 4, 1).size(), 4u);
  for (const GemmSize& g : gemm_sizes("tiny", 200, 1)) {
    EXPECT_GE(g.m, 16);
    EXPECT_LE(g.n, 127);
    EXPECT_EQ(g.k % 16, 0);
  }
  EXPECT_EQ(gemm_sizes("skewed", 3, 1)[0].m, 2048);
  EXPECT_EQ(gemm_sizes("skewed", 3, 1)[2].k, 128);
  const auto own = parse_gemm_sizes("sizes", "# M N K\r\n1 2 3\r\n\n  40\t50 60 # last\n");
  ASSERT_EQ(own.size(), 2u);
  EXPECT_EQ(own[1].n, 50);
  EXPECT_THAT([] { parse_gemm_sizes("sizes", "1 2 3\n4 5\n"); },
              ThrowsMessage<InvalidInput>(HasSubstr("sizes:2")));
  EXPECT_THAT([] { parse_gemm_sizes("sizes", "1 2 x\n"); }, ThrowsMessage<InvalidInput>(HasSubstr("'x'")));
  EXPECT_THAT([] { parse_gemm_sizes("sizes", "1 -2 3\n"); }, ThrowsMessage<InvalidInput>(HasSubstr("'-2'")));
  EXPECT_THROW(gemm_sizes("huge", 3, 1), InvalidInput);
}

/// Memory whose last float is the last one that may be touched.
class GuardedFloats {
 public:
  explicit GuardedFloats(std::int64_t n) : page_(static_cast<std::size_t>(::getpagesize())) {
    const std::size_t bytes = static_cast<std::size_t>(n) * sizeof(float);
    size_ = (bytes + page_ - 1) / page_ * page_ + page_;
    void* at = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) throw Unavailable("no memory for a guarded buffer");
    base_ = static_cast<std::byte*>(at);
    ::mprotect(base_ + size_ - page_, page_, PROT_NONE);
    data_ = reinterpret_cast<float*>(base_ + size_ - page_ - bytes);
  }
  ~GuardedFloats() { ::munmap(base_, size_); }
  GuardedFloats(const GuardedFloats&) = delete;
  GuardedFloats& operator=(const GuardedFloats&) = delete;
  float* data() { return data_; }

 private:
  std::size_t page_, size_ = 0;
  std::byte* base_ = nullptr;
  float* data_ = nullptr;
};

TEST(Guards, NothingIsReadBehindTheLastRowOfTheLastSequence) {
  const EncoderConfig c{.layers = 1, .model = 48, .heads = 3, .feed_forward = 80, .max_length = 130};
  const Encoder encoder(registry(), c, random_weights(c, 2));
  loop::Launcher launcher(1);
  for (const std::vector<std::int32_t>& lengths :
       {std::vector<std::int32_t>{1}, {17, 3}, {64, 65}, {5, 130}}) {
    const Plan plan = Plan::ragged(lengths, c.max_length);
    GuardedFloats hidden(plan.rows * c.model);
    std::fill_n(hidden.data(), plan.rows * c.model, 0.25f);
    Workspace workspace;
    encoder.forward(launcher, plan, hidden.data(), workspace);
    EXPECT_TRUE(std::isfinite(hidden.data()[plan.rows * c.model - 1]));
  }
  const Program vgemm = vgemm_program(registry());
  const Prepared p = vgemm.prepare(
      {.lengths = {{"M", {3, 15, 29}}, {"N", {33, 1, 70}}, {"K", {5, 64, 17}}}, .scalars = {{"B", 3}}});
  GuardedFloats a(p.volume("A")), b(p.volume("C")), out(p.volume("D"));
  std::fill_n(a.data(), p.volume("A"), 1.0f);
  std::fill_n(b.data(), p.volume("C"), 1.0f);
  vgemm.run(launcher, p, {{"A", a.data()}, {"C", b.data()}, {"D", out.data()}});
  EXPECT_EQ(out.data()[p.volume("D") - 1], 17.0f);
}

TEST(MaskedRows, AreZerosOrNanAsChosen) {
  EncoderConfig c{.layers = 1, .model = 16, .heads = 2, .feed_forward = 16, .max_length = 8};
  const auto weights = random_weights(c, 4);
  const Mask nothing = [](const Expr&, const Expr& row, const Expr&) { return Expr(0) < row; };  // row 0
  for (const bool nan : {false, true}) {
    c.nan_for_masked_rows = nan;
    const Encoder encoder(registry(), c, weights, nothing);
    const Plan plan = Plan::ragged(std::vector<std::int32_t>{3}, 8);
    std::vector<float> qkv = uniform_noise(3 * 48, 1, 1), out(3 * 16, -1.0f);
    loop::Launcher launcher(1);
    encoder.attend(launcher, plan, qkv.data(), out.data());
    for (std::size_t e = 0; e < 16; ++e) {
      EXPECT_EQ(std::isnan(out[e]), nan);
      if (!nan) {
        EXPECT_EQ(out[e], 0.0f);
      }
      EXPECT_TRUE(std::isfinite(out[16 + e]));
    }
  }
}

TEST(Unfused, AttentionAsOneKernelAnOperatorGivesTheSameLayer) {
  EncoderConfig c{.layers = 2, .model = 32, .heads = 2, .feed_forward = 48, .max_length = 128};
  const auto weights = random_weights(c, 6);
  const Encoder fused(registry(), c, weights);
  c.fused_attention = false;
  const Encoder unfused(registry(), c, weights);
  loop::Launcher launcher(1);
  Workspace workspace;
  const Plan plan = Plan::ragged(std::vector<std::int32_t>{70, 1, 0, 12}, 128);
  std::vector<float> a = uniform_noise(plan.rows * 32, 9, 1), b = a;
  fused.forward(launcher, plan, a.data(), workspace);
  unfused.forward(launcher, plan, b.data(), workspace);
  for (std::size_t e = 0; e < a.size(); ++e) ASSERT_NEAR(a[e], b[e], 2e-5);
  c.causal = true;
  EXPECT_THROW(Encoder(registry(), c, weights), InvalidInput);
}

}  // namespace
}  // namespace ballast::ragged
