#include "ballast/model/byte_pair.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>
#include <filesystem>
#include <limits>
#include <sstream>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/json.h"

namespace ballast::model {
namespace {

// GPT-2's pattern; each digit by itself where the tokeniser says so.
constexpr const char* kPattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr const char* kDigitPattern =
    R"(\p{N}|'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?![^\s\p{N}])|\s+)";

std::string utf8(unsigned code) {
  if (code < 0x80) return {static_cast<char>(code)};
  return {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))};
}

// Printable Latin letters stand for themselves, the other bytes for U+0100 and up, in their order.
const std::array<std::string, 256>& byte_letters() {
  static const std::array<std::string, 256> letters = [] {
    std::array<std::string, 256> table;
    unsigned next = 256;
    for (unsigned byte = 0; byte < 256; ++byte) {
      const bool printable =
          (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);
      table[byte] = utf8(printable ? byte : next++);
    }
    return table;
  }();
  return letters;
}

}  // namespace

struct BytePair::Pattern {
  explicit Pattern(const char* text) {
    int error = 0;
    PCRE2_SIZE at = 0;
    code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text), PCRE2_ZERO_TERMINATED,
                         PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF, &error, &at, nullptr);
    BALLAST_CHECK(code != nullptr);
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
  }
  ~Pattern() { pcre2_code_free(code); }
  Pattern(const Pattern&) = delete;
  Pattern& operator=(const Pattern&) = delete;
  pcre2_code* code;
};

BytePair::~BytePair() = default;
BytePair::BytePair(BytePair&&) noexcept = default;

BytePair::BytePair(const std::string& folder) {
  namespace fs = std::filesystem;
  const std::string vocabulary_path = folder + "/vocab.json", merges_path = folder + "/merges.txt",
                    joint_path = folder + "/tokenizer.json";
  Json vocabulary;
  std::string where = vocabulary_path;
  const auto add_merge = [&](const std::string& left, const std::string& right) {
    ranks_.emplace(std::pair(left, right), static_cast<std::int32_t>(ranks_.size()));
  };
  if (fs::exists(vocabulary_path) && fs::exists(merges_path)) {
    vocabulary = read_json(vocabulary_path);
    std::istringstream lines(read_file(merges_path));
    std::uint64_t number = 0;
    for (std::string line; std::getline(lines, line);) {
      ++number;
      if (line.empty() || line.starts_with("#version")) continue;
      const auto space = line.find(' ');
      if (space == std::string::npos || space == 0 || space + 1 == line.size())
        throw InvalidInput::at(merges_path, number, "'" + line + "'", "two tokens with a space between");
      add_merge(line.substr(0, space), line.substr(space + 1));
    }
  } else if (fs::exists(joint_path)) {
    where = joint_path;
    const Json joint = read_json(joint_path);
    const Json model = joint.value("model", Json::object());
    if (model.value("type", "") != "BPE" || !model.contains("merges") || !model["merges"].is_array())
      throw InvalidInput(joint_path + ": model.type", model.value("type", "absent"), "BPE with merges");
    vocabulary = model.value("vocab", Json::object());
    for (const Json& merge : model["merges"]) {
      if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
        add_merge(merge[0].get<std::string>(), merge[1].get<std::string>());
      } else if (merge.is_string() && merge.get<std::string>().find(' ') != std::string::npos) {
        const std::string text = merge.get<std::string>();
        add_merge(text.substr(0, text.find(' ')), text.substr(text.find(' ') + 1));
      } else {
        throw InvalidInput(joint_path + ": a merge", merge.dump(), "two tokens");
      }
    }
    const std::string before = joint.value("pre_tokenizer", Json::object()).dump();
    if (before.find("ByteLevel") == std::string::npos)
      throw InvalidInput(joint_path + ": pre_tokenizer", before.substr(0, 60), "ByteLevel");
    split_digits_ = before.find("\"Digits\"") != std::string::npos;
    for (const Json& token : joint.value("added_tokens", Json::array())) {
      if (token.contains("content") && token.contains("id") && token["id"].is_number_integer())
        ids_.emplace(token["content"].get<std::string>(), token["id"].get<std::int32_t>());
    }
  } else {
    throw Unavailable(folder + ": holds neither vocab.json and merges.txt nor tokenizer.json");
  }
  if (!vocabulary.is_object() || vocabulary.empty())
    throw InvalidInput(where, "no vocabulary", "an object of tokens and numbers");
  for (const auto& [token, id] : vocabulary.items()) {
    if (!id.is_number_integer() || id.get<std::int64_t>() < 0 ||
        id.get<std::int64_t>() > std::numeric_limits<std::int32_t>::max())
      throw InvalidInput(where + ": token '" + token + "'", id.dump(), "a number from 0");
    ids_.emplace(token, id.get<std::int32_t>());
  }
  for (const std::string& letter : byte_letters()) {
    if (!ids_.contains(letter))
      throw InvalidInput(where, "a vocabulary without the letter '" + letter + "'", "all 256 byte letters");
  }
  for (const auto& [token, id] : ids_) texts_.emplace(id, token);
  pattern_ = std::make_unique<Pattern>(split_digits_ ? kDigitPattern : kPattern);
}

void BytePair::add_piece(std::string_view piece, std::vector<std::int32_t>& out) const {
  std::vector<std::string> parts;
  for (const char byte : piece) parts.push_back(byte_letters()[static_cast<unsigned char>(byte)]);
  while (parts.size() > 1) {
    std::int32_t best = std::numeric_limits<std::int32_t>::max();
    std::pair<std::string, std::string> pair;
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto found = ranks_.find({parts[i], parts[i + 1]});
      if (found != ranks_.end() && found->second < best) {
        best = found->second;
        pair = found->first;
      }
    }
    if (best == std::numeric_limits<std::int32_t>::max()) break;
    std::vector<std::string> merged;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (i + 1 < parts.size() && parts[i] == pair.first && parts[i + 1] == pair.second) {
        merged.push_back(parts[i] + parts[i + 1]);
        ++i;
      } else {
        merged.push_back(parts[i]);
      }
    }
    parts = std::move(merged);
  }
  for (const std::string& part : parts) {
    if (const auto found = ids_.find(part); found != ids_.end()) {
      out.push_back(found->second);
    } else {  // a merge whose result is no token: its letters are
      for (std::size_t i = 0; i < part.size();) {
        const std::size_t length = static_cast<unsigned char>(part[i]) < 0x80 ? 1 : 2;
        out.push_back(ids_.at(part.substr(i, length)));
        i += length;
      }
    }
  }
}

std::vector<std::int32_t> BytePair::encode(std::string_view text) const {
  std::vector<std::int32_t> out;
  pcre2_match_data* match = pcre2_match_data_create_from_pattern(pattern_->code, nullptr);
  std::size_t at = 0;
  while (at < text.size()) {
    const int found = pcre2_match(pattern_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at,
                                  0, match, nullptr);
    const PCRE2_SIZE* place = pcre2_get_ovector_pointer(match);
    const std::size_t first = found > 0 ? place[0] : text.size(), last = found > 0 ? place[1] : text.size();
    if (first > at) add_piece(text.substr(at, first - at), out);  // bytes that are no UTF-8
    if (last > first) add_piece(text.substr(first, last - first), out);
    at = last;
  }
  pcre2_match_data_free(match);
  return out;
}

std::string BytePair::decode(const std::vector<std::int32_t>& ids) const {
  static const std::unordered_map<std::string, char> bytes = [] {
    std::unordered_map<std::string, char> table;
    for (unsigned byte = 0; byte < 256; ++byte) table.emplace(byte_letters()[byte], static_cast<char>(byte));
    return table;
  }();
  std::string out;
  for (const std::int32_t id : ids) {
    const auto found = texts_.find(id);
    if (found == texts_.end()) throw InvalidInput("token", std::to_string(id), "a number of the vocabulary");
    const std::string& text = found->second;
    for (std::size_t i = 0; i < text.size();) {
      const std::size_t length = static_cast<unsigned char>(text[i]) < 0x80 ? 1 : 2;
      const auto letter = bytes.find(text.substr(i, length));
      if (letter == bytes.end()) {
        out += text.substr(i);  // a special token stands for itself
        break;
      }
      out += letter->second;
      i += length;
    }
  }
  return out;
}

std::int32_t BytePair::find(const std::string& token) const {
  const auto found = ids_.find(token);
  return found == ids_.end() ? -1 : found->second;
}

}  // namespace ballast::model
