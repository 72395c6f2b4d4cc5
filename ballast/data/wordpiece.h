// BERT's uncased WordPiece tokeniser: text to token numbers, [CLS] first and [SEP] last.
//
//   WordPiece tokens("vocab.txt");
//   std::vector<std::int32_t> ids = tokens.encode("Reads a sentence.", 256);
//
// Lower-cases and strips accents of Latin letters (U+00C0 to U+017F); other scripts are cut at spaces and
// punctuation only, CJK characters one by one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace ballast::data {

class WordPiece {
 public:
  /// One token a line; throws InvalidInput when [CLS], [SEP] or [UNK] is missing.
  explicit WordPiece(const std::string& vocabulary_path);

  /// At most `max_tokens` numbers (at least 2), cut before [SEP].
  std::vector<std::int32_t> encode(std::string_view text, std::size_t max_tokens) const;

  /// [CLS] a [SEP] b [SEP], at most `max_tokens` numbers (at least 3); the longer of the two is cut first.
  /// `second` is where b begins.
  struct Pair {
    std::vector<std::int32_t> ids;
    std::size_t second = 0;
  };
  Pair encode_pair(std::string_view a, std::string_view b, std::size_t max_tokens) const;

  std::size_t size() const { return ids_.size(); }

 private:
  std::vector<std::int32_t> pieces(std::string_view text, std::size_t enough) const;
  void add_word(const std::string& word, std::vector<std::int32_t>& out) const;
  std::unordered_map<std::string, std::int32_t> ids_;
  std::int32_t begin_ = 0, end_ = 0, unknown_ = 0;
};

}  // namespace ballast::data
