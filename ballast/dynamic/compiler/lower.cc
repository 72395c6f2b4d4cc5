// From the checked syntax tree to first-order A-normal form.
#include "ballast/dynamic/compiler/lowering.h"

namespace ballast::dynamic {

Program Lowering::run() {
  const FunctionDecl& entry = module_.entry();
  std::vector<Binding> none(entry.parameters.size());
  program_.entry = instantiate(entry, {}, none).first;
  while (!pending_.empty()) {
    const std::function<void()> work = std::move(pending_.front());
    pending_.pop_front();
    work();
  }
  program_.functions.assign(std::make_move_iterator(functions_.begin()),
                            std::make_move_iterator(functions_.end()));
  remove_unused(program_);
  return std::move(program_);
}

void Lowering::fail(const Expr& e, const std::string& sentence) const {
  throw InvalidInput(fmt::format("{}:{}:{}: {}", module_.file, e.span.line, e.span.column, sentence));
}

Binding Lowering::renamed(const Binding& b, const Rename& rename) const {
  Binding out = b;
  if (b.tuple) {
    out.tuple = std::make_shared<std::vector<Binding>>();
    for (const Binding& part : *b.tuple) out.tuple->push_back(renamed(part, rename));
    out.atom = {};
  } else if (b.function) {
    out.function = renamed(b.function, rename);
  } else if (b.atom.is_var()) {
    out.atom = rename(b.atom, b.type);
  }
  return out;
}

std::shared_ptr<const StaticFunction> Lowering::renamed(const std::shared_ptr<const StaticFunction>& f,
                                                        const Rename& rename) const {
  if (f->lambda == nullptr) return f;
  auto copy = std::make_shared<StaticFunction>(*f);
  auto env = std::make_shared<Env>();
  std::set<std::string> used;
  names_in(*f->lambda, used);
  for (const auto& [name, binding] : *f->captured)
    if (used.contains(name)) (*env)[name] = renamed(binding, rename);
  copy->captured = env;
  return copy;
}

std::string Lowering::signature(const Binding& b) const {
  if (b.tuple) {
    std::string text = "(";
    for (const Binding& part : *b.tuple) text += signature(part) + ",";
    return text + ")";
  }
  if (b.function) {
    const StaticFunction& f = *b.function;
    std::string text = f.decl != nullptr ? "fn " + f.decl->name
                                         : fmt::format("lambda {}", static_cast<const void*>(f.lambda));
    for (const Type& type : f.types.types) text += " " + to_string(type);
    if (f.lambda != nullptr) {
      std::set<std::string> used;
      names_in(*f.lambda, used);
      for (const auto& [name, binding] : *f.captured)
        if (used.contains(name)) text += fmt::format(" {}={}", name, signature(binding));
    }
    return "[" + text + "]";
  }
  if (b.atom.is_var()) return "var:" + to_string(b.type);
  return fmt::format("{}:{}:{}:{}", static_cast<int>(b.atom.kind), b.atom.id, b.atom.integer, b.atom.real);
}

void Lowering::names_in(const Expr& e, std::set<std::string>& used) {
  if (e.kind == Expr::Kind::name || e.callee == Expr::Callee::local) used.insert(e.name);
  for (const Let& let : e.lets)
    if (let.value) names_in(*let.value, used);
  for (const ExprPtr& arg : e.args) names_in(*arg, used);
  for (const Arm& arm : e.arms) names_in(*arm.body, used);
}

std::pair<int, std::vector<Atom>> Lowering::instantiate(const FunctionDecl& decl,
                                                        const std::vector<Type>& types,
                                                        const std::vector<Binding>& args) {
  std::string key = decl.name;
  for (const Type& type : types) key += " " + to_string(type);
  std::vector<Atom> captured;
  std::vector<Type> captured_types;
  for (std::size_t i = 0; i < args.size(); ++i) {
    if (!args[i].function) continue;
    key += fmt::format(" {}:{}", i, signature(args[i]));
    renamed(args[i], [&](const Atom& atom, const Type& type) {
      captured.push_back(atom);
      captured_types.push_back(type);
      return atom;
    });
  }
  const auto known = instances_.find(key);
  if (known != instances_.end()) return {known->second, captured};
  if (instances_.size() >= kMostInstances)
    throw InvalidInput(
        fmt::format("{}: function '{}' needs more than {} instances: its type or function arguments grow "
                    "with each call",
                    module_.file, decl.name, kMostInstances));
  const int id = static_cast<int>(functions_.size());
  instances_[key] = id;
  functions_.emplace_back();
  CoreFunction& f = functions_.back();
  int copies = 0;
  for (const CoreFunction& other : functions_)
    copies += other.name == decl.name || other.name.starts_with(decl.name + "'") ? 1 : 0;
  f.name = decl.name + (copies == 0 ? "" : fmt::format("'{}", copies));
  f.depth_constant = decl.depth_constant;
  f.no_split = decl.no_split;
  const TypeNames names{decl.type_parameters, types};
  f.result = substitute(decl.result, names.names, types);
  Env env;
  for (std::size_t i = 0; i < decl.parameters.size(); ++i) {
    if (i < args.size() && args[i].function) continue;
    const Type type = substitute(decl.parameters[i].second, names.names, types);
    const VarId v = f.fresh(type);
    f.params.push_back(v);
    env[decl.parameters[i].first] = {.atom = Atom::var(v), .type = type};
  }
  for (std::size_t i = 0; i < args.size(); ++i) {
    if (!args[i].function) continue;
    env[decl.parameters[i].first] = renamed(args[i], [&](const Atom&, const Type& type) {
      const VarId v = f.fresh(type);
      f.params.push_back(v);
      return Atom::var(v);
    });
  }
  pending_.push_back([this, id, env, names, &decl] {
    enter(id, names);
    Block body;
    in_block(body, [&] { return lower(*decl.body, env); });
    functions_[static_cast<std::size_t>(id)].body = std::move(body);
  });
  return {id, captured};
}

void Lowering::enter(int id, const TypeNames& names) {
  function_ = id;
  types_ = names;
  projected_.assign(1, {});
  inlined_ = 0;
}

Binding Lowering::emit(Stmt stmt, const Type& type) {
  const VarId v = f().fresh(type);
  stmt.results = {v};
  block_->stmts.push_back(std::move(stmt));
  return {.atom = Atom::var(v), .type = type};
}

Atom Lowering::object(const Binding& b) {
  if (!b.tuple) return b.atom;
  Stmt s{.kind = Stmt::Kind::construct};
  for (const Binding& part : *b.tuple) s.args.push_back(object(part));
  return emit(std::move(s), b.type).atom;
}

Binding Lowering::project(const Binding& b, std::int64_t index) {
  if (b.tuple) return (*b.tuple)[static_cast<std::size_t>(index)];
  const std::pair<VarId, std::int64_t> key{b.atom.id, index};
  for (const auto& scope : projected_) {
    const auto found = scope.find(key);
    if (found != scope.end()) return found->second;
  }
  const Binding field = emit({.kind = Stmt::Kind::project, .args = {b.atom}, .tag = static_cast<int>(index)},
                             resolved(b.type)->args[static_cast<std::size_t>(index)]);
  projected_.back()[key] = field;
  return field;
}

void Lowering::bind(const Pattern& pattern, const Binding& value, Env& env) {
  if (pattern.kind == Pattern::Kind::name) env[pattern.name] = value;
  for (std::size_t i = 0; i < pattern.parts.size(); ++i)
    bind(pattern.parts[i], project(value, static_cast<std::int64_t>(i)), env);
}

Program lower(const Module& module) {
  return Lowering(module).run();
}

}  // namespace ballast::dynamic
