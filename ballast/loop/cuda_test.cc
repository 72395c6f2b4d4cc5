#include "ballast/loop/cuda.h"

#include <gtest/gtest.h>

#include "ballast/base/errors.h"
#include "ballast/loop/batched.h"

namespace ballast::loop {
namespace {

std::vector<Function> programs() {
  std::vector<Function> all{sum_terms(37), outer_sum(6, 19, Access::PtrTable, Access::RowIndex)};
  {
    LaneProgram p("gate");
    const auto x = p.input("x", {20}, Access::PtrTable), h = p.input("h", {33}, Access::Dense),
               w = p.input("w", {48, 53}, Access::Shared), b = p.input("b", {48}, Access::Shared);
    p.output("out", p.map([](auto a) { return sigmoid(a[0]) * tanh(a[0]) + erf(a[0]); },
                          {p.affine(p.concat({x, h}), w, b)}));
    all.push_back(p.build());
  }
  {
    LaneProgram p("attention");
    const auto q = p.input("q", {5, 12}, Access::Dense), k = p.input("k", {7, 12}, Access::PtrTable),
               v = p.input("v", {7, 9}, Access::RowIndex);
    p.output("out", p.matmul(p.softmax(p.matmul(q, k, true)), v));
    all.push_back(p.build(8));
  }
  {
    LaneProgram p("best");
    p.output("out", p.argmax(p.input("x", {9}, Access::PtrTable)));
    all.push_back(p.build());
  }
  return all;
}

TEST(Cuda, TextOfEveryLaneProgramCompiles) {
  for (const Function& f : programs()) {
    const std::string text = to_cuda(f);
    EXPECT_NE(text.find("extern \"C\" __global__"), std::string::npos);
    if (nvrtc_available()) {
      EXPECT_NE(compile_cuda(text).find(".entry ballast_" + f.signature.name), std::string::npos) << text;
    }
  }
  if (!nvrtc_available()) GTEST_SKIP() << "NVRTC is not installed: texts were emitted, not compiled";
}

TEST(Cuda, CompileErrorsCarryTheLog) {
  if (!nvrtc_available()) GTEST_SKIP() << "NVRTC is not installed";
  try {
    compile_cuda("__global__ void f() { nonsense; }");
    FAIL();
  } catch (const Unavailable& error) {
    EXPECT_NE(std::string(error.what()).find("nonsense"), std::string::npos);
  }
}

}  // namespace
}  // namespace ballast::loop
