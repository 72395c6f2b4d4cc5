// From the checked syntax tree to first-order A-normal form.
#include <fmt/format.h>

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "ballast/base/errors.h"
#include "ballast/dynamic/compiler/core.h"

namespace ballast::dynamic {
namespace {

constexpr std::size_t kMostInstances = 2000;
constexpr int kDeepestInlining = 64;

struct TypeNames {
  std::vector<std::string> names;
  std::vector<Type> types;
};

struct Binding;
using Env = std::map<std::string, Binding>;

/// A function value: a declared function or a lambda with what it captured.
struct StaticFunction {
  const FunctionDecl* decl = nullptr;
  const Expr* lambda = nullptr;
  std::shared_ptr<const Env> captured = nullptr;
  TypeNames types = {};
};

/// What a name stands for. A tuple that is put together here is kept apart until it is needed as an object.
struct Binding {
  Atom atom = {};
  std::shared_ptr<const StaticFunction> function = nullptr;
  std::shared_ptr<std::vector<Binding>> tuple = nullptr;
  Type type = nullptr;
};

class Lowering {
 public:
  explicit Lowering(const Module& module) : module_(module) {
    program_.module = &module;
    for (const ParamDecl& param : module.params) {
      program_.global({.kind = Global::Kind::param, .name = param.name, .shape = param.type->shape});
      params_[param.name] = static_cast<GlobalId>(program_.globals.size()) - 1;
    }
  }

  Program run() {
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

 private:
  [[noreturn]] void fail(const Expr& e, const std::string& sentence) const {
    throw InvalidInput(fmt::format("{}:{}:{}: {}", module_.file, e.span.line, e.span.column, sentence));
  }
  Type concrete(const Type& type) const { return substitute(type, types_.names, types_.types); }

  // --- function values as part of an instance's key -------------------------------------------------------

  using Rename = std::function<Atom(const Atom&, const Type&)>;
  /// The binding with its variables renamed; visits them in a fixed order.
  Binding renamed(const Binding& b, const Rename& rename) const {
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
  std::shared_ptr<const StaticFunction> renamed(const std::shared_ptr<const StaticFunction>& f,
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
  std::string signature(const Binding& b) const {
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
  static void names_in(const Expr& e, std::set<std::string>& used) {
    if (e.kind == Expr::Kind::name || e.callee == Expr::Callee::local) used.insert(e.name);
    for (const Let& let : e.lets)
      if (let.value) names_in(*let.value, used);
    for (const ExprPtr& arg : e.args) names_in(*arg, used);
    for (const Arm& arm : e.arms) names_in(*arm.body, used);
  }

  /// The function for these type and function arguments, lowered later; and the variables its function
  /// arguments captured, which are passed behind the others.
  std::pair<int, std::vector<Atom>> instantiate(const FunctionDecl& decl, const std::vector<Type>& types,
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

  void enter(int id, const TypeNames& names) {
    function_ = id;
    types_ = names;
    projected_.assign(1, {});
    inlined_ = 0;
  }

  // --- statements ----------------------------------------------------------------------------------------

  CoreFunction& f() { return functions_[static_cast<std::size_t>(function_)]; }
  Binding emit(Stmt stmt, const Type& type) {
    const VarId v = f().fresh(type);
    stmt.results = {v};
    block_->stmts.push_back(std::move(stmt));
    return {.atom = Atom::var(v), .type = type};
  }
  template <typename Work>
  void in_block(Block& block, const Work& work) {
    Block* outer = block_;
    block_ = &block;
    projected_.emplace_back();
    block.result = object(work());
    projected_.pop_back();
    block_ = outer;
  }

  /// The binding as one atom; a tuple that was kept apart is put together.
  Atom object(const Binding& b) {
    if (!b.tuple) return b.atom;
    Stmt s{.kind = Stmt::Kind::construct};
    for (const Binding& part : *b.tuple) s.args.push_back(object(part));
    return emit(std::move(s), b.type).atom;
  }

  Binding project(const Binding& b, std::int64_t index) {
    if (b.tuple) return (*b.tuple)[static_cast<std::size_t>(index)];
    const std::pair<VarId, std::int64_t> key{b.atom.id, index};
    for (const auto& scope : projected_) {
      const auto found = scope.find(key);
      if (found != scope.end()) return found->second;
    }
    const Binding field =
        emit({.kind = Stmt::Kind::project, .args = {b.atom}, .tag = static_cast<int>(index)},
             resolved(b.type)->args[static_cast<std::size_t>(index)]);
    projected_.back()[key] = field;
    return field;
  }

  void bind(const Pattern& pattern, const Binding& value, Env& env) {
    if (pattern.kind == Pattern::Kind::name) env[pattern.name] = value;
    for (std::size_t i = 0; i < pattern.parts.size(); ++i)
      bind(pattern.parts[i], project(value, static_cast<std::int64_t>(i)), env);
  }

  // --- expressions ---------------------------------------------------------------------------------------

  Binding lower(const Expr& e, const Env& env) {
    const Type type = concrete(e.type);
    switch (e.kind) {
      case Expr::Kind::integer:
      case Expr::Kind::boolean:
        return {.atom = Atom::of_integer(e.integer), .type = type};
      case Expr::Kind::real:
        return {.atom = Atom::of_real(e.real), .type = type};
      case Expr::Kind::name:
        return lower_name(e, env, type);
      case Expr::Kind::call:
        return lower_call(e, env, type);
      case Expr::Kind::tuple: {
        auto parts = std::make_shared<std::vector<Binding>>();
        for (const ExprPtr& arg : e.args) parts->push_back(lower(*arg, env));
        return {.tuple = parts, .type = type};
      }
      case Expr::Kind::project:
        return project(lower(*e.args[0], env), e.integer);
      case Expr::Kind::block: {
        Env inner = env;
        for (const Let& let : e.lets) {
          if (let.value)
            bind(let.pattern, lower(*let.value, inner), inner);
          else
            block_->stmts.push_back({.kind = Stmt::Kind::phase});
        }
        return lower(*e.args[0], inner);
      }
      case Expr::Kind::branch: {
        Stmt s{.kind = Stmt::Kind::branch, .args = {object(lower(*e.args[0], env))}};
        s.blocks.resize(2);
        in_block(s.blocks[0], [&] { return lower(*e.args[1], env); });
        in_block(s.blocks[1], [&] { return lower(*e.args[2], env); });
        return emit(std::move(s), type);
      }
      case Expr::Kind::match:
        return lower_match(e, env, type);
      case Expr::Kind::lambda:
        return {.function = std::make_shared<StaticFunction>(StaticFunction{
                    .lambda = &e, .captured = std::make_shared<const Env>(env), .types = types_}),
                .type = type};
      case Expr::Kind::concurrent: {
        Stmt s{.kind = Stmt::Kind::concurrent};
        s.blocks.resize(e.args.size());
        auto parts = std::make_shared<std::vector<Binding>>();
        for (std::size_t i = 0; i < e.args.size(); ++i) {
          in_block(s.blocks[i], [&] { return lower(*e.args[i], env); });
          const VarId v = f().fresh(resolved(type)->args[i]);
          s.results.push_back(v);
          parts->push_back({.atom = Atom::var(v), .type = resolved(type)->args[i]});
        }
        block_->stmts.push_back(std::move(s));
        return {.tuple = parts, .type = type};
      }
      case Expr::Kind::loop:
        return lower_loop(e, env, type);
      case Expr::Kind::unary: {
        const Binding x = lower(*e.args[0], env);
        const bool real = type->kind == TypeNode::Kind::real;
        return emit({.kind = Stmt::Kind::scalar,
                     .args = {x.atom},
                     .scalar_op = e.name == "!" ? ScalarOp::logical_not : ScalarOp::neg,
                     .real = real},
                    type);
      }
      default:
        return lower_binary(e, env, type);
    }
  }

  Binding lower_name(const Expr& e, const Env& env, const Type& type) {
    const auto local = env.find(e.name);
    if (local != env.end()) return local->second;
    const auto param = params_.find(e.name);
    if (param != params_.end()) return {.atom = Atom::global(param->second), .type = type};
    std::vector<Type> instance;
    for (const Type& t : e.instance) instance.push_back(concrete(t));
    const FunctionDecl* decl = module_.find_function(e.name);
    return {.function = std::make_shared<StaticFunction>(
                StaticFunction{.decl = decl, .types = {decl->type_parameters, instance}}),
            .type = type};
  }

  Binding lower_match(const Expr& e, const Env& env, const Type& type) {
    const Binding value = lower(*e.args[0], env);
    const Type data = concrete(e.args[0]->type);
    Stmt s{.kind = Stmt::Kind::match, .args = {object(value)}};
    for (const Arm& arm : e.arms) {
      Env inner = env;
      std::vector<VarId> binders;
      std::vector<Binding> fields;
      int tag = -1;
      if (arm.pattern.kind == Pattern::Kind::constructor) {
        module_.find_constructor(arm.pattern.name, &tag);
        for (const Type& field : module_.field_types(data, tag)) {
          binders.push_back(f().fresh(field));
          fields.push_back({.atom = Atom::var(binders.back()), .type = field});
        }
      }
      s.tags.push_back(tag);
      s.binders.push_back(binders);
      s.blocks.emplace_back();
      in_block(s.blocks.back(), [&] {
        if (tag < 0) bind(arm.pattern, value, inner);
        for (std::size_t i = 0; i < fields.size(); ++i) bind(arm.pattern.parts[i], fields[i], inner);
        return lower(*arm.body, inner);
      });
    }
    return emit(std::move(s), type);
  }

  /// while (x = a; cond) { body } becomes fn loop(captured, x) { if cond { loop(captured, body) } else { x }
  /// }.
  Binding lower_loop(const Expr& e, const Env& env, const Type& type) {
    const std::size_t count = e.names.size();
    std::set<std::string> used;
    names_in(*e.args[count], used);
    names_in(*e.args[count + 1], used);
    std::vector<Atom> args;
    const int id = static_cast<int>(functions_.size());
    functions_.emplace_back();
    {
      CoreFunction& loop = functions_.back();
      loop.name = fmt::format("{}.while{}", f().name, id);
      loop.result = type;
    }
    auto inner = std::make_shared<Env>();
    std::vector<Atom> captured;
    for (const auto& [name, binding] : env) {
      if (!used.contains(name)) continue;
      (*inner)[name] = renamed(binding, [&](const Atom& atom, const Type& t) {
        args.push_back(atom);
        CoreFunction& loop = functions_[static_cast<std::size_t>(id)];
        loop.params.push_back(loop.fresh(t));
        captured.push_back(Atom::var(loop.params.back()));
        return captured.back();
      });
    }
    std::vector<Binding> state;
    for (std::size_t i = 0; i < count; ++i) {
      args.push_back(object(lower(*e.args[i], env)));
      CoreFunction& loop = functions_[static_cast<std::size_t>(id)];
      const Type t = concrete(e.args[i]->type);
      loop.params.push_back(loop.fresh(t));
      state.push_back({.atom = Atom::var(loop.params.back()), .type = t});
      (*inner)[e.names[i]] = state.back();
    }
    pending_.push_back([this, id, inner, state, captured, count, type, &e, names = types_] {
      enter(id, names);
      Block body;
      in_block(body, [&] {
        Stmt s{.kind = Stmt::Kind::branch, .args = {object(lower(*e.args[count], *inner))}};
        s.blocks.resize(2);
        in_block(s.blocks[0], [&] {
          const Binding next = lower(*e.args[count + 1], *inner);
          Stmt call{.kind = Stmt::Kind::call, .args = captured, .function = id};
          for (std::size_t i = 0; i < count; ++i)
            call.args.push_back(object(count == 1 ? next : project(next, static_cast<std::int64_t>(i))));
          return emit(std::move(call), type);
        });
        in_block(s.blocks[1], [&] {
          if (count == 1) return state[0];
          return Binding{.tuple = std::make_shared<std::vector<Binding>>(state), .type = type};
        });
        return emit(std::move(s), type);
      });
      functions_[static_cast<std::size_t>(id)].body = std::move(body);
    });
    return emit({.kind = Stmt::Kind::call, .args = args, .function = id}, type);
  }

  Binding lower_binary(const Expr& e, const Env& env, const Type& type) {
    const Binding left = lower(*e.args[0], env);
    if (e.name == "&&" || e.name == "||") {
      Stmt s{.kind = Stmt::Kind::branch, .args = {left.atom}};
      s.blocks.resize(2);
      const std::size_t other = e.name == "&&" ? 0 : 1;
      in_block(s.blocks[other], [&] { return lower(*e.args[1], env); });
      s.blocks[1 - other].result = Atom::of_integer(e.name == "&&" ? 0 : 1);
      return emit(std::move(s), type);
    }
    const Binding right = lower(*e.args[1], env);
    const bool real = concrete(e.args[0]->type)->kind == TypeNode::Kind::real;
    Stmt s{.kind = Stmt::Kind::scalar, .args = {left.atom, right.atom}, .real = real, .line = e.span.line};
    const std::string& n = e.name;
    if (n == ">" || n == ">=") std::swap(s.args[0], s.args[1]);
    s.scalar_op = n == "+"                 ? ScalarOp::add
                  : n == "-"               ? ScalarOp::sub
                  : n == "*"               ? ScalarOp::mul
                  : n == "/"               ? ScalarOp::div
                  : n == "%"               ? ScalarOp::mod
                  : n == "<" || n == ">"   ? ScalarOp::less
                  : n == "<=" || n == ">=" ? ScalarOp::less_equal
                                           : ScalarOp::equal;
    const Binding result = emit(std::move(s), type);
    if (n != "!=") return result;
    return emit({.kind = Stmt::Kind::scalar, .args = {result.atom}, .scalar_op = ScalarOp::logical_not},
                type);
  }

  Binding lower_call(const Expr& e, const Env& env, const Type& type) {
    if (e.callee == Expr::Callee::op) return lower_op(e, env, type);
    std::vector<Binding> args;
    for (const ExprPtr& arg : e.args) args.push_back(lower(*arg, env));
    switch (e.callee) {
      case Expr::Callee::constructor: {
        Stmt s{.kind = Stmt::Kind::construct};
        module_.find_constructor(e.name, &s.tag);
        for (const Binding& arg : args) s.args.push_back(object(arg));
        return emit(std::move(s), type);
      }
      case Expr::Callee::intrinsic:
        return lower_intrinsic(e, args, type);
      case Expr::Callee::local: {
        const auto found = env.find(e.name);
        if (found == env.end() || !found->second.function)
          fail(e, fmt::format("the function '{}' is not known at compile time", e.name));
        return apply(e, *found->second.function, args, type);
      }
      default: {
        std::vector<Type> instance;
        for (const Type& t : e.instance) instance.push_back(concrete(t));
        const FunctionDecl* decl = module_.find_function(e.name);
        return apply(e, {.decl = decl, .types = {decl->type_parameters, instance}}, args, type);
      }
    }
  }

  Binding apply(const Expr& e, const StaticFunction& callee, const std::vector<Binding>& args,
                const Type& type) {
    const bool inlined = callee.lambda != nullptr || callee.decl->inlined || callee.decl->block;
    if (!inlined) {
      const auto [id, captured] = instantiate(*callee.decl, callee.types.types, args);
      Stmt s{.kind = Stmt::Kind::call, .function = id, .line = e.span.line};
      for (std::size_t i = 0; i < args.size(); ++i) {
        if (args[i].function) continue;
        if (resolved(callee.decl->parameters[i].second)->kind == TypeNode::Kind::function)
          fail(*e.args[i], "this function value is not known at compile time");
        s.args.push_back(object(args[i]));
      }
      s.args.insert(s.args.end(), captured.begin(), captured.end());
      return emit(std::move(s), type);
    }
    if (++inlined_ > kDeepestInlining)
      fail(e, fmt::format("'{}' is put in place at its calls and calls itself", e.name));
    Env inner;
    if (callee.lambda != nullptr) inner = *callee.captured;
    const TypeNames outer = types_;
    types_ = callee.types;
    for (std::size_t i = 0; i < args.size(); ++i)
      inner[callee.lambda != nullptr ? callee.lambda->names[i] : callee.decl->parameters[i].first] = args[i];
    const Binding result =
        lower(callee.lambda != nullptr ? *callee.lambda->args[0] : *callee.decl->body, inner);
    types_ = outer;
    --inlined_;
    return result;
  }

  Binding lower_intrinsic(const Expr& e, const std::vector<Binding>& args, const Type& type) {
    if (e.name == "to_f32" || e.name == "to_i32")
      return emit({.kind = Stmt::Kind::scalar,
                   .args = {args[0].atom},
                   .scalar_op = e.name == "to_f32" ? ScalarOp::to_real : ScalarOp::to_integer},
                  type);
    if (e.name == "rand_int")
      return emit({.kind = Stmt::Kind::random, .args = {args[0].atom, args[1].atom}}, type);
    const Type tensor = concrete(e.args[0]->type);
    const Binding item =
        emit({.kind = Stmt::Kind::item, .args = {args[0].atom}, .line = e.span.line},
             scalar_type(tensor->integer_elements ? TypeNode::Kind::integer : TypeNode::Kind::real));
    return e.name == "item" ? item : args[1];
  }

  Binding lower_op(const Expr& e, const Env& env, const Type& type) {
    if (e.op->kind == OpKind::fill) {
      const std::string name = fmt::format("full({}, {})", e.op->real, to_string(e.op->ints));
      return {.atom = Atom::global(program_.global(
                  {.kind = Global::Kind::fill, .name = name, .shape = e.op->ints, .value = e.op->real})),
              .type = type};
    }
    Stmt s{.kind = Stmt::Kind::node, .line = e.span.line};
    auto cell = std::make_shared<Cell>();
    std::vector<int> args;
    for (std::size_t i = 0; i < e.args.size(); ++i) {
      s.args.push_back(object(lower(*e.args[i], env)));
      const Type t = concrete(e.args[i]->type);
      const Cell::Input::Mode mode = t->kind == TypeNode::Kind::integer         ? Cell::Input::Mode::index
                                     : s.args.back().kind == Atom::Kind::global ? Cell::Input::Mode::shared
                                                                                : Cell::Input::Mode::lane;
      cell->inputs.push_back({mode, t->kind == TypeNode::Kind::integer ? Shape{1} : t->shape});
      args.push_back(~static_cast<int>(i));
    }
    if (e.op->kind == OpKind::add_n)
      return emit({.kind = Stmt::Kind::add_n, .args = s.args, .line = s.line}, type);
    cell->nodes.push_back({*e.op, args, type->shape});
    cell->outputs = {0};
    s.cell = cell;
    return emit(std::move(s), type);
  }

  const Module& module_;
  Program program_;
  std::deque<CoreFunction> functions_;
  std::map<std::string, GlobalId> params_;
  std::map<std::string, int> instances_;
  std::deque<std::function<void()>> pending_;
  int function_ = 0, inlined_ = 0;
  TypeNames types_;
  Block* block_ = nullptr;
  std::vector<std::map<std::pair<VarId, std::int64_t>, Binding>> projected_;
};

}  // namespace

Program lower(const Module& module) {
  return Lowering(module).run();
}

}  // namespace ballast::dynamic
