// Byte-level byte-pair encoding, as GPT-2, RoBERTa and many LLaMA-type models use it: text is split by a
// pattern, each piece's bytes are written as printable letters, and pairs are merged in the order of the
// list.
//
//   BytePair tokens("folder");                         // vocab.json and merges.txt, or tokenizer.json
//   std::vector<std::int32_t> ids = tokens.encode("Hello world");
//   std::string text = tokens.decode(ids);             // "Hello world"
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace ballast::model {

class BytePair {
 public:
  /// Throws Unavailable when neither pair of files is there, InvalidInput naming file and entry for a
  /// vocabulary that is malformed or of another kind than byte-level byte-pair encoding.
  explicit BytePair(const std::string& folder);
  ~BytePair();
  BytePair(BytePair&&) noexcept;

  std::vector<std::int32_t> encode(std::string_view text) const;
  /// Bytes that are no UTF-8 come back as they were.
  std::string decode(const std::vector<std::int32_t>& ids) const;
  /// The number of a token by its text in the vocabulary ("<|endoftext|>"), or -1.
  std::int32_t find(const std::string& token) const;
  std::size_t size() const { return ids_.size(); }

 private:
  struct Pattern;
  void add_piece(std::string_view piece, std::vector<std::int32_t>& out) const;
  std::unordered_map<std::string, std::int32_t> ids_;
  std::unordered_map<std::int32_t, std::string> texts_;
  std::map<std::pair<std::string, std::string>, std::int32_t> ranks_;
  std::unique_ptr<Pattern> pattern_;
  bool split_digits_ = false;
};

}  // namespace ballast::model
