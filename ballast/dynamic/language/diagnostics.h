// Errors of a model file, as people want them: file:line:column, the line, a caret, what was expected.
#pragma once

#include <string>
#include <vector>

#include "ballast/dynamic/language/ast.h"

namespace ballast::dynamic {

class Diagnostics {
 public:
  static constexpr std::size_t kMost = 20;

  Diagnostics(std::string file, const std::string& source) : file_(std::move(file)), source_(source) {}
  void add(const Span& span, const std::string& sentence);
  bool any() const { return !errors_.empty(); }
  std::size_t count() const { return errors_.size(); }
  /// Throws InvalidInput with everything that was added, if anything was.
  void raise() const;

 private:
  std::string file_;
  const std::string& source_;
  std::vector<std::string> errors_;
};

/// Thrown inside parser and checker, caught where they can go on.
struct LanguageError {
  Span span;
  std::string sentence;
};

/// Parses into `module`, whose `constants` hold the overrides; errors go to `diagnostics`.
void parse_module(const std::string& text, Module& module, Diagnostics& diagnostics, bool library);
/// Resolves names, infers types, checks the rules of the language; fills the tree in.
void check_module(Module& module, Diagnostics& diagnostics);
/// The functions that every model has: map, par_map, foldl, foldr, zip, rev, len, nth, append.
extern const char* const kPrelude;

}  // namespace ballast::dynamic
