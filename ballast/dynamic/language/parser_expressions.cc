// Rules of the grammar below declarations: blocks, patterns, expressions.
#include "ballast/dynamic/language/parser.h"

namespace ballast::dynamic {

ExprPtr Parser::make(Expr::Kind kind, const Span& span) const {
  auto e = std::make_shared<Expr>();
  e->kind = kind;
  e->span = span;
  return e;
}

ExprPtr Parser::block() {
  const ExprPtr e = make(Expr::Kind::block, peek().span);
  expect("{");
  for (;;) {
    const Span span = peek().span;
    if (accept("phase")) {
      expect(";");
      e->lets.push_back({{}, nullptr, span});
    } else if (accept("let")) {
      Let let{pattern(false), nullptr, span};
      expect("=");
      let.value = expression();
      expect(";");
      let.span = since(span);
      e->lets.push_back(std::move(let));
    } else {
      break;
    }
  }
  e->args.push_back(expression());
  expect("}");
  e->span = since(e->span);
  return e;
}

Pattern Parser::pattern(bool constructors) {
  if (++depth_ > kDeepest) throw LanguageError{peek().span, "patterns nested too deep"};
  Pattern p;
  p.span = peek().span;
  if (accept("(")) {
    p.kind = Pattern::Kind::tuple;
    while (!is(")")) {
      p.parts.push_back(pattern(false));
      if (!accept(",")) break;
    }
    expect(")");
  } else if (is("_")) {
    next();
  } else {
    p.name = name("a name, _ or a pattern");
    p.kind = Pattern::Kind::name;
    const bool upper = p.name[0] >= 'A' && p.name[0] <= 'Z';
    if (constructors && (upper || is("("))) {
      p.kind = Pattern::Kind::constructor;
      if (accept("(")) {
        while (!is(")")) {
          p.parts.push_back(pattern(false));
          if (!accept(",")) break;
        }
        expect(")");
      }
    }
  }
  p.span = since(p.span);
  --depth_;
  return p;
}

int Parser::strength(const std::string& op) {
  if (op == "||") return 1;
  if (op == "&&") return 2;
  if (op == "==" || op == "!=" || op == "<" || op == "<=" || op == ">" || op == ">=") return 3;
  if (op == "+" || op == "-") return 4;
  if (op == "*" || op == "/" || op == "%") return 5;
  return 0;
}

ExprPtr Parser::expression(int least) {
  if (++depth_ > kDeepest) throw LanguageError{peek().span, "expressions nested too deep"};
  ExprPtr left = prefix();
  while (peek().kind == Token::Kind::symbol && strength(peek().text) >= least) {
    const Token op = next();
    const ExprPtr e = make(Expr::Kind::binary, left->span);
    e->name = op.text;
    e->args = {left, expression(strength(op.text) + 1)};
    e->span = since(left->span);
    left = e;
  }
  --depth_;
  return left;
}

ExprPtr Parser::prefix() {
  const Span span = peek().span;
  if (is("-") || is("!")) {
    const ExprPtr e = make(Expr::Kind::unary, span);
    e->name = next().text;
    if (++depth_ > kDeepest) throw LanguageError{span, "expressions nested too deep"};
    e->args = {prefix()};
    --depth_;
    e->span = since(span);
    return e;
  }
  ExprPtr e = primary();
  while (accept(".")) {
    const ExprPtr project = make(Expr::Kind::project, span);
    if (peek().kind != Token::Kind::integer) fail("the number of a tuple's field");
    project->integer = integer(next());
    project->args = {e};
    project->span = since(span);
    e = project;
  }
  return e;
}

ExprPtr Parser::primary() {
  const Span span = peek().span;
  if (peek().kind == Token::Kind::integer) {
    const ExprPtr e = make(Expr::Kind::integer, span);
    e->integer = integer(next());
    return e;
  }
  if (peek().kind == Token::Kind::real) {
    const ExprPtr e = make(Expr::Kind::real, span);
    e->real = std::strtod(next().text.c_str(), nullptr);
    return e;
  }
  if (is("true") || is("false")) {
    const ExprPtr e = make(Expr::Kind::boolean, span);
    e->integer = next().text == "true" ? 1 : 0;
    return e;
  }
  if (is("{")) return block();
  if (accept("if")) return branch(span);
  if (accept("match")) return match(span);
  if (accept("while")) return loop(span);
  if (accept("concurrent")) {
    const ExprPtr e = make(Expr::Kind::concurrent, span);
    expect("{");
    while (!is("}")) {
      e->args.push_back(expression());
      if (!accept(",")) break;
    }
    expect("}");
    e->span = since(span);
    if (e->args.size() < 2) throw LanguageError{e->span, "concurrent needs at least two expressions"};
    return e;
  }
  if (is("|") || is("||")) {
    const ExprPtr e = make(Expr::Kind::lambda, span);
    if (!accept("||")) {
      next();
      while (!is("|")) {
        e->names.push_back(name("the name of an argument"));
        if (!accept(",")) break;
      }
      expect("|");
    }
    e->args = {expression()};
    e->span = since(span);
    return e;
  }
  if (accept("(")) {
    const ExprPtr e = make(Expr::Kind::tuple, span);
    bool comma = false;
    while (!is(")")) {
      e->args.push_back(expression());
      if (!accept(",")) break;
      comma = true;
    }
    expect(")");
    e->span = since(span);
    return e->args.size() == 1 && !comma ? e->args[0] : e;
  }
  const ExprPtr e = make(Expr::Kind::name, span);
  e->name = name("an expression");
  if (accept("(")) {
    e->kind = Expr::Kind::call;
    while (!is(")")) {
      e->args.push_back(expression());
      if (!accept(",")) break;
    }
    expect(")");
    e->span = since(span);
  }
  return e;
}

ExprPtr Parser::branch(const Span& span) {
  const ExprPtr e = make(Expr::Kind::branch, span);
  e->args = {expression(), block()};
  expect("else");
  const Span other = peek().span;
  if (accept("if"))
    e->args.push_back(branch(other));
  else
    e->args.push_back(block());
  e->span = since(span);
  return e;
}

ExprPtr Parser::match(const Span& span) {
  const ExprPtr e = make(Expr::Kind::match, span);
  e->args = {expression()};
  expect("{");
  while (!is("}")) {
    Arm arm{pattern(true), nullptr};
    expect("=>");
    arm.body = expression();
    e->arms.push_back(std::move(arm));
    if (!accept(",")) break;
  }
  expect("}");
  e->span = since(span);
  return e;
}

ExprPtr Parser::loop(const Span& span) {
  const ExprPtr e = make(Expr::Kind::loop, span);
  expect("(");
  do {
    e->names.push_back(name("the name of a loop variable"));
    expect("=");
    e->args.push_back(expression());
  } while (accept(","));
  expect(";");
  e->args.push_back(expression());
  expect(")");
  e->args.push_back(block());
  e->span = since(span);
  return e;
}

}  // namespace ballast::dynamic
