// Readers of real data, on excerpts worked out by hand; and on the packages where they are installed.
#include "ballast/dynamic/corpora.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ballast/base/errors.h"
#include "ballast/dynamic/models.h"
#include "ballast/dynamic/runtime/session.h"

namespace ballast::dynamic {
namespace {

const char* const kNouns =
    "  1 This software and database is ...\n"
    "00000010 05 n 01 dog 0 002 ~ 00000020 n 0000 ~ 00000030 n 0000 | a domestic animal; \"it barked\"  \n"
    "00000020 05 n 02 puppy 0 whelp 1 001 @ 00000010 n 0000 | a young dog  \n"
    "00000030 05 n 01 corgi 0 000 | either of two Welsh breeds  \n";

TEST(DynamicCorpora, SynsetsKnowTheirKinds) {
  const std::vector<Synset> s = parse_synsets(kNouns, "data.noun");
  ASSERT_EQ(s.size(), 3u);
  EXPECT_EQ(s[0].word, "dog");
  EXPECT_EQ(s[0].kinds, (std::vector<std::uint32_t>{1, 2}));
  EXPECT_EQ(s[1].gloss, "a young dog  ");
  const auto refuse = [](const char* text, const char* sentence) {
    EXPECT_THAT([&] { parse_synsets(text, "data.noun"); },
                testing::ThrowsMessage<InvalidInput>(testing::HasSubstr(sentence)));
  };
  refuse("00000010 05 n 01 dog 0 001 ~ 00000020 n 0000 | x\n", "points to 00000020, which is none");
  refuse("00000010 05 n 01 dog 0 002 ~ 00000020 n 0000 | x\n", "data.noun:1: fewer pointers");
  refuse("00000010 zz n 01 dog 0 000 | x\n", "data.noun:1: 'zz' is no lexicographer file");
}

TEST(DynamicCorpora, LatticesHoldEveryWordAndSentencesTheLikeliest) {
  const Dictionary d =
      Dictionary::parse("北京 30 ns\n大学 20 n\n北京大学 10 nt\n学生 20 n\n大学生 3 n\n生 5 n\n", "dict");
  const auto characters = characters_of("北京大学生");
  ASSERT_EQ(characters.size(), 5u);
  const Value lattice = lattice_of_sentence(characters, d, 1000);
  std::vector<std::size_t> arcs;
  for (const Value& place : lattice.fields) arcs.push_back(place.fields[1].fields.size());
  // 北京 | 大学, 北京大学 | 学生, 大学生
  EXPECT_EQ(arcs, (std::vector<std::size_t>{0, 1, 0, 2, 2}));
  EXPECT_EQ(lattice.fields[4].fields[1].fields[1].fields[0].integer, 3);
  // 北京 大学生: 30*3 / 88^2 = .0116; 北京大学 生: 10*5 / 88^2 = .0065; 北京 大学 生: 30*20*5 / 88^3 = .0044
  EXPECT_EQ(words_of_sentence(characters, d), (std::vector<std::string>{"北京", "大学生"}));
  EXPECT_EQ(chinese_sentences("以前是 Debian，现在是软件。北京大学生 ok"),
            (std::vector<std::string>{"现在是软件", "北京大学生"}));
  EXPECT_THROW(characters_of("\xE4\xB8"), InvalidInput);
  EXPECT_THAT(
      [] { Dictionary::parse("北京 30 ns\n北京\n", "dict"); },
      testing::ThrowsMessage<InvalidInput>(testing::HasSubstr("dict:2: expected \"word count tag\"")));
}

TEST(DynamicCorpora, RealDataRunThroughTheModels) {
  for (const auto& [model, corpus] : {std::pair{"treelstm", "wordnet"},
                                      {"treelstm-cs", "wordnet"},
                                      {"birnn", "wordnet"},
                                      {"bilstm-char", "wordnet"},
                                      {"latticelstm", "chinese"},
                                      {"birnn", "chinese"}}) {
    const Module module = load_model(model, {{"H", 8}, {"V", 500}});
    std::vector<Instance> batch;
    try {
      batch = read_corpus(module, corpus, 8, 3);
    } catch (const Unavailable& error) {
      GTEST_SKIP() << error.what();
    }
    ASSERT_EQ(batch.size(), 8u) << model;
    if (std::string(model) == "treelstm") {
      EXPECT_EQ(batch, read_corpus(module, corpus, 8, 3)) << "the same seed";
    }
    const Executable exe = compile(module);
    const Parameters parameters = initial_parameters(module, 1);
    Session session(exe, parameters), single(exe, parameters, {.policy = "unbatched"});
    EXPECT_EQ(session.run(batch), single.run(batch)) << model << " on " << corpus;
    EXPECT_LT(session.stats().batches, session.stats().nodes / 2) << model;
  }
  EXPECT_THAT([] { read_corpus(load_model("drnn"), "wordnet", 4, 1); },
              testing::ThrowsMessage<InvalidInput>(testing::HasSubstr("has nothing for a model")));
}

}  // namespace
}  // namespace ballast::dynamic
