#include "ballast/codesign/onnx_export.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/codesign/images.h"
#include "ballast/codesign/model_source.h"
#include "ballast/codesign/runtimes.h"
#include "ballast/model/threads.h"

namespace ballast::codesign {
namespace {

RawTensor raw(const at::Tensor& tensor) {
  const at::Tensor plain = tensor.contiguous(at::MemoryFormat::Contiguous);
  RawTensor out{{plain.sizes().begin(), plain.sizes().end()}, {}};
  out.values.assign(plain.data_ptr<float>(), plain.data_ptr<float>() + plain.numel());
  return out;
}

/// A network with statistics of its own, its scales opened so that attention counts.
struct Made {
  Plan plan;
  Supernet net;
  Statistics stats;
  at::Tensor images, logits;
};
Made make(const Space& space, const Genotype& g) {
  model::use_threads(1);
  torch::NoGradGuard no_grad;
  Made made{plan_network(space, g), Supernet(space, g, 7), {}, at::Tensor(), at::Tensor()};
  for (auto& [name, value] : made.net.parameters()) {
    if (name.ends_with(".scale")) value.fill_(0.7);
    if (name.ends_with("bias")) value.normal_(0, 0.1);
    if (name.ends_with("norm.weight") || name.ends_with("bn.weight")) value.uniform_(0.5, 1.5);
  }
  made.images = at::randn({16, space.channels, g.resolution, g.resolution});
  made.net.forward(made.plan, made.images, Mode::calibrate, &made.stats);
  made.stats.observe = true;
  made.logits = made.net.forward(made.plan, made.images, Mode::evaluate, &made.stats);
  made.stats.observe = false;
  return made;
}

std::vector<std::pair<Space, Genotype>> cases() {
  std::vector<std::pair<Space, Genotype>> list;
  Random random(23);
  const Space small = load_space("h4h-28");
  list.emplace_back(small, largest(small, Blocks::hybrid));
  list.emplace_back(small, smallest(small, Blocks::conv_only));
  list.emplace_back(small, sample(small, random, Blocks::hybrid));
  Space wide = load_space("h4h-28");
  wide.project_shortcut = wide.wide_head = true;
  wide.stages[3].attention.v_depthwise = true;
  wide.stages[3].depths = {2};
  list.emplace_back(wide, largest(wide, Blocks::hybrid));
  return list;
}

// The exported file has exactly the arithmetic of the graph that the search was told.
TEST(Export, ImportsWithTheSameMacs) {
  const TemporaryFolder folder;
  for (const auto& [space, g] : cases()) {
    for (const int opset : {13, 17}) {
      const Made made = make(space, g);
      write_file(folder.file("net.onnx"), export_onnx(made.net, made.plan, made.stats, {.opset = opset}));
      const auto net = load_net(folder.file("net.onnx"),
                                {fmt::format("x:1x{}x{}x{}", space.channels, g.resolution, g.resolution)});
      EXPECT_EQ(net.graph.macs(), plan_macs(made.plan)) << to_string(g) << " opset " << opset;
    }
  }
}

// onnxruntime, an independent implementation, gives libtorch's logits.
TEST(Export, OnnxruntimeAgrees) {
  const TemporaryFolder folder;
  for (const auto& [space, g] : cases()) {
    const Made made = make(space, g);
    for (const int opset : {13, 17}) {
      write_file(folder.file("net.onnx"), export_onnx(made.net, made.plan, made.stats, {.opset = opset}));
      const auto answer = run_onnxruntime(folder.file("net.onnx"), "x", raw(made.images));
      if (!answer.installed) GTEST_SKIP() << "PyPI package onnxruntime is not installed (setup/setup.sh)";
      ASSERT_EQ(answer.problem, "") << to_string(g);
      const auto a = agreement(raw(made.logits), answer.output);
      EXPECT_EQ(a.same_top1, a.rows);
      EXPECT_LT(a.largest_difference, 1e-3) << to_string(g) << " opset " << opset;
    }
    // Eight bits: close, not equal.
    write_file(folder.file("q.onnx"), export_onnx(made.net, made.plan, made.stats, {.int8 = true}));
    const auto answer = run_onnxruntime(folder.file("q.onnx"), "x", raw(made.images));
    ASSERT_EQ(answer.problem, "") << to_string(g);
    const double spread = made.logits.std().item<double>();
    const auto a = agreement(raw(made.logits), answer.output);
    EXPECT_GT(a.largest_difference, 1e-5);
    EXPECT_LT(a.largest_difference, 1.5 * spread) << to_string(g);
  }
}

TEST(Export, OpencvAgrees) {
  const TemporaryFolder folder;
  const std::string helper = BALLAST_BINARY_DIR "/bin/ballast-codesign-opencv";
  for (const auto& [space, g] : cases()) {
    const Made made = make(space, g);
    const std::int64_t batch = g.hybrid() ? 0 : made.images.size(0);
    write_file(folder.file("net.onnx"), export_onnx(made.net, made.plan, made.stats, {.batch = batch}));
    const auto answer = run_opencv(folder.file("net.onnx"), raw(made.images), helper);
    if (!answer.installed) GTEST_SKIP() << "OpenCV's dnn was not found when this was built";
    // OpenCV 4.6 cannot infer the shapes of attention, and says so.
    if (g.hybrid() && !answer.problem.empty()) {
      EXPECT_NE(answer.problem.find("Assertion failed"), std::string::npos) << answer.problem;
      continue;
    }
    ASSERT_EQ(answer.problem, "") << to_string(g);
    const auto a = agreement(raw(made.logits), answer.output);
    EXPECT_EQ(a.same_top1, a.rows);
    EXPECT_LT(a.largest_difference, 1e-3) << to_string(g);
  }
}

TEST(Export, BadInput) {
  const Space space = load_space("h4h-28");
  Made made = make(space, smallest(space, Blocks::conv_only));
  EXPECT_THROW(export_onnx(made.net, made.plan, made.stats, {.opset = 12}), InvalidInput);
  made.stats.ranges.clear();
  EXPECT_THROW(export_onnx(made.net, made.plan, made.stats, {.int8 = true}), InvalidInput);
  EXPECT_THROW(agreement({{2, 3}, std::vector<float>(6)}, {{3, 2}, std::vector<float>(6)}), InvalidInput);
  // A runtime that refuses a file says why.
  const TemporaryFolder folder;
  write_file(folder.file("no.onnx"), "no model");
  const auto answer = run_onnxruntime(folder.file("no.onnx"), "x", {{1}, {0}});
  EXPECT_TRUE(!answer.installed || !answer.problem.empty());
}

}  // namespace
}  // namespace ballast::codesign
