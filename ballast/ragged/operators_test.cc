// The operator library against loops in double precision; and the CUDA text of every operator.
#include "ballast/ragged/operators.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/loop/cuda.h"
#include "ballast/ragged/test_support.h"

namespace ballast::ragged {
namespace {

const std::vector<std::int32_t> kLengths{70, 3, 0, 33};
const Pattern kPattern{.lengths = {{"len", kLengths}}, .scalars = {{"B", 4}}};

AttentionOptions small() {
  AttentionOptions o;
  o.heads = 2;
  o.head_size = 8;
  o.max_length = 80;
  return o;
}

/// Attention of packed rows qkv [rows, 3 d], in double precision.
std::vector<double> attention(const std::vector<float>& qkv, const AttentionOptions& o) {
  const std::int64_t d = o.heads * o.head_size;
  std::vector<double> out;
  std::int64_t start = 0;
  for (const std::int64_t l : kLengths) {
    for (std::int64_t i = 0; i < l; ++i)
      for (std::int64_t c = 0; c < d; ++c) {
        const auto at = [&](std::int64_t row, std::int64_t part, std::int64_t e) {
          return static_cast<double>(qkv[static_cast<std::size_t>((start + row) * 3 * d + part * d + e)]);
        };
        const std::int64_t h = c / o.head_size * o.head_size;
        double total = 0, value = 0;
        for (std::int64_t j = 0; j < l; ++j) {
          double dot = 0;
          for (std::int64_t k = 0; k < o.head_size; ++k) dot += at(i, 0, h + k) * at(j, 1, h + k);
          const double w = std::exp(dot / std::sqrt(static_cast<double>(o.head_size)));
          total += w;
          value += w * at(j, 2, c);
        }
        out.push_back(value / total);
      }
    start += l;
  }
  return out;
}

TEST(Operators, UnfusedAttentionEqualsTheTextbook) {
  const AttentionOptions o = small();
  Bound b(attention_program(registry(), o, false), kPattern);
  loop::Launcher launcher(2);
  b.run(launcher);
  const auto want = attention(b.memory.at("QKV"), o);
  ASSERT_EQ(b.memory.at("O").size(), want.size());
  for (std::size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(b.memory.at("O")[i], want[i], 2e-5) << i;
}

TEST(Operators, PaddingChangesFusedOrSeparateAgree) {
  AttentionOptions o = small();
  loop::Launcher launcher(2);
  Bound exact(attention_program(registry(), o, true), kPattern);
  o.pad = 64;
  o.max_length = 128;
  Bound fused(attention_program(registry(), o, true), kPattern);
  o.separate_padding = true;
  Bound separate(attention_program(registry(), o, true), kPattern);
  for (Bound* b : {&exact, &fused, &separate}) b->run(launcher);
  const auto &a = exact.memory.at("Y"), &f = fused.memory.at("Y"), &s = separate.memory.at("Y");
  ASSERT_EQ(a.size(), f.size());
  ASSERT_EQ(a.size(), s.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    ASSERT_NEAR(a[i], f[i], 1e-4) << i;
    ASSERT_NEAR(a[i], s[i], 1e-4) << i;
  }
}

TEST(Operators, SplittingComputesTheSameScores) {
  loop::Launcher launcher(2);
  const std::map<std::string, std::string> parts{{"S.head", "S"}, {"S.tail", "S"}};
  Bound vanilla(split_scores_program(registry(), "vanilla", 2), kPattern);
  vanilla.run(launcher);
  for (const char* kind : {"split", "hfuse"}) {
    Bound b(split_scores_program(registry(), kind, 2), kPattern);
    b.run(launcher);
    const auto &want = vanilla.memory.at("S"), &got = b.memory.at("S");
    ASSERT_EQ(want.size(), got.size());
    std::size_t start = 0;
    for (const std::int32_t l : kLengths) {
      const auto padded = static_cast<std::size_t>((l + 63) / 64 * 64), real = static_cast<std::size_t>(l);
      for (std::size_t h = 0; h < 2; ++h)
        for (std::size_t i = 0; i < real; ++i)
          for (std::size_t j = 0; j < real; ++j) {
            const std::size_t at = start + (h * padded + i) * padded + j;
            ASSERT_NEAR(want[at], got[at], 1e-5) << kind << " " << at;
          }
      start += 2 * padded * padded;
    }
  }
}

TEST(Operators, TriangularOnesAgreeWithLoops) {
  loop::Launcher launcher(2);
  Bound add(triangular_program(registry(), 130), {}), multiply(triangular_program(registry(), 130, true), {});
  add.run(launcher);
  multiply.run(launcher);
  const auto &a = add.memory.at("A"), &b = add.memory.at("B");
  ASSERT_EQ(a.size(), 130u * 131 / 2);
  for (std::size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(add.memory.at("Y")[i], a[i] + b[i]);
    ASSERT_EQ(multiply.memory.at("Y")[i], a[i] * b[i]);
  }
  for (const bool split : {false, true}) {
    const TrmmSpec spec{.n = 96, .split = split};
    Bound t(trmm_program(registry(), spec), {});
    std::vector<float>&l = t.memory.at("L"), &x = t.memory.at("X");
    for (std::size_t i = 0; i < 96; ++i)
      std::fill_n(l.begin() + static_cast<std::ptrdiff_t>(i * 97 + 1), 95 - i, 0.0f);
    t.run(launcher);
    for (std::size_t i = 0; i < 96; ++i)
      for (std::size_t j = 0; j < 96; ++j) {
        double want = 0;
        for (std::size_t k = 0; k <= i; ++k) want += static_cast<double>(l[i * 96 + k]) * x[k * 96 + j];
        ASSERT_NEAR(t.memory.at("Y")[i * 96 + j], want, 1e-4);
      }
  }
}

TEST(Operators, ParagraphsAreSummed) {
  Bound b(paragraphs_program(registry(), 5),
          {.lengths = {{"np", {2, 0, 1}}, {"nw", {3, 0, 4}}}, .scalars = {{"D", 3}}});
  loop::Launcher launcher(2);
  b.run(launcher);
  const auto& x = b.memory.at("X");
  const int words[] = {3, 0, 4};
  for (std::size_t p = 0, at = 0; p < 3; at += static_cast<std::size_t>(words[p]), ++p)
    for (std::size_t k = 0; k < 5; ++k) {
      double want = 0;
      for (std::size_t w = 0; w < static_cast<std::size_t>(words[p]); ++w) want += x[(at + w) * 5 + k];
      EXPECT_NEAR(b.memory.at("T")[p * 5 + k], want, 1e-6);
    }
}

TEST(Operators, CudaTextOfEachIsEmittedAndCompiles) {
  std::vector<Program> all;
  all.push_back(vgemm_program(registry()));
  all.push_back(trmm_program(registry(), {.n = 96}));
  all.push_back(triangular_program(registry(), 40));
  all.push_back(attention_program(registry(), small(), true));
  all.push_back(split_scores_program(registry(), "hfuse", 2));
  all.push_back(paragraphs_program(registry(), 5));
  for (const char* name : {"qk", "softmax", "av", "projection"})
    all.push_back(attention_operator(registry(), name, small()));
  for (const Program& p : all)
    for (const LoweredKernel& k : p.kernels()) {
      const std::string text = loop::to_cuda(k.function);
      EXPECT_NE(text.find("extern \"C\" __global__"), std::string::npos);
      if (loop::nvrtc_available()) {
        EXPECT_FALSE(loop::compile_cuda(text).empty());
      }
    }
  if (!loop::nvrtc_available()) GTEST_SKIP() << "NVRTC is not installed: texts were emitted, not compiled";
}

}  // namespace
}  // namespace ballast::ragged
