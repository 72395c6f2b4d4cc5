#include "ballast/dynamic/language/builder.h"

#include <cctype>

#include "ballast/base/errors.h"
#include "ballast/dynamic/language/diagnostics.h"

namespace ballast::dynamic {
namespace {

ExprPtr make(Expr::Kind kind, std::vector<Ex> args = {}, std::string name = {}) {
  auto e = std::make_shared<Expr>();
  e->kind = kind;
  e->name = std::move(name);
  for (Ex& arg : args) e->args.push_back(arg.get());
  return e;
}

Ex binary(const char* symbol, const Ex& a, const Ex& b) {
  return Ex(make(Expr::Kind::binary, {a, b}, symbol));
}

Pattern pattern_of(const std::string& name) {
  return {.kind = name == "_" ? Pattern::Kind::any : Pattern::Kind::name, .name = name == "_" ? "" : name};
}

/// Bodies are blocks, as the parser makes them.
ExprPtr body_of(const Ex& e) {
  return e.get()->kind == Expr::Kind::block ? e.get() : make(Expr::Kind::block, {e});
}

void require_name(const std::string& name) {
  bool good = !name.empty() && std::isdigit(static_cast<unsigned char>(name[0])) == 0;
  for (const unsigned char c : name) good &= std::isalnum(c) != 0 || c == '_';
  if (!good) throw InvalidInput("name", name, "letters, digits and _, not beginning with a digit");
}

/// The checker writes types into the tree, so every build works on a tree of its own; one node may stand in
/// several places of what a user built.
ExprPtr copy_of(const ExprPtr& e) {
  if (!e) return nullptr;
  auto copy = std::make_shared<Expr>(*e);
  for (ExprPtr& arg : copy->args) arg = copy_of(arg);
  for (Let& let : copy->lets) let.value = copy_of(let.value);
  for (Arm& arm : copy->arms) arm.body = copy_of(arm.body);
  return copy;
}

}  // namespace

Ex::Ex(std::int64_t value) : expr_(make(value < 0 ? Expr::Kind::unary : Expr::Kind::integer)) {
  if (value >= 0) {
    expr_->integer = value;
    return;
  }
  expr_->name = "-";
  expr_->args = {Ex(-value).get()};
}

Ex::Ex(double value) : expr_(make(value < 0 ? Expr::Kind::unary : Expr::Kind::real)) {
  if (value >= 0) {
    expr_->real = value;
    return;
  }
  expr_->name = "-";
  expr_->args = {Ex(-value).get()};
}

Ex Ex::field(std::int64_t index) const {
  Ex e(make(Expr::Kind::project, {*this}));
  e.expr_->integer = index;
  return e;
}

Ex operator+(const Ex& a, const Ex& b) {
  return binary("+", a, b);
}
Ex operator-(const Ex& a, const Ex& b) {
  return binary("-", a, b);
}
Ex operator*(const Ex& a, const Ex& b) {
  return binary("*", a, b);
}
Ex operator/(const Ex& a, const Ex& b) {
  return binary("/", a, b);
}
Ex operator-(const Ex& a) {
  return Ex(make(Expr::Kind::unary, {a}, "-"));
}
Ex operator<(const Ex& a, const Ex& b) {
  return binary("<", a, b);
}
Ex operator==(const Ex& a, const Ex& b) {
  return binary("==", a, b);
}

Ex var(const std::string& name) {
  return Ex(make(Expr::Kind::name, {}, name));
}
Ex call(const std::string& name, std::vector<Ex> args) {
  return Ex(make(Expr::Kind::call, std::move(args), name));
}
Ex tuple(std::vector<Ex> parts) {
  return Ex(make(Expr::Kind::tuple, std::move(parts)));
}
Ex lambda(std::vector<std::string> names, const Ex& body) {
  Ex e(make(Expr::Kind::lambda, {body}));
  e.get()->names = std::move(names);
  return e;
}
Ex concurrent(std::vector<Ex> arms) {
  return Ex(make(Expr::Kind::concurrent, std::move(arms)));
}
Ex branch(const Ex& condition, const Ex& then, const Ex& otherwise) {
  return Ex(make(Expr::Kind::branch, {condition, Ex(body_of(then)), Ex(body_of(otherwise))}));
}

Ex match(const Ex& value, std::vector<ArmOf> arms) {
  Ex e(make(Expr::Kind::match, {value}));
  for (ArmOf& arm : arms) {
    Pattern pattern{.kind = Pattern::Kind::constructor, .name = arm.constructor};
    for (const std::string& name : arm.names) pattern.parts.push_back(pattern_of(name));
    e.get()->arms.push_back({std::move(pattern), arm.body.get()});
  }
  return e;
}

Ex block(std::vector<std::pair<std::string, Ex>> lets, const Ex& result) {
  Ex e(make(Expr::Kind::block, {result}));
  for (const auto& [name, value] : lets)
    e.get()->lets.push_back(name.empty() ? Let{} : Let{pattern_of(name), value.get()});
  return e;
}
std::pair<std::string, Ex> phase() {
  return {"", Ex(0)};
}

Ex loop(std::vector<std::pair<std::string, Ex>> state, const Ex& condition, const Ex& body) {
  Ex e(make(Expr::Kind::loop));
  for (const auto& [name, value] : state) {
    e.get()->names.push_back(name);
    e.get()->args.push_back(value.get());
  }
  e.get()->args.push_back(condition.get());
  e.get()->args.push_back(body_of(body));
  return e;
}

Type i32() {
  return scalar_type(TypeNode::Kind::integer);
}
Type f32() {
  return scalar_type(TypeNode::Kind::real);
}
Type list_of(const Type& item) {
  return data_type("List", {item});
}

Builder::Builder(std::string name) {
  module_.file = std::move(name);
  const std::string prelude = kPrelude;
  Diagnostics own("prelude", prelude);
  parse_module(prelude, module_, own, true);
  BALLAST_CHECK(!own.any());
}

std::int64_t Builder::constant(const std::string& name, std::int64_t value) {
  require_name(name);
  if (value < 1) throw InvalidInput("constant '" + name + "'", std::to_string(value), "a positive integer");
  if (!module_.constants.emplace(name, value).second)
    throw InvalidInput("constant '" + name + "' is declared twice");
  module_.constant_texts.emplace_back(name, nullptr);
  return value;
}

Type Builder::type(const std::string& name,
                   std::vector<std::pair<std::string, std::vector<Type>>> constructors) {
  TypeDecl decl{.name = name, .parameters = {}, .constructors = {}};
  for (auto& [constructor, fields] : constructors)
    decl.constructors.push_back({constructor, std::move(fields)});
  module_.types.push_back(std::move(decl));
  return data_type(name, {});
}

Ex Builder::param(const std::string& name, Shape shape, const std::string& init, std::vector<double> args) {
  require_name(name);
  for (const std::int64_t extent : shape)
    if (extent < 1) throw InvalidInput("shape of '" + name + "'", to_string(shape), "positive extents");
  const std::size_t wanted = init == "normal" ? 1 : init == "uniform" ? 2 : 0;
  if (init != "zeros" && init != "ones" && init != "xavier" && wanted == 0)
    throw InvalidInput("initial value of '" + name + "'", init, "zeros, ones, normal, uniform or xavier");
  if (args.size() != wanted)
    throw InvalidInput("initial value of '" + name + "': " + init + " takes " + std::to_string(wanted) +
                       " number(s)");
  module_.params.push_back({name, tensor_type(std::move(shape)), init, std::move(args)});
  return var(name);
}

FunctionDecl& Builder::fn(const std::string& name, Formals formals, Type result, const Ex& body) {
  auto f = std::make_shared<FunctionDecl>();
  f->name = name;
  f->parameters = std::move(formals);
  f->result = std::move(result);
  f->body = body_of(body);
  require_name(name);
  for (const auto& [formal, type] : f->parameters) require_name(formal);
  module_.functions.push_back(f);
  return *f;
}

FunctionDecl& Builder::entry(const std::string& name, Formals formals, Type result, const Ex& body) {
  FunctionDecl& f = fn(name, std::move(formals), std::move(result), body);
  f.entry = true;
  return f;
}

Module Builder::build() const {
  Module module = module_;
  for (auto& f : module.functions) {
    f = std::make_shared<FunctionDecl>(*f);
    f->body = copy_of(f->body);
  }
  Diagnostics diagnostics(module.file, module.source);
  check_module(module, diagnostics);
  // A mistake has no place in a text, so it is shown in the text that the tree stands for.
  if (diagnostics.any()) Module::from_text(to_text(module_), module.file);
  diagnostics.raise();
  return module;
}

}  // namespace ballast::dynamic
