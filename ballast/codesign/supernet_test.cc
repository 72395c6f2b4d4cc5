#include "ballast/codesign/supernet.h"

#include <gtest/gtest.h>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/codesign/distil.h"
#include "ballast/codesign/trainer.h"
#include "ballast/model/threads.h"

namespace ballast::codesign {
namespace {

class Training : public testing::Test {
 protected:
  void SetUp() override { model::use_threads(1); }
};
using Network = Training;

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

/// h4h-28 with few choices left: quick to train.
Space small_space() {
  Space space = load_space("h4h-28");
  for (auto& stage : space.stages) {
    stage.depths = {1, 2};
    stage.expansions = {1, 2};
  }
  return space;
}

// What is cut out of the shared weights computes what it computed inside, with the same statistics.
TEST_F(Network, ExtractedEqualsSlice) {
  for (const bool project : {false, true}) {
    Space space = load_space("h4h-28");
    space.project_shortcut = project;
    if (project) space = adapted(space, 48, 3, 5);
    space.stages[3].attention.v_depthwise = project;
    for (const bool transform : {false, true}) {
      Supernet net(space, {.seed = 3, .kernel_transform = transform});
      const at::Tensor x = at::randn({8, space.channels, space.resolutions[0], space.resolutions[0]});
      Random random(11);
      for (int i = 0; i < 6; ++i) {
        const Genotype g = i == 0 ? largest(space, Blocks::hybrid) : sample(space, random, Blocks::hybrid);
        const Plan plan = plan_network(space, g);
        torch::NoGradGuard no_grad;
        Statistics stats, own;
        net.forward(plan, x, Mode::calibrate, &stats);
        const at::Tensor inside = net.forward(plan, x, Mode::evaluate, &stats);
        const Supernet alone = net.extract(g);
        alone.forward(plan, x, Mode::calibrate, &own);
        const at::Tensor outside = alone.forward(plan, x, Mode::evaluate, &own);
        EXPECT_EQ(inside.size(1), space.classes);
        EXPECT_LT(largest_difference(inside, outside), 1e-5) << to_string(g);
        EXPECT_LE(alone.parameter_count(), net.parameter_count());
      }
    }
  }
}

// Attention blocks whose scale is zero leave the function of the network without them: phase B starts from
// there.
TEST_F(Network, ScaleZeroIsTheNetworkWithoutTheBlocks) {
  const Space space = load_space("h4h-28");
  Supernet net(space, {.seed = 5});
  torch::NoGradGuard no_grad;
  for (auto& [name, value] : net.parameters()) {
    if (name.ends_with(".scale")) value.zero_();
  }
  Genotype with = smallest(space, Blocks::conv_only), without = with;
  with.stages[2].blocks.push_back({.attention = true, .head_dim = 8, .v_expansion = 2, .mlp_ratio = 1});
  with.stages[3].blocks.push_back({.attention = true, .head_dim = 16, .v_expansion = 1, .mlp_ratio = 2});
  const at::Tensor x = at::randn({4, 1, 28, 28});
  EXPECT_LT(largest_difference(net.forward(plan_network(space, with), x, Mode::train, nullptr),
                               net.forward(plan_network(space, without), x, Mode::train, nullptr)),
            1e-5);
}

// The surrogate's gradient is that of the divergence itself, where nothing is clipped.
TEST_F(Network, AlphaSurrogateHasTheDivergencesGradient) {
  const at::Tensor teacher = at::randn({6, 10});
  for (const double alpha : {-1.0, -0.5, 0.0, 0.5, 1.0, 2.0}) {
    const at::Tensor start = at::randn({6, 10});
    const auto gradient = [&](auto loss) {
      at::Tensor student = start.clone().requires_grad_(true);
      loss(student).sum().backward();
      return student.grad();
    };
    const auto exact = gradient([&](const at::Tensor& s) { return alpha_divergence(s, teacher, alpha); });
    const auto ours = gradient([&](const at::Tensor& s) { return alpha_surrogate(s, teacher, alpha, 1e30); });
    EXPECT_LT(largest_difference(exact, ours), 1e-4 * (1 + exact.abs().max().item<double>())) << alpha;
  }
  EXPECT_LT(alpha_divergence(teacher, teacher, -1).abs().max().item<double>(), 1e-5);
}

// The supernet learns: after a few steps on easy images subnets are far above chance, and recalibration is
// what makes them so.
TEST_F(Training, SubnetsLearn) {
  const ImageData data = load_images("made-up");
  const Space space = small_space();
  Supernet net(space, {.seed = 1});
  Trainer trainer(net, data, {.steps = 80, .batch = 48, .phases = 2, .augment = false, .log_every = 5});
  trainer.run();
  const auto accuracy = [&](const Genotype& g) {
    return top1(net, plan_network(space, g), data.train.floats(0, 500), data.held.floats(), data.held.labels);
  };
  EXPECT_GT(accuracy(largest(space, Blocks::conv_only)), 50);
  EXPECT_GT(accuracy(smallest(space, Blocks::conv_only)), 25);  // chance is 10
  EXPECT_GT(trainer.log().back().cosine_by_stage.size(), 0u);
  EXPECT_GE(trainer.negative_share(), 0);
  EXPECT_LE(trainer.negative_share(), 1);
}

// Stopped, saved and resumed anywhere: the same weights, bit for bit, as without the stop.
TEST_F(Training, ResumeEqualsUninterrupted) {
  const ImageData data = load_images("made-up", 400);
  const TemporaryFolder folder;
  for (const Conflict conflict :
       {Conflict::none, Conflict::project, Conflict::gradnorm, Conflict::separate_momentum}) {
    const TrainOptions options{.steps = 10, .batch = 16, .ramp = 0.5, .conflict = conflict, .log_every = 3};
    const Space space = small_space();
    Supernet whole(space, {.seed = 9}), first(space, {.seed = 9}), second(space, {.seed = 10});
    Trainer(whole, data, options).run();
    Trainer half(first, data, options);
    for (int i = 0; i < 6; ++i) half.step();
    half.save(folder.file("net.pt"));
    Trainer rest(second, data, options);
    rest.resume(folder.file("net.pt"));
    EXPECT_EQ(rest.steps_done(), 6);
    rest.run();
    for (const auto& [name, value] : whole.parameters())
      ASSERT_TRUE(at::equal(value, second.parameters().at(name))) << name;
  }
}

TEST_F(Training, BadCheckpointsAreNamed) {
  const ImageData data = load_images("made-up", 200);
  const TemporaryFolder folder;
  const Space space = small_space();
  Supernet net(space);
  Trainer trainer(net, data, {.steps = 2, .batch = 8});
  trainer.step();
  trainer.save(folder.file("a.pt"));
  EXPECT_EQ(load_supernet(folder.file("a.pt")).parameter_count(), net.parameter_count());
  const auto refusal = [&](const std::string& path, Space other_space, TrainOptions options) {
    Supernet other(other_space);
    Trainer t(other, data, options);
    try {
      t.resume(path);
    } catch (const InvalidInput& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  EXPECT_NE(refusal(folder.file("a.pt"), load_space("h4h-28"), {.steps = 2, .batch = 8})
                .find("differs in 'stages'"),
            std::string::npos);
  EXPECT_NE(refusal(folder.file("a.pt"), space, {.steps = 3, .batch = 8}).find("steps = 2"),
            std::string::npos);
  const std::string bytes = read_file(folder.file("a.pt"));
  write_file(folder.file("b.pt"), bytes.substr(0, bytes.size() - 100));
  EXPECT_NE(refusal(folder.file("b.pt"), space, {.steps = 2, .batch = 8}).find("damaged"), std::string::npos);
  write_file(folder.file("c.pt"), "nothing");
  EXPECT_NE(refusal(folder.file("c.pt"), space, {.steps = 2, .batch = 8}).find("no checkpoint"),
            std::string::npos);
  EXPECT_THROW(load_images("fashion-mnits"), InvalidInput);
  EXPECT_THROW(Trainer(net, load_images("made-up"), {}).resume(folder.file("none.pt")), Unavailable);
}

// A loss that is no number is met by going back and halving the rate; when that does not help, by a sentence.
TEST_F(Training, InfiniteLossEndsInASentence) {
  const ImageData data = load_images("made-up", 200);
  const Space space = small_space();
  Supernet net(space);
  {
    torch::NoGradGuard no_grad;
    net.parameters().at("head.classify.weight").fill_(std::numeric_limits<float>::infinity());
  }
  Trainer trainer(net, data, {.steps = 5, .batch = 8});
  EXPECT_THROW(trainer.run(), Unavailable);
}

}  // namespace
}  // namespace ballast::codesign
