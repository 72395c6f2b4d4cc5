// The recursive-descent parser of model files; one function a rule of the grammar (docs/dynamic.md).
#pragma once

#include <fmt/format.h>
#include <cstdlib>
#include <limits>
#include <set>
#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/dynamic/language/lexer.h"

namespace ballast::dynamic {

const std::set<std::string> kKeywords{"const", "type",  "param",      "fn",    "let",  "phase", "if",
                                      "else",  "match", "concurrent", "while", "true", "false"};
constexpr int kDeepest = 200;  // nested expressions

class Parser {
 public:
  Parser(const std::string& text, Module& module, Diagnostics& diagnostics, bool library)
      : tokens_(tokenize(text, diagnostics)), module_(module), diagnostics_(diagnostics), library_(library) {}

  void run();

 private:
  const Token& peek(std::size_t ahead = 0) const;
  bool is(const std::string& text) const { return peek().text == text && peek().kind != Token::Kind::end; }
  bool starts_declaration() const { return is("const") || is("type") || is("param") || is("fn") || is("@"); }
  Token next();
  bool accept(const std::string& text);
  [[noreturn]] void fail(const std::string& expected) const;
  Token expect(const std::string& text);
  std::string name(const std::string& what);
  Span since(const Span& begin) const;

  void declaration();
  bool overridden(const std::string& id) const { return module_.constants.contains(id) && !declared(id); }
  bool declared(const std::string& id) const;

  void type_declaration();

  std::vector<std::string> type_parameters();

  void param_declaration();

  void function_declaration();

  // dim := INT | ID | dim (+ - *) dim, of constants.
  std::int64_t dimension();
  std::int64_t dimension_product();
  std::int64_t dimension_atom();
  std::int64_t integer(const Token& token) const;

  Type type();
  Type type_here();

  ExprPtr make(Expr::Kind kind, const Span& span) const;

  ExprPtr block();

  Pattern pattern(bool constructors);

  static int strength(const std::string& op);

  ExprPtr expression(int least = 1);

  ExprPtr prefix();

  ExprPtr primary();

  ExprPtr branch(const Span& span);

  ExprPtr match(const Span& span);

  ExprPtr loop(const Span& span);

  std::vector<Token> tokens_;
  Module& module_;
  Diagnostics& diagnostics_;
  bool library_;
  std::size_t at_ = 0;
  int depth_ = 0;
  std::vector<std::string> generic_;
  std::vector<std::pair<Span, std::string>> uses_;
};

}  // namespace ballast::dynamic
