// Fibers, bulk padding, local copies, factored reductions, wide offsets: each against loops written by hand.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/ragged/program.h"
#include "ballast/ragged/proof_checker.h"
#include "ballast/ragged/test_support.h"
#include "ballast/ragged/transform.h"

namespace ballast::ragged {
namespace {

using loop::Expr;

std::vector<float> noise(std::int64_t n, std::uint64_t stream) {
  return uniform_noise(n, 29, stream);
}

/// Runs a program compiled and interpreted on the same noise; both outputs must agree. Returns the output.
std::vector<float> output_of(const Program& program, const Prepared& p,
                             const std::vector<std::string>& inputs,
                             const std::vector<std::string>& written) {
  std::map<std::string, std::vector<float>> memory, again;
  std::map<std::string, float*> tensors, other;
  std::uint64_t stream = 1;
  for (const std::string& name : inputs) {
    memory[name] = noise(p.volume(name), stream++);
    tensors[name] = other[name] = memory[name].data();
  }
  for (const std::string& name : written) {
    memory[name].assign(static_cast<std::size_t>(p.volume(name)), NAN);
    again[name] = memory[name];
    tensors[name] = memory[name].data();
    other[name] = again[name].data();
  }
  loop::Launcher launcher(2);
  program.run(launcher, p, tensors);
  program.interpret(p, other);
  const std::vector<float>&a = memory[written.back()], &b = again[written.back()];
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
    EXPECT_NEAR(a[i], b[i], 1e-5) << i << "\n" << program.dump();
  }
  return a;
}

// Documents of paragraphs of words: 3, 0 and 2 paragraphs; words of each paragraph in their order.
struct Documents {
  Dim d = dim("d"), p = dim("p"), w = dim("w"), v = dim("v"), k = dim("k");
  LengthFn D = LengthFn::scalar("D", 0, 100), np = LengthFn::data("np", d, 0, 9),
           nw = LengthFn::data("nw", std::vector<Dim>{d, p}, 0, 9);
  Pattern pattern{.lengths = {{"np", {3, 0, 2}}, {"nw", {4, 0, 2, 5, 1}}}, .scalars = {{"D", 3}}};
};

TEST(Fibers, WordsOfParagraphsOfDocumentsLieWithoutGaps) {
  Documents t;
  const Tensor x = input("X", {{t.d, t.D}, {t.p, t.np}, {t.w, t.nw}, {t.k, 2}});
  const Tensor y = compute("Y", x->axes, [&](const Index& i) {
    return Definition(read(x, {i[t.d], i[t.p], i[t.w], i[t.k]}) * Expr(2.0));
  });
  for (const int kind : {0, 1, 2}) {
    Schedule s(y);
    if (kind > 0) {  // one flat loop over all words of all documents
      const Loop all = s.fuse(s.fuse(s[t.d], s[t.p]), s[t.w]);
      s.parallel(all);
      if (kind == 2) s.fuse_maps(FuseMaps::search);
    }
    const Program program(registry(), {s});
    const Prepared p = program.prepare(t.pattern);
    ASSERT_EQ(p.volume("X"), 2 * (4 + 0 + 2 + 5 + 1));
    const auto got = output_of(program, p, {"X"}, {"Y"});
    const auto in = noise(24, 1);
    for (std::size_t i = 0; i < 24; ++i) EXPECT_FLOAT_EQ(got[i], 2 * in[i]) << i;
  }
}

TEST(Fibers, ReductionsAndScoresInsideAParagraph) {
  Documents t;
  const Tensor x = input("X", {{t.d, t.D}, {t.p, t.np}, {t.w, t.nw}, {t.k, 3}});
  const Tensor total = compute("T", {{t.d, t.D}, {t.p, t.np}, {t.k, 3}}, [&](const Index& i) {
    return sum({{t.w, t.nw}}, [&](const Index& r) { return read(x, {i[t.d], i[t.p], r[t.w], i[t.k]}); });
  });
  const Program sums(registry(), {Schedule(total)});
  const Prepared ps = sums.prepare(t.pattern);
  ASSERT_EQ(ps.volume("T"), 5 * 3);
  const auto got = output_of(sums, ps, {"X"}, {"T"});
  const auto in = noise(36, 1);
  const int words[] = {4, 0, 2, 5, 1};
  for (int paragraph = 0, at = 0; paragraph < 5; at += words[paragraph], ++paragraph)
    for (int k = 0; k < 3; ++k) {
      float want = 0;
      for (int w = 0; w < words[paragraph]; ++w) want += in[static_cast<std::size_t>((at + w) * 3 + k)];
      EXPECT_NEAR(got[static_cast<std::size_t>(paragraph * 3 + k)], want, 1e-6);
    }
  // Every word against every word of its own paragraph: two dimensions depend on the fiber.
  const Tensor s = compute("S", {{t.d, t.D}, {t.p, t.np}, {t.w, t.nw}, {t.v, t.nw}}, [&](const Index& i) {
    return sum({{t.k, 3}}, [&](const Index& r) {
      return read(x, {i[t.d], i[t.p], i[t.w], r[t.k]}) * read(x, {i[t.d], i[t.p], i[t.v], r[t.k]});
    });
  });
  const Program scores(registry(), {Schedule(s)});
  const Prepared pp = scores.prepare(t.pattern);
  ASSERT_EQ(pp.volume("S"), 16 + 0 + 4 + 25 + 1);
  const auto dots = output_of(scores, pp, {"X"}, {"S"});
  std::size_t at = 0;
  for (int paragraph = 0, row = 0; paragraph < 5; row += words[paragraph], ++paragraph)
    for (int a = 0; a < words[paragraph]; ++a)
      for (int b = 0; b < words[paragraph]; ++b) {
        float want = 0;
        for (int k = 0; k < 3; ++k)
          want += in[static_cast<std::size_t>((row + a) * 3 + k)] *
                  in[static_cast<std::size_t>((row + b) * 3 + k)];
        EXPECT_NEAR(dots[at++], want, 1e-6);
      }
}

TEST(Fibers, MistakesSayWhy) {
  Documents t;
  const auto why = [&](const Pattern& pattern) -> std::string {
    const Tensor x = compute("X", {{t.d, t.D}, {t.p, t.np}, {t.w, t.nw}},
                             [](const Index&) { return Definition(loop::real(1.0)); });
    try {
      Program(registry(), {Schedule(x)}).prepare(pattern);
    } catch (const InvalidInput& error) {
      return error.what();
    }
    return "";
  };
  Pattern p = t.pattern;
  EXPECT_EQ(why(p), "");
  p.lengths["nw"].pop_back();
  EXPECT_NE(why(p).find("number of lengths of nw is '4'; accepted: 5"), std::string::npos) << why(p);
  p.lengths["nw"] = {4, 0, 2, 10, 1};
  EXPECT_NE(why(p).find("nw[3] is '10'"), std::string::npos);
  // The fiber's dimensions must come first.
  EXPECT_THROW(
      Program(registry(), {Schedule(compute("Z", {{t.k, 2}, {t.d, t.D}, {t.p, t.np}, {t.w, t.nw}},
                                            [](const Index&) { return Definition(loop::real(1.0)); }))}),
      CompileError);
  EXPECT_THROW(
      compute("Z", {{t.d, t.D}, {t.w, t.nw}}, [](const Index&) { return Definition(loop::real(1.0)); }),
      CompileError);
}

// A projection of all tokens: Y[b, i, n] = sum_k X[b, i, k] W[k, n].
struct Tokens {
  Dim b = dim("b"), i = dim("i"), n = dim("n"), k = dim("k");
  LengthFn B = LengthFn::scalar("B", 0, 100), len = LengthFn::data("len", b, 0, 50);
  Pattern pattern{.lengths = {{"len", {7, 0, 13, 1}}}, .scalars = {{"B", 4}}};
  Tensor x = input("X", {{b, B}, {i, len}, {k, 5}}), w = input("W", {{k, 5}, {n, 6}});
  Tensor y = compute("Y", {{b, B}, {i, len}, {n, 6}}, [&](const Index& at) {
    return sum({{k, 5}}, [&](const Index& r) {
      return read(x, {at[b], at[i], r[k]}) * read(w, {r[k], at[n]});
    });
  });
  std::vector<float> plain() const {
    const Program program(registry(), {Schedule(y)});
    return output_of(program, program.prepare(pattern), {"X", "W"}, {"Y"});
  }
  void expect_same(const std::vector<float>& got, const std::string& where) const {
    const auto want = plain();
    for (std::size_t e = 0; e < want.size(); ++e) ASSERT_NEAR(got[e], want[e], 1e-5) << where << " " << e;
  }
};

TEST(BulkPadding, HasNoTailAndNoTableInATokenWiseProduct) {
  Tokens t;
  Schedule s(t.y);
  const Loop all = s.fuse(s[t.b], s[t.i], 8);
  const auto [fo, fi] = s.split(all, 8);
  s.microkernel(fi, s[t.n], s[t.k]).parallel(fo);
  const Program program(registry(), {s});
  EXPECT_TRUE(program.kernels()[0].guards.empty());
  EXPECT_EQ(program.dump().find("min("), std::string::npos) << program.dump();  // no tail
  const Prepared p = program.prepare(t.pattern);
  EXPECT_EQ(p.volume("Y"), 21 * 6 + 7 * 6);  // slack of seven rows
  std::vector<float> x = program.allocate(p, "X"), w = noise(30, 2), y = program.allocate(p, "Y");
  const auto real = noise(21 * 5, 1);
  std::copy(real.begin(), real.end(), x.begin());
  EXPECT_EQ(program.interpret(p, {{"X", x.data()}, {"W", w.data()}, {"Y", y.data()}}).multiply_adds,
            24 * 5 * 6);  // 21 tokens rounded up to 24
  t.expect_same(output_of(program, p, {"X", "W"}, {"Y"}), program.dump());
  // The position of a token's row is the fused loop's own variable: the body reads no table.
  const std::string body = to_text(program.kernels()[0].function.body), tile = body.substr(body.find("gemm"));
  EXPECT_EQ(tile.find("offset"), std::string::npos) << body;
  EXPECT_EQ(tile.find("len["), std::string::npos) << body;
}

TEST(BulkPadding, IsRefusedWhereTheExtraSliceHasNoLength) {
  const Dim b = dim("b"), i = dim("i"), j = dim("j");
  const LengthFn len = LengthFn::data("len", b, 0, 9);
  const Tensor y =
      compute("Y", {{b, 3}, {i, len}, {j, len}}, [](const Index&) { return Definition(loop::real(1.0)); });
  Schedule s(y);
  s.fuse(s[b], s[i], 4);
  try {
    Program(registry(), {s});
    FAIL();
  } catch (const CompileError& error) {
    EXPECT_NE(std::string(error.what()).find("no length"), std::string::npos) << error.what();
  }
}

TEST(LocalCopies, ReadsWritesAndProducersComputedInside) {
  Tokens t;
  {
    Schedule s(t.y);
    const auto [io, ii] = s.split(s[t.i], 4);
    s.cache_read(t.x, io).cache_read(t.w, io);
    const Program program(registry(), {s});
    EXPECT_NE(program.dump().find("X.local"), std::string::npos);
    t.expect_same(output_of(program, program.prepare(t.pattern), {"X", "W"}, {"Y"}), program.dump());
  }
  {
    Schedule s(t.y);
    const auto [io, ii] = s.split(s[t.i], 4);
    s.reorder({s[t.b], io, s[t.k], ii, s[t.n]});
    s.cache_write().vectorize(s[t.n]);
    const Program program(registry(), {s});
    EXPECT_NE(program.dump().find("Y.sums"), std::string::npos);
    t.expect_same(output_of(program, program.prepare(t.pattern), {"X", "W"}, {"Y"}), program.dump());
  }
  // Z = relu(Y) + Y with Y computed for four rows at a time, never stored.
  const auto z = [&] {
    return compute("Z", t.y->axes, [&](const Index& at) {
      const Expr v = read(t.y, {at[t.b], at[t.i], at[t.n]});
      return Definition(loop::max(v, Expr(0.0)) + v);
    });
  };
  const Tensor whole = z();
  const Program two(registry(), {Schedule(t.y), Schedule(whole)});
  const auto want = output_of(two, two.prepare(t.pattern), {"X", "W"}, {"Y", "Z"});
  const Tensor fused = z();
  Schedule s(fused);
  const auto [io, ii] = s.split(s[t.i], 4);
  s.compute_at(t.y, io);
  const Program one(registry(), {s});
  const auto got = output_of(one, one.prepare(t.pattern), {"X", "W"}, {"Z"});
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t e = 0; e < got.size(); ++e) EXPECT_NEAR(got[e], want[e], 1e-5) << one.dump();
  // Too large for a local array, and a stage that does not read it: refused.
  Schedule wide(t.y);
  EXPECT_THROW(Program(registry(), {wide.cache_read(input("other", {{t.k, 5}}), wide[t.b])}), CompileError);
}

TEST(Transforms, FactoredReductionsAndInlining) {
  Documents d;
  const Dim b = dim("b"), j = dim("j");
  const LengthFn B = LengthFn::scalar("B", 0, 100), len = LengthFn::data("len", b, 0, 50);
  const Tensor x = input("X", {{b, B}, {j, len}});
  const auto make = [&] {
    return compute("M", {{b, B}}, [&](const Index& at) {
      return reduce(
          loop::Combine::max, {{j, len}},
          [&](const Index& r) {
            return read(x, {at[b], r[j]});
          },
          [](const Expr& e) { return e * Expr(3.0); });
    });
  };
  const Pattern pattern{.lengths = {{"len", {7, 0, 13, 1}}}, .scalars = {{"B", 4}}};
  const Program whole(registry(), {Schedule(make())});
  const auto want = output_of(whole, whole.prepare(pattern), {"X"}, {"M"});
  const auto [part, total] = rfactor(make(), j, 4);
  const Program factored(registry(), {Schedule(part), Schedule(total)});
  const auto got = output_of(factored, factored.prepare(pattern), {"X"}, {"M.part", "M"});
  for (std::size_t i = 0; i < want.size(); ++i) EXPECT_FLOAT_EQ(got[i], want[i]);
  EXPECT_THROW(rfactor(make(), b, 4), CompileError);
  const Tensor twice = compute("P", {{b, B}, {j, len}}, [&](const Index& at) {
    return Definition(read(x, {at[b], at[j]}) * Expr(2.0));
  });
  const Tensor q = compute("Q", {{b, B}}, [&](const Index& at) {
    return sum({{j, len}}, [&](const Index& r) { return read(twice, {at[b], r[j]}); });
  });
  const Program separate(registry(), {Schedule(twice), Schedule(q)}),
      joined(registry(), {Schedule(compute_inline(q, twice))});
  const auto a = output_of(separate, separate.prepare(pattern), {"X"}, {"P", "Q"}),
             c = output_of(joined, joined.prepare(pattern), {"X"}, {"Q"});
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_FLOAT_EQ(a[i], c[i]);
  EXPECT_THROW(compute_inline(q, make()), CompileError);
}

TEST(Storage64, OffsetsBeyondTheLimitUseWideTables) {
  Tokens t;
  const auto want = t.plain();
  Schedule s(t.y);
  s.parallel(s.fuse(s[t.b], s[t.i]));
  const Program program(registry(), {s}, {}, {.narrow_limit = 20});  // 21 tokens
  const Prepared p = program.prepare(t.pattern);
  EXPECT_TRUE(p.wide());
  t.expect_same(output_of(program, p, {"X", "W"}, {"Y"}), program.dump());
  Pattern fewer = t.pattern;
  fewer.lengths["len"] = {7, 0, 12, 1};
  EXPECT_FALSE(program.prepare(fewer).wide());
}

TEST(Storage64, TheBoundaryIsTwoToTheThirtyFirst) {
  const Dim b = dim("b"), i = dim("i"), j = dim("j");
  const LengthFn len = LengthFn::data("len", b, 0, 1 << 20), wide = LengthFn::data("wide", b, 0, 1 << 20);
  const Tensor x =
      compute("X", {{b, 2}, {i, len}, {j, wide}}, [](const Index&) { return Definition(loop::real(1.0)); });
  const Program program(registry(), {Schedule(x)});
  const auto at = [&](std::int32_t l, std::int32_t w) {
    return program.prepare({.lengths = {{"len", {l, 1}}, {"wide", {w, 1}}}, .scalars = {}});
  };
  const Prepared below = at(32767, 65537), above = at(32768, 65536);  // 2^31 - 32769 + 1, 2^31 + 1
  EXPECT_FALSE(below.wide());
  EXPECT_TRUE(above.wide());
  EXPECT_EQ(below.volume("X"), std::int64_t{32767} * 65537 + 1);
  EXPECT_EQ(above.volume("X"), (std::int64_t{1} << 31) + 1);
}

TEST(Proofs, AWrongOneIsCaught) {
  if (!ProofChecker::available()) GTEST_SKIP() << "Z3 is not installed";
  const Expr l = loop::scalar("l", 0, 0, 1000);
  EXPECT_EQ(ProofChecker::judge({{}, l <= loop::ceil_mult(l, 8)}), ProofChecker::Verdict::confirmed);
  EXPECT_EQ(ProofChecker::judge({{}, loop::ceil_mult(l, 8) <= loop::ceil_mult(l, 4)}),
            ProofChecker::Verdict::refuted);
  const loop::Var v = loop::variable("v");
  EXPECT_EQ(ProofChecker::judge({{Expr(0) <= v, v < loop::ceil_mult(l, 4)}, v < l}),
            ProofChecker::Verdict::refuted);
}

TEST(StorageOrder, DimensionsMayLieInAnotherOrder) {
  const Dim b = dim("b"), i = dim("i"), h = dim("h"), k = dim("k");
  const LengthFn len = LengthFn::data("len", b, 0, 9);
  const Tensor x = input("X", {{b, 2}, {i, len}, {h, 2}, {k, 3}});
  const Tensor y = compute("Y", {{b, 2}, {i, len}, {h, 2}, {k, 3}}, [&](const Index& at) {
    return Definition(read(x, {at[b], at[i], at[h], at[k]}) + Expr(0.0));
  });
  reorder_dims(y, {b, h, i, k});
  EXPECT_THROW(reorder_dims(y, {i, b, h, k}), CompileError);
  EXPECT_THROW(reorder_dims(y, {b, i, k}), CompileError);
  const Program program(registry(), {Schedule(y)});
  const auto got =
      output_of(program, program.prepare({.lengths = {{"len", {2, 3}}}, .scalars = {}}), {"X"}, {"Y"});
  const auto in = noise(30, 1);
  std::size_t at = 0, start = 0;
  for (const std::size_t l : {2u, 3u}) {
    for (std::size_t hh = 0; hh < 2; ++hh)
      for (std::size_t ii = 0; ii < l; ++ii)
        for (std::size_t kk = 0; kk < 3; ++kk) EXPECT_EQ(got[at++], in[start + (ii * 2 + hh) * 3 + kk]);
    start += l * 6;
  }
}

}  // namespace
}  // namespace ballast::ragged
