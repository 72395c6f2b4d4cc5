// Recursive descent over the tokens of a model file; one function a rule of the grammar.
#include "ballast/dynamic/language/parser.h"

namespace ballast::dynamic {

void Parser::run() {
  while (peek().kind != Token::Kind::end) {
    const std::size_t start = at_;
    try {
      depth_ = 0;
      declaration();
    } catch (const LanguageError& error) {
      diagnostics_.add(error.span, error.sentence);
      if (at_ == start) ++at_;
      // On to what looks like the next declaration: one that begins a line.
      while (peek().kind != Token::Kind::end && !(peek().span.column == 1 && starts_declaration())) ++at_;
    }
  }
}

const Token& Parser::peek(std::size_t ahead) const {
  return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
}

Token Parser::next() {
  const Token token = peek();
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

bool Parser::accept(const std::string& text) {
  if (!is(text)) return false;
  next();
  return true;
}

void Parser::fail(const std::string& expected) const {
  throw LanguageError{peek().span, fmt::format("expected {}, found {}", expected,
                                               peek().kind == Token::Kind::end ? "the end of the file"
                                                                               : "'" + peek().text + "'")};
}

Token Parser::expect(const std::string& text) {
  if (!is(text)) fail("'" + text + "'");
  return next();
}

std::string Parser::name(const std::string& what) {
  if (peek().kind != Token::Kind::name || kKeywords.contains(peek().text)) fail(what);
  return next().text;
}

Span Parser::since(const Span& begin) const {
  Span span = begin;
  span.end = at_ == 0 ? begin.end : tokens_[at_ - 1].span.end;
  return span;
}

void Parser::declaration() {
  if (accept("const")) {
    const Span span = peek().span;
    const std::string id = name("the name of a constant");
    expect("=");
    const std::int64_t value = dimension();
    expect(";");
    if (!overridden(id)) module_.constants[id] = value;
    for (const auto& [other, text] : module_.constant_texts)
      if (other == id) throw LanguageError{span, fmt::format("constant '{}' is declared twice", id)};
    module_.constant_texts.emplace_back(id, nullptr);
  } else if (accept("type")) {
    type_declaration();
  } else if (accept("param")) {
    param_declaration();
  } else if (is("@") || is("fn")) {
    function_declaration();
  } else {
    fail("const, type, param, fn or an @attribute");
  }
}

bool Parser::declared(const std::string& id) const {
  for (const auto& [other, text] : module_.constant_texts)
    if (other == id) return true;
  return false;
}

void Parser::type_declaration() {
  TypeDecl decl;
  decl.span = peek().span;
  decl.name = name("the name of a type");
  generic_ = decl.parameters = type_parameters();
  expect("=");
  do {
    TypeDecl::Constructor constructor;
    constructor.span = peek().span;
    constructor.name = name("the name of a constructor");
    if (accept("(")) {
      while (!is(")")) {
        constructor.fields.push_back(type());
        if (!accept(",")) break;
      }
      expect(")");
    }
    decl.constructors.push_back(std::move(constructor));
  } while (accept("|"));
  expect(";");
  generic_.clear();
  module_.types.push_back(std::move(decl));
}

std::vector<std::string> Parser::type_parameters() {
  std::vector<std::string> names;
  if (accept("[")) {
    do names.push_back(name("a type parameter"));
    while (accept(","));
    expect("]");
  }
  return names;
}

void Parser::param_declaration() {
  ParamDecl decl;
  decl.span = peek().span;
  decl.name = name("the name of a parameter");
  expect(":");
  decl.type = type();
  if (accept("=")) {
    const Span span = peek().span;
    decl.init = name("zeros, ones, normal(sd), uniform(low, high) or xavier");
    if (accept("(")) {
      do {
        const double sign = accept("-") ? -1 : 1;
        if (peek().kind != Token::Kind::integer && peek().kind != Token::Kind::real) fail("a number");
        decl.init_args.push_back(sign * std::strtod(next().text.c_str(), nullptr));
      } while (accept(","));
      expect(")");
    }
    const std::size_t wanted = decl.init == "normal" ? 1 : decl.init == "uniform" ? 2 : 0;
    const bool known = wanted > 0 || decl.init == "zeros" || decl.init == "ones" || decl.init == "xavier";
    if (!known || decl.init_args.size() != wanted)
      throw LanguageError{span, fmt::format("initial value '{}' with {} number(s); accepted: zeros, ones, "
                                            "normal(sd), uniform(low, high), xavier",
                                            decl.init, decl.init_args.size())};
  }
  expect(";");
  module_.params.push_back(std::move(decl));
}

void Parser::function_declaration() {
  auto decl = std::make_shared<FunctionDecl>();
  while (accept("@")) {
    const Span span = peek().span;
    const std::string attribute = name("an attribute");
    if (attribute == "entry")
      decl->entry = true;
    else if (attribute == "inline")
      decl->inlined = true;
    else if (attribute == "block")
      decl->block = true;
    else if (attribute == "depth_constant")
      decl->depth_constant = true;
    else if (attribute == "no_split")
      decl->no_split = true;
    else
      throw LanguageError{
          span, fmt::format(
                    "unknown attribute '@{}'; accepted: @entry, @inline, @block, @depth_constant, @no_split",
                    attribute)};
  }
  expect("fn");
  decl->span = peek().span;
  decl->name = name("the name of a function");
  decl->library = library_;
  generic_ = decl->type_parameters = type_parameters();
  expect("(");
  while (!is(")")) {
    const std::string id = name("the name of an argument");
    expect(":");
    decl->parameters.emplace_back(id, type());
    if (!accept(",")) break;
  }
  expect(")");
  expect("->");
  decl->result = type();
  decl->body = block();
  generic_.clear();
  module_.functions.push_back(std::move(decl));
}

std::int64_t Parser::dimension() {
  std::int64_t value = dimension_product();
  while (is("+") || is("-")) {
    const Token sign = next();
    const std::int64_t other = dimension_product();
    if (sign.text == "+" ? __builtin_add_overflow(value, other, &value)
                         : __builtin_sub_overflow(value, other, &value))
      throw LanguageError{sign.span, "a number beyond 64 bits"};
  }
  return value;
}

std::int64_t Parser::dimension_product() {
  std::int64_t value = dimension_atom();
  while (is("*") || is("/")) {
    const Token sign = next();
    const std::int64_t other = dimension_atom();
    if (sign.text == "/" && other == 0) throw LanguageError{sign.span, "a division by zero"};
    if (sign.text == "/")
      value /= other;
    else if (__builtin_mul_overflow(value, other, &value))
      throw LanguageError{sign.span, "a number beyond 64 bits"};
  }
  return value;
}

std::int64_t Parser::dimension_atom() {
  if (is("?"))
    throw LanguageError{peek().span,
                        "extents that are only known at run time are not supported; use a constant"};
  if (accept("(")) {
    const std::int64_t value = dimension();
    expect(")");
    return value;
  }
  if (peek().kind == Token::Kind::integer) return integer(next());
  const Span span = peek().span;
  const std::string id = name("a number or the name of a constant");
  const auto found = module_.constants.find(id);
  if (found == module_.constants.end() || !declared(id))
    throw LanguageError{span, fmt::format("unknown constant '{}'", id)};
  return found->second;
}

std::int64_t Parser::integer(const Token& token) const {
  errno = 0;
  const long long value = std::strtoll(token.text.c_str(), nullptr, 10);
  if (errno != 0 || value > std::numeric_limits<std::int32_t>::max())
    throw LanguageError{token.span, "a number beyond 32 bits"};
  return value;
}

Type Parser::type() {
  if (++depth_ > kDeepest) throw LanguageError{peek().span, "types nested too deep"};
  const Type result = type_here();
  --depth_;
  return result;
}

Type Parser::type_here() {
  if (accept("(")) {
    std::vector<Type> parts;
    while (!is(")")) {
      parts.push_back(type());
      if (!accept(",")) break;
    }
    expect(")");
    return parts.size() == 1 ? parts[0] : tuple_type(parts);
  }
  if (accept("fn")) {
    expect("(");
    std::vector<Type> parameters;
    while (!is(")")) {
      parameters.push_back(type());
      if (!accept(",")) break;
    }
    expect(")");
    expect("->");
    return function_type(parameters, type());
  }
  const Span span = peek().span;
  const std::string id = name("a type");
  if (id == "i32") return scalar_type(TypeNode::Kind::integer);
  if (id == "f32") return scalar_type(TypeNode::Kind::real);
  if (id == "bool") return scalar_type(TypeNode::Kind::boolean);
  if (id == "Tensor") {
    expect("[");
    const bool integers = is("i32");
    if (!accept("i32") && !accept("f32")) fail("f32 or i32");
    Shape shape;
    while (accept(",")) {
      const Span here = peek().span;
      shape.push_back(dimension());
      if (shape.back() < 1 || shape.back() > (std::int64_t{1} << 31) ||
          volume(shape) > (std::int64_t{1} << 33))
        throw LanguageError{
            since(here),
            fmt::format("an extent of {}; accepted: 1 to 2^31, 2^33 elements in all", shape.back())};
    }
    expect("]");
    return tensor_type(shape, integers);
  }
  std::vector<Type> args;
  if (accept("[")) {
    do args.push_back(type());
    while (accept(","));
    expect("]");
  }
  if (args.empty()) {
    for (const std::string& parameter : generic_)
      if (parameter == id) return parameter_type(id);
  }
  uses_.push_back({span, id});
  return data_type(id, args);
}

void parse_module(const std::string& text, Module& module, Diagnostics& diagnostics, bool library) {
  Parser(text, module, diagnostics, library).run();
}

Module Module::from_text(const std::string& text, const std::string& file,
                         const std::map<std::string, std::int64_t>& constants) {
  Module module;
  module.file = file;
  module.source = text;
  {
    const std::string prelude = kPrelude;
    Diagnostics own("prelude", prelude);
    parse_module(prelude, module, own, true);
    BALLAST_CHECK(!own.any());
  }
  module.constants = constants;
  Diagnostics diagnostics(file, module.source);
  parse_module(text, module, diagnostics, false);
  diagnostics.raise();
  for (const auto& [name, value] : constants) {
    bool known = false;
    for (const auto& [other, none] : module.constant_texts) known |= other == name;
    if (!known)
      throw InvalidInput(
          fmt::format("{}: -D {}={}: the model has no constant '{}'", file, name, value, name));
  }
  check_module(module, diagnostics);
  diagnostics.raise();
  return module;
}

Module Module::from_file(const std::string& path, const std::map<std::string, std::int64_t>& constants) {
  return from_text(read_file(path, std::uint64_t{1} << 24), path, constants);
}

}  // namespace ballast::dynamic
