#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/model/attention.h"
#include "ballast/model/networks.h"
#include "ballast/model/pieces.h"
#include "ballast/model/state.h"
#include "ballast/model/threads.h"

namespace ballast::model {
namespace {

TEST(Threads, OneThreadReachesTheBlas) {
  use_threads(1);
  EXPECT_EQ(threads_in_use().intra_op, 1);
  EXPECT_LE(threads_in_use().blas, 1);
  EXPECT_THROW(use_threads(0), InvalidInput);
}

TEST(Threads, PinningIsUndone) {
  const std::vector<int> before = allowed_cores();
  ASSERT_FALSE(before.empty());
  {
    const PinnedScope pinned({before.front()});
    EXPECT_EQ(allowed_cores(), std::vector<int>{before.front()});
  }
  EXPECT_EQ(allowed_cores(), before);
}

TEST(Pieces, ShapesFollowStride) {
  torch::manual_seed(1);
  const at::Tensor x = torch::randn({2, 8, 15, 15});
  EXPECT_EQ(ConvBnAct(ConvBnActOptions{.in = 8, .out = 12, .kernel = 5, .stride = 2})->forward(x).sizes(),
            (std::vector<std::int64_t>{2, 12, 8, 8}));
  EXPECT_EQ(InvertedResidual(InvertedResidualOptions{.in = 8, .out = 8, .squeeze_excite = true})
                ->forward(x)
                .sizes(),
            x.sizes());
  EXPECT_EQ(InvertedResidual(InvertedResidualOptions{.in = 8, .out = 10, .expand = 1, .stride = 2})
                ->forward(x)
                .sizes(),
            (std::vector<std::int64_t>{2, 10, 8, 8}));
  EXPECT_EQ(AttentionBlock(AttentionBlockOptions{.channels = 8, .heads = 2})->forward(x).sizes(), x.sizes());
  EXPECT_THROW(ConvBnAct(ConvBnActOptions{.in = 8, .out = 12, .kernel = 4}), InvalidInput);
  EXPECT_THROW(AttentionBlock(AttentionBlockOptions{.channels = 8, .heads = 3}), InvalidInput);
}

TEST(Pieces, DepthwiseIsTheSameAsChannelByChannel) {
  torch::manual_seed(2);
  ConvBnAct layer(
      ConvBnActOptions{.in = 4, .out = 4, .groups = 4, .activation = Activation::none, .normalise = false});
  const at::Tensor x = torch::randn({1, 4, 6, 6});
  const at::Tensor whole = layer(x);
  for (std::int64_t channel = 0; channel < 4; ++channel) {
    const at::Tensor alone =
        at::conv2d(x.narrow(1, channel, 1), layer->convolution->weight.narrow(0, channel, 1),
                   layer->convolution->bias.narrow(0, channel, 1), 1, 1);
    EXPECT_LT((alone - whole.narrow(1, channel, 1)).abs().max().item<double>(), 1e-5);
  }
}

TEST(Pieces, ActivationNamesGoRound) {
  for (const Activation a : {Activation::none, Activation::relu, Activation::relu6, Activation::hswish,
                             Activation::silu, Activation::gelu}) {
    EXPECT_EQ(activation_from_string(to_string(a)), a);
  }
  EXPECT_THROW(activation_from_string("rleu"), InvalidInput);
}

TEST(Pieces, AttentionBlockIsIndifferentToTheOrderOfPixels) {
  torch::manual_seed(3);
  AttentionBlock block(AttentionBlockOptions{.channels = 8, .heads = 2});
  const at::Tensor tokens = torch::randn({1, 5, 8});
  const at::Tensor order = torch::tensor({3, 0, 4, 1, 2});
  const at::Tensor permuted = block->forward_tokens(tokens.index_select(1, order));
  EXPECT_LT((permuted - block->forward_tokens(tokens).index_select(1, order)).abs().max().item<double>(),
            1e-5);
}

TEST(Attention, ChunksAndGroupsChangeNothing) {
  torch::manual_seed(4);
  const at::Tensor q = torch::randn({2, 6, 11, 4}), k = torch::randn({2, 2, 11, 4}),
                   v = torch::randn({2, 2, 11, 4});
  for (const bool causal : {false, true}) {
    const at::Tensor whole = attention(q, k, v, {.causal = causal, .key_padding = {}});
    const at::Tensor chunked = attention(q, k, v, {.causal = causal, .key_padding = {}, .query_rows = 3});
    EXPECT_LT((whole - chunked).abs().max().item<double>(), 1e-6);
    // The slow twin: key heads repeated, mask added as a matrix.
    const at::Tensor kk = k.repeat_interleave(3, 1), vv = v.repeat_interleave(3, 1);
    at::Tensor scores = q.matmul(kk.transpose(-2, -1)) / 2.0;
    if (causal) scores = scores + torch::full({11, 11}, -INFINITY).triu(1);
    EXPECT_LT((at::softmax(scores, -1).matmul(vv) - whole).abs().max().item<double>(), 1e-5);
  }
}

TEST(Attention, PaddingIsNotSeen) {
  torch::manual_seed(5);
  const at::Tensor q = torch::randn({1, 2, 6, 4}), k = torch::randn({1, 2, 6, 4}),
                   v = torch::randn({1, 2, 6, 4});
  const at::Tensor seen = torch::tensor({true, true, true, true, false, false}).view({1, 6});
  const at::Tensor padded = attention(q, k, v, {.key_padding = seen});
  const at::Tensor cut = attention(q, k.narrow(2, 0, 4), v.narrow(2, 0, 4), {.key_padding = {}});
  EXPECT_LT((padded - cut).abs().max().item<double>(), 1e-6);
}

TEST(Rotary, DotProductsDependOnDistanceOnly) {
  torch::manual_seed(6);
  const RotaryTable table = rotary_table(32, 8, 10000.0);
  const at::Tensor a = torch::randn({8}), b = torch::randn({8});
  const at::Tensor qs = rotate(a.expand({1, 1, 32, 8}), table), ks = rotate(b.expand({1, 1, 32, 8}), table);
  const at::Tensor scores = qs.matmul(ks.transpose(-2, -1)).view({32, 32});
  for (std::int64_t i = 0; i < 24; ++i) {
    EXPECT_NEAR(scores[i][i + 7].item<double>(), scores[0][7].item<double>(), 1e-4);
  }
}

TEST(Networks, StateGoesOutAndBack) {
  torch::manual_seed(7);
  SmallCnn a(SmallCnnOptions{.size = 12, .widths = {4, 6}, .hidden = 8}),
      b(SmallCnnOptions{.size = 12, .widths = {4, 6}, .hidden = 8});
  EXPECT_NE(state_checksum(*a), state_checksum(*b));
  assign(*b, flatten(*a));
  a->eval();
  b->eval();
  const at::Tensor x = torch::randn({3, 1, 12, 12});
  EXPECT_TRUE(a(x).equal(b(x)));
  EXPECT_EQ(a(x).sizes(), (std::vector<std::int64_t>{3, 10}));
  EXPECT_EQ(state_checksum(*a), state_checksum(*b));
  EXPECT_GT(state_size(*a, StateScope::parameters_and_buffers), state_size(*a));
  EXPECT_THROW(assign(*b, std::vector<float>(3)), InvalidInput);
}

TEST(Networks, MlpLearnsExclusiveOr) {
  torch::manual_seed(8);
  use_threads(1);
  Mlp mlp(MlpOptions{.inputs = 2, .hidden = {16}, .outputs = 2});
  const at::Tensor x = torch::tensor({{0.f, 0.f}, {0.f, 1.f}, {1.f, 0.f}, {1.f, 1.f}});
  const at::Tensor y = torch::tensor({0, 1, 1, 0}, torch::kInt64);
  torch::optim::Adam adam(mlp->parameters(), torch::optim::AdamOptions(0.02));
  for (int step = 0; step < 300; ++step) {
    adam.zero_grad();
    at::cross_entropy_loss(mlp(x), y).backward();
    adam.step();
  }
  EXPECT_TRUE(mlp(x).argmax(-1).equal(y));
}

}  // namespace
}  // namespace ballast::model
