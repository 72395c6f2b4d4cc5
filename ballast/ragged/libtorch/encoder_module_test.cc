#include "ballast/ragged/libtorch/encoder_module.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ballast::ragged {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

torch::nn::TransformerEncoderLayer small_layer(bool gelu, double dropout = 0.1) {
  torch::nn::TransformerEncoderLayerOptions options(32, 4);
  options.dim_feedforward(48).dropout(dropout);
  if (gelu) {
    options.activation(torch::kGELU);
  } else {
    options.activation(torch::kReLU);
  }
  torch::nn::TransformerEncoderLayer layer(options);
  layer->eval();
  return layer;
}

torch::Tensor lengths_tensor(const std::vector<std::int64_t>& l) {
  return torch::tensor(l, torch::kLong);
}

/// What libtorch itself computes: padded, with the keys beyond each sequence's end masked.
template <typename Module>
torch::Tensor theirs(Module& module, const torch::Tensor& padded, const torch::Tensor& lengths) {
  const torch::Tensor beyond =
      torch::arange(padded.size(1)).unsqueeze(0).ge(lengths.unsqueeze(1));  // [B, longest]
  return module->forward(padded.transpose(0, 1), torch::Tensor(), beyond).transpose(0, 1);
}

double difference_of_real_rows(const torch::Tensor& a, const torch::Tensor& b, const torch::Tensor& lengths) {
  double worst = 0;
  for (std::int64_t i = 0; i < lengths.size(0); ++i) {
    const std::int64_t l = lengths[i].item<std::int64_t>();
    if (l == 0) continue;
    const auto rows = [&](const torch::Tensor& t) { return t[i].narrow(0, 0, l); };
    worst = std::max(worst, (rows(a) - rows(b)).abs().max().item<double>());
  }
  return worst;
}

TEST(Libtorch, PaddedToRaggedAndBack) {
  torch::manual_seed(3);
  const torch::Tensor x = torch::randn({3, 5, 4}), lengths = lengths_tensor({2, 0, 5});
  const RaggedBatch batch = from_padded(x, lengths);
  EXPECT_EQ(batch.values().size(0), 7);
  EXPECT_TRUE(torch::equal(batch.offsets(), torch::tensor({0, 2, 2, 7}, torch::kLong)));
  const torch::Tensor back = to_padded(batch, -1);
  EXPECT_EQ(difference_of_real_rows(x, back, lengths), 0);
  EXPECT_TRUE(torch::equal(back[1], torch::full({5, 4}, -1.0)));
  // The pair of a jagged tensor is taken as it is, without a copy.
  const RaggedBatch same = from_values_offsets(batch.values(), batch.offsets());
  EXPECT_EQ(same.values().data_ptr<float>(), batch.values().data_ptr<float>());
  EXPECT_EQ(same.lengths(), batch.lengths());
  const RaggedBatch listed = from_list({x[0].narrow(0, 0, 2), x[1].narrow(0, 0, 0), x[2]});
  EXPECT_TRUE(torch::equal(listed.values(), batch.values()));
  EXPECT_EQ(listed.lengths(), batch.lengths());
}

TEST(Libtorch, LayerAndStackEqualLibtorchWithAKeyPaddingMask) {
  const torch::NoGradGuard inference;
  for (const bool gelu : {false, true}) {
    torch::manual_seed(gelu ? 5 : 6);
    auto layer = small_layer(gelu);
    const torch::Tensor x = torch::randn({4, 37, 32}), lengths = lengths_tensor({37, 1, 20, 5});
    const torch::Tensor want = theirs(layer, x, lengths);
    RaggedEncoder ours(layer);
    const torch::Tensor got = ours->forward_padded(x, lengths);
    EXPECT_EQ(got.sizes(), x.sizes());
    EXPECT_LE(difference_of_real_rows(got, want, lengths), 1e-4) << (gelu ? "gelu" : "relu");
    EXPECT_EQ(got[1].narrow(0, 1, 36).abs().max().item<double>(), 0) << "padding comes back as zeros";
    EXPECT_LE(difference_of_real_rows(torch_encoder(x, lengths, layer), want, lengths), 1e-4);

    torch::nn::TransformerEncoder stack(torch::nn::TransformerEncoderOptions(layer, 3));
    stack->eval();
    RaggedEncoder three(stack);
    EXPECT_EQ(three->config().layers, 3);
    EXPECT_LE(difference_of_real_rows(three->forward_padded(x, lengths), theirs(stack, x, lengths), lengths),
              1e-4);
  }
}

TEST(Libtorch, WeightsAreStateOfTheModule) {
  const torch::NoGradGuard inference;
  torch::manual_seed(8);
  auto layer = small_layer(false);
  RaggedEncoder ours(layer);
  EXPECT_EQ(ours->buffers().size(), 12u);
  const RaggedBatch batch = from_list({torch::randn({6, 32})});
  const torch::Tensor before = ours(batch).values();
  for (auto& b : ours->named_buffers())
    if (b.key() == "layer0_norm2_bias") b.value().add_(1.0);
  EXPECT_TRUE(torch::equal(ours(batch).values(), before));  // not yet copied
  ours->refresh();
  EXPECT_LE((ours(batch).values() - before - 1.0).abs().max().item<double>(), 1e-5);
}

TEST(Libtorch, MistakesSayWhatIsExpected) {
  const torch::Tensor values = torch::zeros({5, 4});
  const auto offsets = [&](std::vector<std::int64_t> at) {
    return [=] { from_values_offsets(values, torch::tensor(at, torch::kLong)); };
  };
  EXPECT_THAT(offsets({1, 5}), ThrowsMessage<InvalidInput>(HasSubstr("offsets[0]")));
  EXPECT_THAT(offsets({0, 3, 2, 5}), ThrowsMessage<InvalidInput>(HasSubstr("offsets[2]")));
  EXPECT_THAT(offsets({0, 4}), ThrowsMessage<InvalidInput>(HasSubstr("number of rows, 5")));
  EXPECT_THAT(
      [&] {
        from_padded(torch::zeros({2, 3, 4}), lengths_tensor({2, 4}));
      },
      ThrowsMessage<InvalidInput>(HasSubstr("lengths[1]")));
  EXPECT_THAT(
      [&] {
        from_padded(torch::zeros({2, 3, 4}), lengths_tensor({2}));
      },
      ThrowsMessage<InvalidInput>(HasSubstr("number of lengths")));
  EXPECT_THAT(
      [&] {
        from_padded(torch::zeros({2, 3, 4}, torch::kDouble), lengths_tensor({2, 2}));
      },
      ThrowsMessage<InvalidInput>(HasSubstr("float32")));
  auto layer = small_layer(false);
  RaggedEncoder ours(layer);
  EXPECT_THAT([&] { ours(RaggedBatch(values, {5})); },
              ThrowsMessage<InvalidInput>(HasSubstr("columns of the values")));
  const RaggedBatch wants_gradient(torch::zeros({5, 32}, torch::requires_grad()), {5});
  EXPECT_THAT([&] { ours(wants_gradient); }, ThrowsMessage<InvalidInput>(HasSubstr("NoGradGuard")));
  const torch::NoGradGuard inference;
  EXPECT_EQ(ours(wants_gradient).values().size(0), 5);
}

}  // namespace
}  // namespace ballast::ragged
