#include "ballast/tune/gguf_model.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/llama/context.h"
#include "ballast/llama/test_model.h"
#include "ballast/model/threads.h"

namespace ballast::tune {
namespace {

TEST(Gguf, RowOrdersAreEachOthersInverse) {
  const at::Tensor weight = torch::arange(2 * 6 * 3, torch::kFloat32).view({12, 3});
  EXPECT_TRUE(rows_to_pairs(rows_to_halves(weight, 2), 2).equal(weight));
  // Head of size 6: pairs (0,1)(2,3)(4,5) become halves 0,2,4 and 1,3,5.
  EXPECT_EQ(rows_to_halves(weight, 2)[1][0].item<float>(), weight[2][0].item<float>());
  EXPECT_EQ(rows_to_halves(weight, 2)[3][0].item<float>(), weight[1][0].item<float>());
}

// Oracle 9: logits of our decoder against llama.cpp's on the same f32 weights.
TEST(Gguf, LogitsEqualLlamaCppsOnSmolLm2) {
  BALLAST_NEEDS_SHIPPED_MODEL();
  model::use_threads(1);
  const std::string wide =
      std::filesystem::temp_directory_path() / ("ballast-tune-" + std::to_string(getpid()) + ".gguf");
  llama::requantize(llama::shipped_model(), wide, llama::NumberFormat::f32, 2);
  double largest = 0;
  {
    const GgufModel source(wide);
    EXPECT_EQ(source.config().blocks, 30);
    EXPECT_EQ(source.config().rope_theta, 100000.0);
    EXPECT_TRUE(source.config().tied);
    const std::vector<std::int32_t> tokens = source.tokenize(
        "The quick brown fox jumps over the lazy dog, and 27 "
        "other animals watch.");
    const auto decoder = source.load();
    const at::NoGradGuard no_grad;
    const model::TokenBatch batch{
        .ids = torch::tensor(std::vector<std::int64_t>(tokens.begin(), tokens.end())).unsqueeze(0)};
    const at::Tensor ours = decoder->logits(batch)[0];

    const llama::Model theirs(wide);
    llama::Context context(theirs, {.cells = 256, .batch = 256, .threads = 1, .exact = true});
    llama::Batch request(256);
    for (std::size_t i = 0; i < tokens.size(); ++i) request.add(tokens[i], static_cast<int>(i), 0, true);
    ASSERT_EQ(context.decode(request), llama::DecodeStatus::ok);
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const auto row = context.logits(static_cast<int>(i));
      const at::Tensor expected =
          torch::from_blob(const_cast<float*>(row.data()), {static_cast<std::int64_t>(row.size())});
      largest = std::max(largest, (expected - ours[static_cast<std::int64_t>(i)]).abs().max().item<double>());
    }
  }
  std::filesystem::remove(wide);
  RecordProperty("max_abs_difference", std::to_string(largest));
  std::printf("largest difference of a logit: %g\n", largest);
  EXPECT_LE(largest, 2e-3);
}

TEST(Gguf, KeepsTheFirstBlocksAndRefusesTooMany) {
  BALLAST_NEEDS_SHIPPED_MODEL();
  EXPECT_EQ(GgufModel(llama::shipped_model(), {.keep_blocks = 2}).load()->block_count(), 2);
  EXPECT_THROW(GgufModel(llama::shipped_model(), {.keep_blocks = 31}), InvalidInput);
  EXPECT_THROW(GgufModel("/nonexistent.gguf"), Unavailable);
}

}  // namespace
}  // namespace ballast::tune
