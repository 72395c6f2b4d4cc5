// The words of a model file.
#pragma once

#include <string>
#include <vector>

#include "ballast/dynamic/language/diagnostics.h"

namespace ballast::dynamic {

struct Token {
  enum class Kind : std::uint8_t { end, name, integer, real, symbol };
  Kind kind = Kind::end;
  std::string text;
  Span span;
};

/// Comments run from // to the end of the line. An unknown character is reported and skipped.
std::vector<Token> tokenize(const std::string& text, Diagnostics& diagnostics);

}  // namespace ballast::dynamic
