#include "ballast/federate/torch_trainer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/federate/engine.h"

namespace ballast::federate {
namespace {

class Torch : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(std::string(BALLAST_BINARY_DIR) + "/bin/ballast-federate-torch"))
      GTEST_SKIP() << "built without libtorch";
  }
};

/// Pictures of 8 x 8 pixels: a bright upper (label 0) or lower half, exchanged under concept 1.
Federation pictures(int clients, int steps, int samples) {
  std::vector<std::vector<int>> rows(static_cast<std::size_t>(steps) + 1,
                                     std::vector<int>(static_cast<std::size_t>(clients), 0));
  for (std::size_t step = 1; step < rows.size(); ++step) rows[step][0] = 1;
  Federation federation("pictures", ConceptPattern(rows), 64, 2);
  Random random(8);
  for (int step = 0; step <= steps; ++step) {
    for (int c = 0; c < clients; ++c) {
      Samples& batch = federation.batch(c, step);
      batch.features = 64;
      for (int i = 0; i < samples; ++i) {
        const auto half = static_cast<int>(random.below(2));
        for (int p = 0; p < 64; ++p)
          batch.x.push_back(static_cast<float>(random.uniform() + (p / 32 == half ? 0.5 : 0.0)));
        batch.y.push_back(federation.pattern().at(step, c) == 0 ? half : 1 - half);
      }
    }
  }
  return federation;
}

// The same keys draw the same samples in both, so the parameters agree as far as rounding lets them.
TEST_F(Torch, PerceptronEqualsTheFusedTrainer) {
  const auto federation =
      make_federation({.name = "sea", .samples = 300, .seed = 3}, ConceptPattern::stationary(1, 1));
  const ModelShape fused_shape{3, 6, 2}, torch_shape{3, 6, 2, ModelKind::torch_mlp};
  ASSERT_EQ(fused_shape.size(), torch_shape.size());
  Trainer fused(fused_shape);
  TorchTrainer torch(torch_shape);
  DrawTable table;
  table.add(federation.batch(0, 0), 1.0);
  Params a = fresh_params(fused_shape, 2, 1), b = a;
  const Params start = a;
  OptimizerState a_state, b_state;
  fused.train(a, a_state, {}, table, 100, 50, 17);
  torch.train(b, b_state, {}, table, 100, 50, 17);
  double moved = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_NEAR(a[i], b[i], 2e-4) << i;
    moved = std::max(moved, static_cast<double>(std::abs(a[i] - start[i])));
  }
  EXPECT_GT(moved, 0.1);
  const ScoreStat x = fused.score(a, federation.batch(0, 1)), y = torch.score(a, federation.batch(0, 1));
  EXPECT_EQ(x.n, y.n);
  EXPECT_EQ(x.correct, y.correct);
  EXPECT_NEAR(x.loss_sum, y.loss_sum, 1e-3);
  EXPECT_NEAR(x.loss_sq_sum, y.loss_sq_sum, 1e-2);
  EXPECT_NEAR(x.brier_sum, y.brier_sum, 1e-3);
  EXPECT_EQ(fused.predict(a, federation.batch(0, 1)), torch.predict(a, federation.batch(0, 1)));
  const ScoreStat drawn = fused.score_drawn(a, federation.batch(0, 1), 100, 5),
                  drawn_too = torch.score_drawn(a, federation.batch(0, 1), 100, 5);
  EXPECT_EQ(drawn.correct, drawn_too.correct);
  EXPECT_NEAR(drawn.loss_sum, drawn_too.loss_sum, 1e-3);
}

// A small convolutional network of `model` on clients: FedDrift tells the exchanged pictures apart, with the
// same bits for every number of threads.
TEST_F(Torch, ConvolutionalNetworkUnderDrift) {
  const auto federation = pictures(3, 3, 60);
  RunConfig config;
  config.model = ModelKind::cnn;
  config.hidden = 8;
  config.rounds = 4;
  config.local_steps = 10;
  config.batch = 20;
  config.optimizer.learning_rate = 3e-3f;
  std::vector<RunLog> logs;
  for (int k = 0; k < 2; ++k) {
    config.threads = k + 1;
    const auto strategy = make_strategy({.name = "feddrift", .drift = {.delta = 0.2}}, federation.pattern());
    logs.push_back(run(federation, *strategy, config));
  }
  EXPECT_EQ(logs[0].parameters, logs[1].parameters);
  EXPECT_EQ(logs[0].parameters.at(0).size(), config.shape(64, 2).size());
  EXPECT_GT(logs[0].accuracy(), 0.9);
  EXPECT_NE(logs[0].serving.at(2).at(0), logs[0].serving.at(2).at(1));
}

TEST_F(Torch, WhatCannotBeIsRefused) {
  EXPECT_THROW(ModelShape::of(ModelKind::cnn, 10, 0, 2), InvalidInput);  // no picture
  EXPECT_THROW(model_kind_from_string("transformer"), InvalidInput);
  TorchTrainer trainer(ModelShape::of(ModelKind::lr, 4, 0, 3));
  const Samples wrong{.features = 3, .x = {1, 2, 3}, .y = {0}};
  EXPECT_THROW(trainer.score(Params(15), wrong), InvalidInput);
  const Samples label{.features = 4, .x = {1, 2, 3, 4}, .y = {7}};
  EXPECT_THROW(trainer.score(Params(15), label), InvalidInput);
  const Samples right{.features = 4, .x = {1, 2, 3, 4}, .y = {2}};
  EXPECT_EQ(trainer.score(Params(15), right).n, 1u);  // it goes on after a refusal
}

}  // namespace
}  // namespace ballast::federate
