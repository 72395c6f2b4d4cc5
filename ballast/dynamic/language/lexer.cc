#include "ballast/dynamic/language/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "ballast/base/errors.h"

namespace ballast::dynamic {

void Diagnostics::add(const Span& span, const std::string& sentence) {
  if (errors_.size() >= kMost) return;
  const std::size_t at = std::min<std::size_t>(span.begin, source_.size());
  std::size_t begin = at == 0 ? std::string::npos : source_.rfind('\n', at - 1);
  begin = begin == std::string::npos ? 0 : begin + 1;
  const std::size_t end = std::min(source_.find('\n', at), source_.size());
  const std::string line = source_.substr(begin, end - begin);
  std::string caret;
  for (std::size_t i = begin; i < at; ++i) caret += source_[i] == '\t' ? '\t' : ' ';
  const std::size_t marks =
      std::max<std::size_t>(1, std::min<std::size_t>(span.end, end) - std::min(at, end));
  errors_.push_back(fmt::format("{}:{}:{}: {}\n  {}\n  {}{}", file_, span.line, span.column, sentence, line,
                                caret, std::string(std::min<std::size_t>(marks, 200), '^')));
}

void Diagnostics::raise() const {
  if (errors_.empty()) return;
  std::string all;
  for (const std::string& error : errors_) all += (all.empty() ? "" : "\n") + error;
  throw InvalidInput(all);
}

std::vector<Token> tokenize(const std::string& text, Diagnostics& diagnostics) {
  std::vector<Token> tokens;
  std::uint32_t line = 1;
  std::size_t line_begin = 0, at = 0;
  const auto is_digit = [&](std::size_t i) {
    return i < text.size() && std::isdigit(static_cast<unsigned char>(text[i])) != 0;
  };
  const auto is_word = [&](std::size_t i) {
    return i < text.size() && (std::isalnum(static_cast<unsigned char>(text[i])) != 0 || text[i] == '_');
  };
  while (at < text.size()) {
    const char c = text[at];
    if (c == '\n') {
      ++line;
      line_begin = ++at;
      continue;
    }
    if (std::isspace(static_cast<unsigned char>(c)) != 0) {
      ++at;
      continue;
    }
    if (text.compare(at, 2, "//") == 0) {
      at = std::min(text.find('\n', at), text.size());
      continue;
    }
    const std::size_t begin = at;
    Token token;
    if (is_digit(at)) {
      token.kind = Token::Kind::integer;
      while (is_digit(at)) ++at;
      const bool after_dot = !tokens.empty() && tokens.back().text == ".";  // p.0.1: two projections
      if (!after_dot && at < text.size() && text[at] == '.' && is_digit(at + 1)) {
        token.kind = Token::Kind::real;
        ++at;
        while (is_digit(at)) ++at;
      }
      if (!after_dot && at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
        const std::size_t sign = at + 1 < text.size() && (text[at + 1] == '-' || text[at + 1] == '+') ? 1 : 0;
        if (is_digit(at + 1 + sign)) {
          token.kind = Token::Kind::real;
          at += 1 + sign;
          while (is_digit(at)) ++at;
        }
      }
    } else if (is_word(at)) {
      token.kind = Token::Kind::name;
      while (is_word(at)) ++at;
    } else {
      token.kind = Token::Kind::symbol;
      static const char* const kTwo[] = {"->", "=>", "==", "!=", "<=", ">=", "&&", "||"};
      const bool two = std::any_of(std::begin(kTwo), std::end(kTwo),
                                   [&](const char* s) { return text.compare(at, 2, s) == 0; });
      at += two ? 2 : 1;
    }
    token.text = text.substr(begin, at - begin);
    token.span = {static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(at), line,
                  static_cast<std::uint32_t>(begin - line_begin + 1)};
    if (token.kind == Token::Kind::symbol &&
        std::string("(){}[],;:=.<>+-*/%!|@_?").find(token.text[0]) == std::string::npos &&
        token.text.size() == 1) {
      diagnostics.add(token.span, fmt::format("a character that has no meaning here (byte {:#04x})",
                                              static_cast<unsigned char>(token.text[0])));
      continue;
    }
    tokens.push_back(std::move(token));
  }
  const auto end = static_cast<std::uint32_t>(text.size());
  tokens.push_back(
      {Token::Kind::end, "", {end, end, line, static_cast<std::uint32_t>(text.size() - line_begin + 1)}});
  return tokens;
}

}  // namespace ballast::dynamic
