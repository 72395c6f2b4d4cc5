// Oracle 11: a run that was stopped and resumed is, bit for bit, the run that
// went on; and a tuned model is what llama.cpp then reads.

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/llama/context.h"
#include "ballast/llama/test_model.h"
#include "ballast/model/state.h"
#include "ballast/tune/checkpoint.h"
#include "ballast/tune/experiment.h"

namespace ballast::tune {
namespace {

namespace fs = std::filesystem;

Workload tiny_workload() {
  return load_workload(
      {.model = "tiny", .text = "/usr/share/common-licenses", .rows = 2, .window = 24, .calibration = 4});
}

Limits raw_limits() {
  return {.device = {}, .regime = {}, .clock = Clock::modelled};
}

MethodOptions options_of(const std::string& method) {
  MethodOptions options{.method = method, .rank = 4, .rate = 2e-3, .steps = 10, .evaluate_windows = 2};
  options.lsp.r = 4;
  options.lsp.check_every = 3;  // a check, and often a new subspace, lies on both sides of the stop
  options.lsp.relearn = Relearn::always;
  options.lsp.fit.iterations = 5;
  options.galore.gap = 4;
  if (method == "native-inbwd") options.state_bits = 8;
  if (method == "zero") options.clip = Clip::global_prev;
  return options;
}

std::uint64_t train(const Workload& workload, MethodOptions options) {
  std::uint64_t checksum = 0;
  run_method(workload, raw_limits(), options,
             {.finished = [&](model::BlockModel& decoder) { checksum = model::state_checksum(decoder); }});
  return checksum;
}

TEST(Resume, GoesOnBitForBit) {
  const Workload workload = tiny_workload();
  for (const char* method : {"native", "native-inbwd", "zero", "swap", "lora", "galore", "lsp", "lsp-svd"}) {
    const TemporaryFolder folder;
    const std::uint64_t whole = train(workload, options_of(method));
    MethodOptions half = options_of(method);
    half.checkpoint = folder.file("out");
    half.steps = 6;
    half.save_every = 2;
    train(workload, half);
    EXPECT_EQ(find_checkpoint(folder.file("out")).step, 6);
    half.steps = 10;
    half.resume = true;
    EXPECT_EQ(train(workload, half), whole) << method;
  }
}

TEST(Resume, NamesWhatDiffersAndIgnoresUnfinishedWork) {
  const Workload workload = tiny_workload();
  const TemporaryFolder folder;
  MethodOptions options = options_of("lsp");
  options.steps = 2;
  options.checkpoint = folder.file("out");
  EXPECT_THROW(find_checkpoint(folder.file("out")), Unavailable);
  train(workload, options);
  fs::create_directories(folder.file("out") +
                         "/step-00000099.unfinished");  // a run that was killed while saving
  EXPECT_EQ(find_checkpoint(folder.file("out")).step, 2);
  EXPECT_FALSE(fs::exists(folder.file("out") + "/step-00000099.unfinished"));
  options.resume = true;
  options.lsp.r = 5;
  try {
    train(workload, options);
    FAIL() << "another r was accepted";
  } catch (const InvalidInput& error) {
    EXPECT_NE(std::string(error.what()).find("r is 4 there and 5 here"), std::string::npos) << error.what();
  }
}

// Oracle 10: the exported GGUF's loss in llama.cpp is that of our model.
TEST(Export, LlamaCppReadsTheTunedModel) {
  BALLAST_NEEDS_SHIPPED_MODEL();
  const TemporaryFolder folder;
  const Workload workload =
      load_workload({.model = "smollm2", .keep_blocks = 2, .rows = 1, .window = 48, .calibration = 1});
  MethodOptions options{.method = "native-inbwd", .rate = 1e-3, .steps = 3, .evaluate_windows = 1};
  const model::TokenBatch held = workload.corpus->validation(1, 1).front();
  const std::string file = folder.file("tuned.gguf");
  double ours = 0;
  run_method(workload, raw_limits(), options, {.finished = [&](model::BlockModel& decoder) {
               ours = forward_only(decoder, held).mean();
               export_gguf(decoder, workload.source.gguf->path(), file, llama::NumberFormat::f32);
             }});

  const llama::Model theirs(file);
  EXPECT_EQ(theirs.layers(), 2);
  llama::Context context(theirs, {.cells = 256, .batch = 256, .threads = 1, .exact = true});
  llama::Batch request(256);
  for (int i = 0; i < 48; ++i)
    request.add(static_cast<llama::Token>(held.ids[0][i].item<std::int64_t>()), i, 0, true);
  ASSERT_EQ(context.decode(request), llama::DecodeStatus::ok);
  double sum = 0;
  for (int i = 0; i < 48; ++i) {
    const auto row = context.logits(i);
    const at::Tensor logits =
        torch::from_blob(const_cast<float*>(row.data()), {static_cast<std::int64_t>(row.size())});
    sum -= at::log_softmax(logits, 0)[held.labels[0][i].item<std::int64_t>()].item<double>();
  }
  EXPECT_NEAR(std::exp(sum / 48), std::exp(ours), 0.005 * std::exp(ours));
  // And our own reader gives the same weights back.
  EXPECT_NEAR(forward_only(*GgufModel(file).load(), held).mean(), ours, 1e-5);
}

}  // namespace
}  // namespace ballast::tune
