#include "ballast/model/decoder.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/model/encoder.h"
#include "ballast/model/gpt2.h"
#include "ballast/model/loss.h"
#include "ballast/model/threads.h"

namespace ballast::model {
namespace {

DecoderConfig tiny() {
  return {.vocabulary = 40,
          .hidden = 16,
          .blocks = 2,
          .heads = 4,
          .kv_heads = 2,
          .feed_forward = 24,
          .context = 64};
}

TokenBatch random_batch(std::int64_t rows, std::int64_t tokens, std::int64_t vocabulary) {
  return {.ids = torch::randint(vocabulary, {rows, tokens}, torch::kInt64),
          .labels = torch::randint(vocabulary, {rows, tokens}, torch::kInt64),
          .seen = {},
          .segments = {},
          .classes = {}};
}

TEST(Decoder, LaterTokensDoNotReachEarlierOnes) {
  use_threads(1);
  torch::manual_seed(1);
  torch::NoGradGuard no_grad;
  Decoder model(tiny());
  const TokenBatch batch = random_batch(1, 12, 40);
  TokenBatch changed = batch;
  changed.ids = batch.ids.clone();
  changed.ids[0][7] = (changed.ids[0][7].item<std::int64_t>() + 1) % 40;
  const at::Tensor a = model.logits(batch)[0], b = model.logits(changed)[0];
  EXPECT_TRUE(a.narrow(0, 0, 7).equal(b.narrow(0, 0, 7)));
  EXPECT_FALSE(a[7].equal(b[7]));
}

// Oracle 9, second half: the analytic gradients of every kind of block against central differences, in double
// precision.
void expect_finite_differences(BlockModel& model) {
  torch::manual_seed(2);
  model.to(torch::kFloat64);
  const TokenBatch batch = random_batch(1, 5, 40);
  const auto exact = torch::TensorOptions().dtype(torch::kFloat64);
  std::vector<at::Tensor> inputs = model.block_module(0).parameters();
  for (at::Tensor& parameter : inputs) {
    torch::NoGradGuard no_grad;
    parameter.add_(torch::randn(parameter.sizes(), exact) * 0.3);
  }
  at::Tensor x = torch::randn({1, 5, 16}, exact).requires_grad_();
  const at::Tensor direction = torch::randn({1, 5, 16}, exact);
  const auto value = [&] { return (model.block(0, x, batch) * direction).sum(); };
  value().backward();

  inputs.push_back(x);
  Random random(3);
  for (at::Tensor& input : inputs) {
    torch::NoGradGuard no_grad;
    at::Tensor flat = input.view({-1}), gradient = input.grad().view({-1});
    for (int probe = 0; probe < 6; ++probe) {
      const auto place = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(flat.size(0))));
      const double before = flat[place].item<double>(), step = 1e-5;
      flat[place] = before + step;
      const double above = value().item<double>();
      flat[place] = before - step;
      const double below = value().item<double>();
      flat[place] = before;
      EXPECT_NEAR((above - below) / (2 * step), gradient[place].item<double>(), 1e-6)
          << model.architecture() << " " << input.sizes();
    }
  }
}

TEST(Blocks, FiniteDifferencesOfEveryParameter) {
  Decoder decoder(tiny());
  expect_finite_differences(decoder);
  Gpt2 gpt2({.vocabulary = 40, .hidden = 16, .blocks = 1, .heads = 4, .context = 8});
  expect_finite_differences(gpt2);
  Encoder encoder(
      {.vocabulary = 40, .hidden = 16, .blocks = 1, .heads = 4, .feed_forward = 24, .positions = 8});
  expect_finite_differences(encoder);
}

TEST(HeadLoss, EqualsTorchWhateverTheChunk) {
  torch::manual_seed(4);
  at::Tensor hidden = torch::randn({2, 9, 8}).requires_grad_();
  at::Tensor weight = torch::randn({30, 8}).requires_grad_();
  at::Tensor labels = torch::randint(30, {2, 9}, torch::kInt64);
  labels[0][3] = kIgnored;
  labels[1].narrow(0, 5, 4).fill_(kIgnored);
  const at::Tensor loss = at::cross_entropy_loss(at::matmul(hidden, weight.t()).view({18, 30}),
                                                 labels.view({-1}), {}, 1, kIgnored);
  loss.backward();
  for (const std::int64_t rows : {1, 4, 64}) {
    const HeadLoss ours = head_loss(hidden, weight, labels, {.rows = rows, .head_gradient = true});
    EXPECT_EQ(ours.count, 13);
    EXPECT_NEAR(ours.mean(), loss.item<double>(), 1e-5);
    EXPECT_LT((ours.hidden_grad - hidden.grad()).abs().max().item<double>(), 1e-6);
    EXPECT_LT((ours.weight_grad - weight.grad()).abs().max().item<double>(), 1e-6);
  }
}

TEST(HeadLoss, NothingTrainedGivesZero) {
  const HeadLoss loss = head_loss(torch::randn({1, 3, 4}), torch::randn({5, 4}),
                                  torch::full({1, 3}, kIgnored, torch::kInt64), {});
  EXPECT_EQ(loss.count, 0);
  EXPECT_EQ(loss.mean(), 0.0);
  EXPECT_EQ(loss.hidden_grad.abs().max().item<double>(), 0.0);
}

TEST(Decoder, RefusesSizesThatDoNotFit) {
  DecoderConfig config = tiny();
  config.kv_heads = 3;
  EXPECT_THROW(Decoder{config}, InvalidInput);
  config = tiny();
  config.heads = 3;
  config.kv_heads = 1;
  EXPECT_THROW(Decoder{config}, InvalidInput);
  Decoder model(tiny());
  EXPECT_THROW(model.embed(random_batch(1, 65, 40)), InvalidInput);
}

}  // namespace
}  // namespace ballast::model
