// Tasks on whole sequences: their data, heads, figures of merit, and that every kind of model learns them.

#include <gtest/gtest.h>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/tune/experiment.h"
#include "ballast/tune/sources.h"

namespace ballast::tune {
namespace {

TEST(Metrics, EqualHandWorkedValues) {
  // Truth 1 1 1 0 0, guess 1 1 0 0 1: precision 2/3, recall 2/3; Matthews (2*1 - 1*1)/sqrt(3*3*2*2) = 1/6.
  const std::vector<double> guess{1, 1, 0, 0, 1}, truth{1, 1, 1, 0, 0};
  const Metrics two = class_metrics(guess, truth);
  EXPECT_DOUBLE_EQ(two.accuracy, 0.6);
  EXPECT_NEAR(two.f1, 2.0 / 3, 1e-12);
  EXPECT_NEAR(two.matthews, 1.0 / 6, 1e-12);
  // Three classes: F1 of 1, 2/3 and 2/3.
  const std::vector<double> more{0, 1, 2, 2}, real{0, 1, 1, 2};
  EXPECT_NEAR(class_metrics(more, real).f1, (1 + 2.0 / 3 + 2.0 / 3) / 3, 1e-12);
  EXPECT_NEAR(pearson(std::vector<double>{1, 2, 3}, std::vector<double>{2, 4, 6}), 1, 1e-12);
  EXPECT_NEAR(pearson(std::vector<double>{1, 2, 3}, std::vector<double>{3, 2, 1}), -1, 1e-12);
  EXPECT_EQ(pearson(std::vector<double>{1, 1}, std::vector<double>{0, 1}), 0);
  EXPECT_EQ(class_metrics({}, {}).accuracy, 0);
}

TEST(LabelledTexts, ReadsGluesAndUsersFiles) {
  const TemporaryFolder folder;
  write_file(folder.file("sst.tsv"), "sentence\tlabel\na fine film\t1\ndull\t0\n");
  const LabelledData sst = read_labelled(folder.file("sst.tsv"), Task::cls);
  ASSERT_EQ(sst.items.size(), 2u);
  EXPECT_EQ(sst.items[0].a, "a fine film");
  EXPECT_EQ(sst.classes, (std::vector<std::string>{"0", "1"}));
  EXPECT_EQ(sst.target(sst.items[0]), 1);
  write_file(folder.file("qnli.tsv"), "index\tquestion\tsentence\tlabel\n0\tWho?\tHe.\tno\n1\tA?\tB.\tyes\n");
  const LabelledData qnli = read_labelled(folder.file("qnli.tsv"), Task::pair);
  EXPECT_EQ(qnli.items[0].a, "Who?");
  EXPECT_EQ(qnli.items[0].b, "He.");
  write_file(folder.file("plain.tsv"), "x y\tz\t0.5\nq\tr\t-1e2\r\n");
  const LabelledData values = read_labelled(folder.file("plain.tsv"), Task::regress);
  EXPECT_EQ(values.target(values.items[1]), -100);
  write_labelled(folder.file("back.jsonl"), qnli.items);
  EXPECT_EQ(read_labelled(folder.file("back.jsonl"), Task::pair).items[1].b, "B.");
}

TEST(LabelledTexts, NamesTheLineOfAMistake) {
  const TemporaryFolder folder;
  const auto sentence = [&](const std::string& name, const std::string& content, Task task) -> std::string {
    write_file(folder.file(name), content);
    try {
      read_labelled(folder.file(name), task);
    } catch (const InvalidInput& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_NE(sentence("a.tsv", "x\t1\ny\tz\n", Task::regress).find("a.tsv:2"), std::string::npos);
  EXPECT_NE(sentence("b.tsv", "x\t1\ny\n", Task::cls).find("b.tsv:2"), std::string::npos);
  EXPECT_NE(sentence("c.tsv", "x\t1\ny\t2\n", Task::pair).find("two texts"), std::string::npos);
  EXPECT_NE(sentence("d.tsv", "x\t1\ny\t1\n", Task::cls).find("one class only"), std::string::npos);
  EXPECT_NE(sentence("e.jsonl", "{\"text\": \"x\"}\n", Task::cls).find("e.jsonl:1"), std::string::npos);
  EXPECT_NE(sentence("f.tsv", "\n", Task::cls).find("without samples"), std::string::npos);
  EXPECT_THROW(task_from_string("clss"), InvalidInput);
}

TEST(LabelledTexts, BatchesHoldMaskSegmentsAndTargets) {
  std::vector<LabelledSample> samples;
  for (int i = 0; i < 12; ++i)
    samples.push_back({.tokens = {1, 2, 3, 4, 5}, .second = 3, .target = i % 2 * 1.0});
  const Corpus corpus(samples, false, {.window = 4, .validation = 0.2, .calibration = 2});
  EXPECT_EQ(corpus.cut(), 12);
  const model::TokenBatch batch = corpus.batch(0, 2);
  EXPECT_EQ(batch.ids.sizes(), (std::vector<std::int64_t>{2, 8}));
  EXPECT_EQ(batch.seen.sum().item<std::int64_t>(), 8);
  EXPECT_EQ(batch.segments[0].sum().item<std::int64_t>(), 1);
  EXPECT_EQ(batch.classes.scalar_type(), torch::kInt64);
  EXPECT_EQ(Corpus(samples, true, {.window = 8, .calibration = 2}).batch(0, 2).classes.scalar_type(),
            torch::kFloat32);
}

TEST(Sources, PairsComeFromOneSectionAndHypernymsFromWordNet) {
  std::vector<DebianPackage> packages;
  for (int i = 0; i < 6; ++i)
    packages.push_back(
        {i < 3 ? "games" : "net", "s" + std::to_string(i), std::string(50, static_cast<char>('a' + i))});
  const auto pairs = pair_samples(packages, 1);
  ASSERT_EQ(pairs.size(), 6u);
  for (const LabelledText& pair : pairs) {
    const int own = pair.a[1] - '0', other = pair.b[0] - 'a';
    EXPECT_EQ(pair.label == "match", own == other);
    EXPECT_EQ(own < 3, other < 3);
  }
  EXPECT_EQ(section_samples(packages, 1).size(), 3u);
  const std::string nouns =
      "  1 licence text\n"
      "00000010 03 n 01 entity 0 000 | that which is\n"
      "00000020 03 n 02 house_cat 0 cat 0 001 @ 00000010 n 0000 | a small animal\n"
      "00000030 03 n 01 dog 0 001 @ 00000020 n 0000 | not quite\n";
  const auto samples = hypernym_samples(nouns, 1);
  ASSERT_EQ(samples.size(), 2u);
  EXPECT_EQ(samples[0].a, "house cat: a small animal");
  for (const LabelledText& sample : samples)
    EXPECT_EQ(sample.label == "yes", sample.b == (sample.a[0] == 'd' ? "house cat" : "entity"));
}

// Which of two letters a text is made of: every kind of model learns it, with all weights or few.
TEST(Tasks, EveryKindOfModelLearnsAClass) {
  const TemporaryFolder folder;
  std::vector<LabelledText> items;
  for (int i = 0; i < 120; ++i) items.push_back({std::string(6, i % 2 ? 'a' : 'b'), "", i % 2 ? "a" : "b"});
  write_labelled(folder.file("letters.jsonl"), items);
  for (const auto& [name, method] : std::vector<std::pair<std::string, std::string>>{
           {"bert-mini", "lsp"}, {"bert-mini", "lora"}, {"tiny", "zero"}, {"gpt2-mini", "native"}}) {
    const Workload workload = load_workload({.model = name,
                                             .keep_blocks = 2,
                                             .data = folder.file("letters.jsonl"),
                                             .task = "cls",
                                             .rows = 4,
                                             .window = 8,
                                             .calibration = 4});
    MethodOptions options{.method = method, .rank = 4, .rate = 2e-3, .warmup = 2, .steps = 20};
    options.lsp.r = 4;
    options.lsp.fit.iterations = 5;
    const RunResult result =
        run_method(workload, {.device = {}, .regime = {}, .clock = Clock::modelled}, options);
    EXPECT_GE(result.after.accuracy, 0.9) << name << " " << method;
    EXPECT_GE(result.after.metrics.matthews, 0.8) << name << " " << method;
  }
}

TEST(Tasks, ValuesAreLearntAndEncodersRefuseRunningText) {
  const TemporaryFolder folder;
  std::vector<LabelledText> items;
  for (int i = 0; i < 120; ++i)
    items.push_back({std::string(static_cast<std::size_t>(i % 4), 'a') +
                         std::string(static_cast<std::size_t>(4 - i % 4), 'b'),
                     "", std::to_string(0.5 * (i % 4))});
  write_labelled(folder.file("values.jsonl"), items);
  const Workload workload = load_workload({.model = "bert-mini",
                                           .keep_blocks = 2,
                                           .data = folder.file("values.jsonl"),
                                           .task = "regress",
                                           .pooling = "mean",
                                           .rows = 8,
                                           .window = 8,
                                           .calibration = 4});
  const RunResult result = run_method(workload, {.device = {}, .regime = {}, .clock = Clock::modelled},
                                      {.method = "native", .rate = 1e-3, .warmup = 2, .steps = 60});
  EXPECT_GT(result.after.metrics.pearson, 0.8);
  EXPECT_THROW(load_workload({.model = "bert-mini", .window = 16}).fresh(), InvalidInput);
  EXPECT_THROW(load_workload({.model = "tiny", .task = "cls"}), InvalidInput);
}

}  // namespace
}  // namespace ballast::tune
