#include "ballast/serve/text_assembler.h"

#include <algorithm>

namespace ballast::serve {
namespace {

// The length that a character starting with this byte has; 1 for a byte that starts none.
std::size_t length_of(unsigned char first) {
  if (first >= 0xC2 && first <= 0xDF) return 2;
  if (first >= 0xE0 && first <= 0xEF) return 3;
  if (first >= 0xF0 && first <= 0xF4) return 4;
  return 1;
}

// How many bytes at `at` form a valid character, or 0.
std::size_t valid_at(std::string_view text, std::size_t at) {
  auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(at);
  if (first < 0x80) return 1;
  const std::size_t length = length_of(first);
  if (length == 1 || at + length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xC0) != 0x80) return 0;
  }
  const unsigned char second = byte(at + 1);
  if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
      (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F))
    return 0;  // overlong, surrogate or beyond U+10FFFF
  return length;
}

}  // namespace

std::size_t complete_utf8_prefix(std::string_view text) {
  for (std::size_t back = 1; back <= std::min<std::size_t>(3, text.size()); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if ((byte & 0xC0) == 0x80) continue;
    return length_of(byte) > back ? text.size() - back : text.size();
  }
  return text.size();
}

std::string valid_utf8(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = valid_at(text, at);
    if (length == 0) {
      result += "\xEF\xBF\xBD";
      ++at;
    } else {
      result += text.substr(at, length);
      at += length;
    }
  }
  return result;
}

std::string TextAssembler::add(std::string_view bytes) {
  if (stopped_) return {};
  held_ += bytes;
  std::size_t cut = std::string::npos;
  for (const std::string& stop : stops_) cut = std::min(cut, held_.find(stop));
  if (cut != std::string::npos) {
    stopped_ = true;
    std::string text = valid_utf8(std::string_view(held_).substr(0, cut));
    held_.clear();
    return text;
  }
  std::size_t safe = complete_utf8_prefix(held_);
  for (const std::string& stop : stops_) {
    // The longest end of the text that begins the stop string stays here.
    for (std::size_t length = std::min(stop.size() - 1, held_.size()); length > 0; --length) {
      if (held_.compare(held_.size() - length, length, stop, 0, length) != 0) continue;
      safe = std::min(safe, held_.size() - length);
      break;
    }
  }
  safe = complete_utf8_prefix(std::string_view(held_).substr(0, safe));
  std::string text = valid_utf8(std::string_view(held_).substr(0, safe));
  held_.erase(0, safe);
  return text;
}

std::string TextAssembler::finish() {
  std::string text = stopped_ ? std::string() : valid_utf8(held_);
  held_.clear();
  return text;
}

}  // namespace ballast::serve
