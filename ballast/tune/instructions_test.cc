#include "ballast/tune/instructions.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/llama/test_model.h"
#include "ballast/model/loss.h"
#include "ballast/tune/sources.h"
#include "ballast/tune/vocabulary.h"

namespace ballast::tune {
namespace {

class File {
 public:
  explicit File(const std::string& content)
      : path_(std::filesystem::temp_directory_path() /
              ("ballast-tune-" + std::to_string(getpid()) + "-lines.jsonl")) {
    write_file(path_, content);
  }
  ~File() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(Instructions, ReadsTheUsualForms) {
  const File file(
      "{\"instruction\": \"Add\", \"input\": \"1 2\", \"output\": \"3\"}\n\n"
      "{\"prompt\": \"p\", \"completion\": \"c\"}\n"
      "{\"messages\": [{\"role\": \"user\", \"content\": \"q\"}, {\"role\": \"assistant\", \"content\": "
      "\"a\"}]}\n"
      "{\"text\": \"plain\"}\n");
  const auto list = read_instructions(file.path());
  ASSERT_EQ(list.size(), 4u);
  EXPECT_EQ(list[0].prompt, "Add\n\n1 2");
  EXPECT_EQ(list[2].answer, "a");
  EXPECT_TRUE(list[3].prompt.empty());
  write_instructions(file.path(), list);
  EXPECT_EQ(read_instructions(file.path())[1].answer, "c");
}

TEST(Instructions, NamesTheLineThatIsWrong) {
  for (const char* bad :
       {"{\"text\": \"a\"}\n{\"text\": ", "{\"text\": \"a\"}\n{\"label\": 3}\n", "{\"text\": \"a\"}\n[1]\n",
        "{\"text\": \"a\"}\n{\"prompt\": 1, \"completion\": \"x\"}\n"}) {
    const File file(bad);
    try {
      read_instructions(file.path());
      FAIL() << bad;
    } catch (const InvalidInput& error) {
      EXPECT_NE(std::string(error.what()).find(":2:"), std::string::npos) << error.what();
    }
  }
  EXPECT_THROW(read_instructions(File("\n").path()), InvalidInput);
  EXPECT_THROW(read_instructions("/nonexistent.jsonl"), Unavailable);
}

TEST(Instructions, PromptsAndPaddingAreNotTrained) {
  std::vector<Instruction> list(12, {"ab", "cde"});
  list.push_back({"x", std::string(60, 'y')});  // cut to the window
  const std::vector<Sample> samples = to_samples(list, *byte_vocabulary());
  const Corpus corpus(samples, {.window = 20, .validation = 0.1, .calibration = 2});
  EXPECT_EQ(corpus.cut(), 1);
  std::int64_t trained = 0;
  const std::int64_t all = corpus.training_windows();
  for (std::int64_t i = 0; i < all; ++i) {
    const model::TokenBatch batch = corpus.batch(i, 1);
    EXPECT_EQ(batch.ids.size(1) % 8, 0);
    const auto* ids = batch.ids.data_ptr<std::int64_t>();
    const auto* labels = batch.labels.data_ptr<std::int64_t>();
    for (std::int64_t j = 0; j < batch.ids.numel(); ++j) {
      if (labels[j] == model::kIgnored) continue;
      ++trained;
      EXPECT_TRUE(labels[j] == 'c' || labels[j] == 'd' || labels[j] == 'e' || labels[j] == 'y' ||
                  labels[j] == '\n');
      if (j + 1 < batch.ids.numel() && ids[j + 1] != 0) {
        EXPECT_EQ(ids[j + 1], labels[j]);
      }
    }
  }
  EXPECT_GE(trained, 4 * (all - 1));
  EXPECT_GT(corpus.padding_share(4), 0.0);
  // A sample whose answer lies beyond the window has nothing to train.
  const Corpus short_one(to_samples(std::vector<Instruction>(8, {"a", "b"}), *byte_vocabulary()),
                         {.window = 4, .calibration = 1});
  EXPECT_EQ(short_one.left_out(), 0);
  EXPECT_THROW(Corpus(to_samples(std::vector<Instruction>(8, {"long prompt", "b"}), *byte_vocabulary()),
                      {.window = 4, .calibration = 1}),
               InvalidInput);
}

TEST(Instructions, ChatTemplateOfTheModelIsUsed) {
  BALLAST_NEEDS_SHIPPED_MODEL();
  const auto model = std::make_shared<const llama::Model>(llama::shipped_model(),
                                                          llama::ModelOptions{.vocabulary_only = true});
  const llama::Model& vocabulary = *model;
  const Sample sample = to_samples({{"What is a heap?", "A tree."}}, *gguf_vocabulary(model)).front();
  std::vector<std::int32_t> answer;
  for (std::size_t i = 0; i < sample.tokens.size(); ++i) {
    if (sample.trained[i]) answer.push_back(sample.tokens[i]);
  }
  EXPECT_EQ(answer.back(), vocabulary.end_token());
  answer.pop_back();
  EXPECT_EQ(vocabulary.detokenize(answer), "A tree.");
  EXPECT_FALSE(sample.trained.front());
}

TEST(Sources, TakesFunctionsApart) {
  const auto list = python_functions(
      "import os\n\nclass A:\n    def f(self, x):\n        \"\"\"Doubles x.\n\n        Twice.\n        "
      "\"\"\"\n        y = x\n\n"
      "        return y + x\n\n    def g(self):\n        return 1\n\ndef h():\n    \"\"\"One.\"\"\"\n    "
      "return 1\n");
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0].prompt, "def f(self, x):\n    \"\"\"Doubles x.\n\n    Twice.\n    \"\"\"\n");
  EXPECT_EQ(list[0].answer, "    y = x\n\n    return y + x\n");
  EXPECT_EQ(list[1].answer, "    return 1\n");
}

TEST(Sources, ReadsDictionariesAndPackages) {
  const std::string text = "heap\n   A tree that keeps its order.\n";
  // In dictd's base 64 "A" is 0 and "l" is 37, the length of the text.
  const auto entries = dictd_entries("heap\tA\tl\n00-database-info\tA\tB\nbroken\t?\tA\n", text);
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(entries[0].prompt, "What is heap?");
  EXPECT_EQ(entries[0].answer, "A tree that keeps its order.");
  const auto packages = debian_packages(
      "Package: hello\nSection: devel\nDescription: prints a greeting\n hello is the classic example of a "
      "package.\n .\n "
      "It is small.\nDescription-md5: d943033bedada21853d2ae54a2578a7b\n\nPackage: x\nSection: "
      "games\nDescription: tiny\n\n");
  ASSERT_EQ(packages.size(), 1u);
  EXPECT_EQ(packages[0].section, "devel");
  EXPECT_EQ(packages[0].synopsis, "prints a greeting");
  EXPECT_EQ(packages[0].text.find("hello"), std::string::npos);
}

TEST(Sources, StandardLibraryGivesThousands) {
  if (!std::filesystem::exists("/usr/lib/python3.11/argparse.py"))
    GTEST_SKIP() << "no Python sources on this machine";
  EXPECT_GT(build_source("pydoc", 0).size(), 1000u);
  EXPECT_EQ(build_source("pydoc", 7).size(), 7u);
  EXPECT_THROW(build_source("pydocs", 0), InvalidInput);
}

}  // namespace
}  // namespace ballast::tune
