#include "ballast/data/wordpiece.h"

#include "ballast/base/errors.h"
#include "ballast/base/file.h"

namespace ballast::data {
namespace {

/// Base letters of U+00C0 .. U+017F by Unicode's decomposition; '?' where there is none: the character stays.
constexpr std::string_view kFolded =
    "aaaaaa?ceeeeiiii?nooooo??uuuuy??aaaaaa?ceeeeiiii?nooooo??uuuuy?y"
    "aaaaaaccccccccdd??eeeeeeeeeegggggggghh??iiiiiiiii???jjkk?llllll?"
    "???nnnnnn???oooooo??rrrrrrsssssssstttt??uuuuuuuuuuuuwwyyyzzzzzz?";

/// Decodes one character; malformed bytes are taken one by one as U+FFFD.
char32_t next(std::string_view text, std::size_t& at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(at);
  const std::size_t length = first < 0x80   ? 1
                             : first < 0xC0 ? 0
                             : first < 0xE0 ? 2
                             : first < 0xF0 ? 3
                             : first < 0xF8 ? 4
                                            : 0;
  if (length == 0 || at + length > text.size()) return ++at, 0xFFFD;
  char32_t c = length == 1 ? first : first & (0x7F >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xC0) != 0x80) return ++at, 0xFFFD;
    c = c << 6 | (byte(at + i) & 0x3F);
  }
  at += length;
  return c;
}

void append(std::string& out, char32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | c >> 18);
    out += static_cast<char>(0x80 | (c >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

bool is_space(char32_t c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == 0xA0 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x3000;
}
bool is_control(char32_t c) {
  return c == 0 || c == 0xFFFD || (c < 0x20 && !is_space(c)) || (c >= 0x7F && c < 0xA0);
}
bool is_punctuation(char32_t c) {
  return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126) ||
         c == 0xA1 || c == 0xA7 || c == 0xAB || c == 0xB6 || c == 0xB7 || c == 0xBB || c == 0xBF ||
         (c >= 0x2010 && c <= 0x2027) || (c >= 0x2030 && c <= 0x205E) || (c >= 0x3001 && c <= 0x3003);
}
bool is_ideograph(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0xF900 && c <= 0xFAFF) ||
         (c >= 0x20000 && c <= 0x2CEAF);
}

char32_t folded(char32_t c) {
  if (c >= 'A' && c <= 'Z') return c + 32;
  if (c >= 0xC0 && c < 0xC0 + kFolded.size()) {
    const char base = kFolded[c - 0xC0];
    if (base != '?') return static_cast<char32_t>(base);
    if (c >= 0xC0 && c <= 0xDE && c != 0xD7) return c + 32;
  }
  if (c >= 0x391 && c <= 0x3A9) return c + 32;  // Greek
  if (c >= 0x410 && c <= 0x42F) return c + 32;  // Cyrillic
  return c;
}

}  // namespace

WordPiece::WordPiece(const std::string& path) {
  const std::string text = read_file(path);
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string word = text.substr(at, end - at);
    if (!word.empty() && word.back() == '\r') word.pop_back();
    ids_.emplace(std::move(word), static_cast<std::int32_t>(ids_.size()));
    at = end + 1;
  }
  const auto need = [&](const char* token) {
    const auto found = ids_.find(token);
    if (found == ids_.end())
      throw InvalidInput("vocabulary " + path, std::to_string(ids_.size()) + " tokens",
                         std::string("one that holds ") + token);
    return found->second;
  };
  begin_ = need("[CLS]");
  end_ = need("[SEP]");
  unknown_ = need("[UNK]");
}

void WordPiece::add_word(const std::string& word, std::vector<std::int32_t>& out) const {
  if (word.size() > 400) {
    out.push_back(unknown_);
    return;
  }
  const std::size_t start = out.size();
  for (std::size_t at = 0; at < word.size();) {
    // The longest piece that the vocabulary holds.
    std::size_t end = word.size();
    const std::string head = at == 0 ? "" : "##";
    for (; end > at; --end) {
      const auto found = ids_.find(head + word.substr(at, end - at));
      if (found == ids_.end()) continue;
      out.push_back(found->second);
      break;
    }
    if (end == at) {
      out.resize(start);
      out.push_back(unknown_);
      return;
    }
    at = end;
  }
}

// Without the marks at both ends; stops after `enough` tokens.
std::vector<std::int32_t> WordPiece::pieces(std::string_view text, std::size_t enough) const {
  std::vector<std::int32_t> out;
  std::string word;
  const auto flush = [&] {
    if (!word.empty()) add_word(word, out);
    word.clear();
  };
  for (std::size_t at = 0; at < text.size() && out.size() < enough;) {
    const char32_t c = next(text, at);
    if (is_control(c) || (c >= 0x300 && c <= 0x36F)) continue;  // combining accents are dropped
    if (is_space(c)) {
      flush();
    } else if (is_punctuation(c) || is_ideograph(c)) {
      flush();
      append(word, c);
      flush();
    } else {
      append(word, folded(c));
    }
  }
  flush();
  if (out.size() > enough) out.resize(enough);
  return out;
}

std::vector<std::int32_t> WordPiece::encode(std::string_view text, std::size_t max_tokens) const {
  if (max_tokens < 2) throw InvalidInput("tokens of a text", std::to_string(max_tokens), "at least 2");
  std::vector<std::int32_t> out = pieces(text, max_tokens - 2);
  out.insert(out.begin(), begin_);
  out.push_back(end_);
  return out;
}

WordPiece::Pair WordPiece::encode_pair(std::string_view a, std::string_view b, std::size_t max_tokens) const {
  if (max_tokens < 3) throw InvalidInput("tokens of a pair", std::to_string(max_tokens), "at least 3");
  std::vector<std::int32_t> first = pieces(a, max_tokens), second = pieces(b, max_tokens);
  while (first.size() + second.size() > max_tokens - 3)
    (first.size() >= second.size() ? first : second).pop_back();
  Pair pair;
  pair.ids.push_back(begin_);
  pair.ids.insert(pair.ids.end(), first.begin(), first.end());
  pair.ids.push_back(end_);
  pair.second = pair.ids.size();
  pair.ids.insert(pair.ids.end(), second.begin(), second.end());
  pair.ids.push_back(end_);
  return pair;
}

}  // namespace ballast::data
