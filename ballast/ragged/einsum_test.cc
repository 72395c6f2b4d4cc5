#include "ballast/ragged/einsum.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/loop/cuda.h"
#include "ballast/ragged/encoder_kernels.h"
#include "ballast/ragged/program.h"
#include "ballast/ragged/test_support.h"

namespace ballast::ragged {
namespace {

const char* kScores = "S[b,i,h,j] = 0.125 * sum(k) Q[b,i,h,k] * K[b,j,h,k]";
const char* kDims = "b:B i(b):len j(b):len h:2 k:8";
const char* kTiled = R"(
- split: {loop: i, factor: 4, into: [io, ii]}
- split: {loop: j, factor: 4, into: [jo, ji]}
- reorder: [b, io, jo, h, ii, ji, k]
- fuse: {loops: [io, jo], into: tile}
- fuse: {loops: [b, tile], into: task}
- microkernel: [ii, ji, k]
- parallel: task
- remap: cost
)";

TEST(Einsum, ScoresByTextEqualTheDefinition) {
  const std::vector<std::int32_t> lengths{5, 0, 9};
  for (const char* yaml : {"", kTiled}) {
    const Einsum e = parse_einsum(kScores, kDims);
    ASSERT_EQ(e.inputs.size(), 2u);
    const Program program(registry(), {parse_schedule(e, yaml)});
    const Prepared p = program.prepare({.lengths = {{"len", lengths}}, .scalars = {{"B", 3}}});
    std::vector<float> q(static_cast<std::size_t>(p.volume("Q"))), k(static_cast<std::size_t>(p.volume("K"))),
        s(static_cast<std::size_t>(p.volume("S")));
    for (std::size_t i = 0; i < q.size(); ++i) {
      q[i] = static_cast<float>(i % 7) - 3;
      k[i] = static_cast<float>(i % 5) - 2;
    }
    loop::Launcher launcher(2);
    program.run(launcher, p, {{"Q", q.data()}, {"K", k.data()}, {"S", s.data()}});
    // Q[b,i,h,k] lies at (offset(b) + i) 16 + h 8 + k; S[b,i,h,j] at A(b) 2 + (i 2 + h) l + j.
    std::int64_t row = 0, area = 0;
    for (const std::int64_t l : lengths) {
      for (std::int64_t i = 0; i < l; ++i)
        for (std::int64_t h = 0; h < 2; ++h)
          for (std::int64_t j = 0; j < l; ++j) {
            float want = 0;
            for (std::int64_t x = 0; x < 8; ++x)
              want += q[static_cast<std::size_t>((row + i) * 16 + h * 8 + x)] *
                      k[static_cast<std::size_t>((row + j) * 16 + h * 8 + x)];
            EXPECT_EQ(s[static_cast<std::size_t>(area * 2 + (i * 2 + h) * l + j)], 0.125f * want);
          }
      row += l;
      area += l * l;
    }
  }
}

TEST(Einsum, FunctionsAndMaximumReduction) {
  const Einsum e = parse_einsum("Y[b,i] = exp(-max(j) (X[b,i,j] - 1)) + min(B[b], 2.5)", "b:3 i(b):len j:4");
  const Program program(registry(), {parse_schedule(e, "")});
  const Prepared p = program.prepare({.lengths = {{"len", {1, 2, 0}}}, .scalars = {}});
  std::vector<float> x{0, 1, 2, 3, 3, 1, 1, 0, -1, -2, -3, -4}, b{1, 4, 9}, y(3);
  loop::Launcher launcher(1);
  program.run(launcher, p, {{"X", x.data()}, {"B", b.data()}, {"Y", y.data()}});
  EXPECT_NEAR(y[0], std::exp(-2.0f) + 1, 1e-6);
  EXPECT_NEAR(y[1], std::exp(-2.0f) + 2.5, 1e-6);
  EXPECT_NEAR(y[2], std::exp(2.0f) + 2.5, 1e-5);
}

TEST(Einsum, MistakesAreShownWithACaret) {
  const auto message = [](const std::string& expression, const std::string& dims,
                          const std::string& yaml = "") -> std::string {
    try {
      parse_schedule(parse_einsum(expression, dims), yaml);
    } catch (const std::exception& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_NE(message("S[b,i] = Q[b,z]", "b:B i(b):len")
                .find("dimension z is not declared in dims\n  S[b,i] = Q[b,z]\n"),
            std::string::npos);
  EXPECT_NE(message("S[b,i] = Q[b,i", "b:B i(b):len").find("']' expected"), std::string::npos);
  EXPECT_NE(message("S[b] = sum(i) Q[b,i] * sum(j) Q[b,j]", "b:B i(b):len j(b):len").find("second reduction"),
            std::string::npos);
  EXPECT_NE(message("S[b] = sin(Q[b])", "b:B").find("no function 'sin'"), std::string::npos);
  EXPECT_NE(message("S[i,b] = Q[i,b]", "b:B i(b):len").find("no dimension outside it"), std::string::npos);
  EXPECT_NE(message("S[b] = Q[b]", "b:B", "- splt: {loop: b}").find("split"), std::string::npos);
  EXPECT_NE(message("S[b] = Q[b]", "b:B", "- parallel: c").find("schedule:1: no loop 'c'; there are: b"),
            std::string::npos);
  EXPECT_NE(message("S[b] = Q[b]", "b:B", "- parallel: [").find("schedule:"), std::string::npos);
}

TEST(Cuda, TextOfEveryOperatorCompiles) {
  std::vector<loop::Function> all{attention_kernel({}),
                                  attention_kernel({.causal = true, .mask = {}, .name = "causal_attention"}),
                                  embedding_kernel(100, 64, 48, 1e-5), mean_pool_kernel(48)};
  for (bool norm : {false, true}) {
    LinearSpec spec;
    spec.name = norm ? "norm" : "gelu";
    spec.k = 32;
    spec.n = 64;
    spec.norm = norm;
    spec.activation = norm ? Activation::none : Activation::gelu;
    all.push_back(linear_kernel(spec));
  }
  const Einsum e = parse_einsum(kScores, kDims);
  all.push_back(Program(registry(), {parse_schedule(e, kTiled)}).kernels()[0].function);
  for (const loop::Function& f : all) {
    const std::string text = loop::to_cuda(f);
    if (loop::nvrtc_available()) {
      EXPECT_NE(loop::compile_cuda(text).find(".entry"), std::string::npos) << text;
    }
  }
  if (!loop::nvrtc_available()) GTEST_SKIP() << "NVRTC is not installed: texts were emitted, not compiled";
}

}  // namespace
}  // namespace ballast::ragged
