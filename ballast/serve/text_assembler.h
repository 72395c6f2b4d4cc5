// Turns token bytes into text that may be sent: whole UTF-8 characters only, nothing that could still become
// a stop string, and nothing from the stop string on.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ballast::serve {

class TextAssembler {
 public:
  explicit TextAssembler(std::vector<std::string> stops = {}) : stops_(std::move(stops)) {}

  /// Adds a token's bytes; returns what can be sent now.
  std::string add(std::string_view bytes);
  /// The generation ended: everything that was held back (an incomplete character becomes U+FFFD).
  std::string finish();
  bool stopped() const { return stopped_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

/// The length of the longest prefix of `text` that ends at a character boundary. Invalid bytes count as
/// characters.
std::size_t complete_utf8_prefix(std::string_view text);
/// `text` with every invalid byte sequence replaced by U+FFFD (JSON must be valid UTF-8).
std::string valid_utf8(std::string_view text);

}  // namespace ballast::serve
