#include "ballast/llama/model.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/random.h"
#include "ballast/llama/context.h"
#include "ballast/llama/sampler.h"
#include "ballast/llama/test_model.h"

namespace ballast::llama {
namespace {

class WithModel : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    try {
      model_ = std::make_unique<Model>(shipped_model());
    } catch (const Unavailable& error) {
      reason_ = error.what();
    }
  }
  static void TearDownTestSuite() { model_.reset(); }
  void SetUp() override {
    if (!model_) GTEST_SKIP() << reason_;
  }

  // Feeds `tokens` to `sequence` and continues greedily, one token a step.
  static std::vector<Token> generate(Context& context, SequenceId sequence, const std::vector<Token>& tokens,
                                     int count) {
    Batch batch(context.batch_capacity());
    int position = context.last_position(sequence) + 1;
    for (std::size_t i = 0; i < tokens.size(); ++i)
      batch.add(tokens[i], position++, sequence, i + 1 == tokens.size());
    std::vector<Token> made;
    for (int i = 0; i < count; ++i) {
      EXPECT_EQ(context.decode(batch), DecodeStatus::ok);
      made.push_back(context.greedy(batch.size() - 1));
      batch.clear();
      batch.add(made.back(), position++, sequence, true);
    }
    return made;
  }

  static std::unique_ptr<Model> model_;
  static std::string reason_;
};
std::unique_ptr<Model> WithModel::model_;
std::string WithModel::reason_;

TEST(Weights, MissingModelNamesTheSetUp) {
  const char* before = std::getenv("BALLAST_CACHE");
  const std::string kept = before != nullptr ? before : "";
  ::setenv("BALLAST_CACHE", "/no/such/cache", 1);
  try {
    shipped_model();
    ADD_FAILURE() << "a model was found in a cache that does not exist";
  } catch (const Unavailable& error) {
    EXPECT_NE(std::string(error.what()).find("setup/setup.sh"), std::string::npos);
  }
  before != nullptr ? ::setenv("BALLAST_CACHE", kept.c_str(), 1) : ::unsetenv("BALLAST_CACHE");
}

TEST(ModelFile, MissingOrDamagedIsOneSentence) {
  EXPECT_THROW(Model("/no/such/model.gguf"), Unavailable);
  const std::string path = testing::TempDir() + "/" + std::to_string(::getpid()) + "-no-model.gguf";
  write_file(path, "this is no model");
  EXPECT_THROW(Model{path}, InvalidInput);
  std::filesystem::remove(path);
}

TEST_F(WithModel, TokenisesAndBack) {
  EXPECT_EQ(model_->vocabulary(), 49152);
  for (const std::string text : {"Once upon a time, in a land far away", "naïve café – 日本語 🙂",
                                 "  two  spaces\n\ttab", ""}) {
    EXPECT_EQ(model_->detokenize(model_->tokenize(text, false)), text);
  }
  // Random bytes, valid UTF-8 or not, must never crash the tokeniser.
  std::printf("seed 11\n");
  Random random(11);
  for (int round = 0; round < 50; ++round) {
    std::string bytes(random.below(200), '\0');
    for (char& c : bytes) c = static_cast<char>(random.below(256));
    for (const Token token : model_->tokenize(bytes, false)) EXPECT_LT(token, model_->vocabulary());
  }
  // Control tokens are text unless asked for.
  EXPECT_EQ(model_->tokenize("<|im_start|>", false, true).size(), 1u);
  EXPECT_GT(model_->tokenize("<|im_start|>", false, false).size(), 1u);
  EXPECT_TRUE(model_->ends_generation(model_->end_token()));
  EXPECT_TRUE(same_vocabulary(*model_, *model_));
}

TEST_F(WithModel, RendersItsChatTemplate) {
  const auto prompt = model_->render_chat({{"user", "What is 2+2?"}});
  ASSERT_TRUE(prompt.has_value());
  EXPECT_NE(prompt->find("<|im_start|>user\nWhat is 2+2?<|im_end|>"), std::string::npos) << *prompt;
  EXPECT_EQ(prompt->rfind("<|im_start|>assistant\n"), prompt->size() - 22) << *prompt;
  EXPECT_FALSE(model_->render_chat({{"user", "x"}}, "{{ an unknown template }}").has_value());
}

TEST_F(WithModel, SequencesDoNotDisturbEachOther) {
  Context context(*model_, {.cells = 2048, .sequences = 4, .batch = 256, .threads = 2});
  const auto a = model_->tokenize("The capital of France is");
  const auto b = model_->tokenize("def fibonacci(n):\n    if n");
  const auto alone_a = generate(context, 0, a, 12);
  context.clear();
  const auto alone_b = generate(context, 0, b, 12);
  context.clear();
  // Both in one batch, step by step.
  Batch batch(256);
  for (std::size_t i = 0; i < a.size(); ++i) batch.add(a[i], static_cast<int>(i), 1, i + 1 == a.size());
  const int end_a = batch.size() - 1;
  for (std::size_t i = 0; i < b.size(); ++i) batch.add(b[i], static_cast<int>(i), 2, i + 1 == b.size());
  int at_a = end_a, at_b = batch.size() - 1;
  int position_a = static_cast<int>(a.size()), position_b = static_cast<int>(b.size());
  for (int step = 0; step < 12; ++step) {
    ASSERT_EQ(context.decode(batch), DecodeStatus::ok);
    const Token token_a = context.greedy(at_a), token_b = context.greedy(at_b);
    EXPECT_EQ(token_a, alone_a[static_cast<std::size_t>(step)]);
    EXPECT_EQ(token_b, alone_b[static_cast<std::size_t>(step)]);
    batch.clear();
    batch.add(token_a, position_a++, 1, true);
    batch.add(token_b, position_b++, 2, true);
    at_a = 0, at_b = 1;
  }
}

TEST_F(WithModel, DroppedSharedAndRestoredPrefixesContinueTheSame) {
  const auto prompt = model_->tokenize("Water boils at a temperature of");
  for (const KvPool pool : {KvPool::streams, KvPool::unified}) {
    Context context(*model_, {.cells = 2048, .sequences = 4, .batch = 256, .threads = 2, .pool = pool});
    const auto expected = generate(context, 0, prompt, 8);
    const int length = static_cast<int>(prompt.size());
    ASSERT_TRUE(context.drop(0, length - 1));
    EXPECT_EQ(context.last_position(0), length - 2);
    const auto state = context.save(0);
    context.share_prefix(0, 1, length - 1);
    EXPECT_EQ(context.last_position(1), length - 2);
    ASSERT_TRUE(context.restore(3, state));
    const std::vector<Token> last{prompt.back()};
    EXPECT_EQ(generate(context, 0, last, 8), expected);
    EXPECT_EQ(generate(context, 1, last, 8), expected);
    EXPECT_EQ(generate(context, 3, last, 8), expected);
    EXPECT_FALSE(context.restore(2, std::span(state).first(state.size() / 2)));
    EXPECT_EQ(context.last_position(2), -1);
    EXPECT_THROW(context.share_prefix(0, 1, 2), InvalidInput);
  }
}

TEST_F(WithModel, BatchRulesAreCheckedBeforeTheLibraryIsAsked) {
  Context context(*model_, {.cells = 512, .sequences = 2, .batch = 16, .outputs = 2, .threads = 1});
  EXPECT_EQ(context.cells_per_sequence(), 256);
  auto refuses = [&](auto fill) {
    Batch batch(64);
    fill(batch);
    EXPECT_THROW(context.decode(batch), InvalidInput);
    EXPECT_EQ(context.last_position(0), -1);
  };
  refuses([](Batch&) {});
  refuses([](Batch& b) { b.add(1, 1, 0, true); });
  refuses([](Batch& b) { b.add(1, 0, 2, true); });
  refuses([](Batch& b) { b.add(-1, 0, 0, true); });
  refuses([](Batch& b) { b.add(49152, 0, 0, true); });
  refuses([](Batch& b) {
    for (int i = 0; i < 17; ++i) b.add(1, i, 0, false);
  });
  refuses([](Batch& b) {
    for (int i = 0; i < 3; ++i) b.add(1, i, 0, true);
  });
  EXPECT_THROW(Context(*model_, {.cells = 512, .sequences = 0}), InvalidInput);
}

TEST_F(WithModel, AFullMemoryChangesNothing) {
  Context context(*model_, {.cells = 256, .sequences = 1, .batch = 256, .threads = 2});
  const int room = context.cells_per_sequence();
  Batch batch(256);
  for (int i = 0; i < room; ++i) batch.add(100 + i, i, 0, i + 1 == room);
  ASSERT_EQ(context.decode(batch), DecodeStatus::ok);
  batch.clear();
  batch.add(7, room, 0, true);
  EXPECT_EQ(context.decode(batch), DecodeStatus::no_room);
  EXPECT_EQ(context.last_position(0), room - 1);
}

TEST_F(WithModel, SamplerDrawsFromItsDistribution) {
  // Logits over the whole vocabulary of which four tokens have any weight: p = 1/2, 1/4, 1/8, 1/8.
  std::vector<float> logits(49152, -1e9f);
  const std::map<Token, double> law{{10, 0.5}, {20, 0.25}, {30, 0.125}, {40, 0.125}};
  for (const auto& [token, p] : law)
    logits[static_cast<std::size_t>(token)] = static_cast<float>(std::log(p));
  std::printf("seed 5\n");
  Sampler sampler(*model_, {.temperature = 1, .top_k = 16, .seed = 5});
  for (const auto& entry : sampler.distribution(logits)) {
    if (law.contains(entry.token)) {
      EXPECT_NEAR(entry.probability, law.at(entry.token), 1e-5);
    }
  }
  std::map<Token, int> seen;
  const int draws = 2000;
  for (int i = 0; i < draws; ++i) ++seen[sampler.sample(logits)];
  double chi = 0;
  for (const auto& [token, p] : law) chi += std::pow(seen[token] - draws * p, 2) / (draws * p);
  EXPECT_LT(chi, 16.27) << "chi-square, 3 degrees of freedom, p = 0.001";
  EXPECT_EQ(seen.size(), law.size());
  // The same seed draws the same; ignore_end removes the end; a bias moves the maximum.
  Sampler first(*model_, {.temperature = 1, .seed = 9}), second(*model_, {.temperature = 1, .seed = 9});
  for (int i = 0; i < 20; ++i) EXPECT_EQ(first.sample(logits), second.sample(logits));
  std::vector<float> ends(49152, 0);
  ends[static_cast<std::size_t>(model_->end_token())] = 9;
  EXPECT_EQ(Sampler(*model_, {}).sample(ends), model_->end_token());
  EXPECT_FALSE(model_->ends_generation(Sampler(*model_, {.ignore_end = true}).sample(ends)));
  EXPECT_EQ(Sampler(*model_, {.bias = {{77, 20.0}}}).sample(ends), 77);
  EXPECT_THROW(Sampler(*model_, {.temperature = -1}), InvalidInput);
  EXPECT_THROW(Sampler(*model_, {.top_p = 0}), InvalidInput);
  EXPECT_THROW(Sampler(*model_, {.grammar = "root ::= ("}), InvalidInput);
}

TEST_F(WithModel, GrammarHoldsTheOutputToItsRule) {
  Context context(*model_, {.cells = 512, .sequences = 1, .batch = 128, .threads = 2});
  Sampler sampler(*model_, {.grammar = "root ::= \"yes\" | \"no\""});
  const auto prompt = model_->tokenize("Is the sky blue? Answer:");
  Batch batch(128);
  for (std::size_t i = 0; i < prompt.size(); ++i)
    batch.add(prompt[i], static_cast<int>(i), 0, i + 1 == prompt.size());
  std::string text;
  for (int i = 0; i < 8; ++i) {
    ASSERT_EQ(context.decode(batch), DecodeStatus::ok);
    const Token token = sampler.sample(context, batch.size() - 1);
    if (model_->ends_generation(token)) break;
    text += model_->piece(token);
    batch.clear();
    batch.add(token, context.last_position(0) + 1, 0, true);
  }
  EXPECT_TRUE(text == "yes" || text == "no") << text;
}

TEST_F(WithModel, RequantisedFileLoadsAndIsOfTheFormatAsked) {
  const std::string path = testing::TempDir() + "/" + std::to_string(::getpid()) + "-q4_0.gguf";
  requantize(shipped_model(), path, NumberFormat::q4_0, 2);
  const Model converted(path);
  EXPECT_NE(converted.description().find("Q4_0"), std::string::npos) << converted.description();
  EXPECT_TRUE(same_vocabulary(*model_, converted));
  std::filesystem::remove(path);
  EXPECT_THROW(requantize("/no/such.gguf", path, NumberFormat::q4_0, 1), Unavailable);
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_THROW(number_format_from_string("q4_9"), InvalidInput);
}

}  // namespace
}  // namespace ballast::llama
