// Expressions of the tree, one function a kind.
#include "ballast/dynamic/compiler/lowering.h"

namespace ballast::dynamic {

Binding Lowering::lower(const Expr& e, const Env& env) {
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

Binding Lowering::lower_name(const Expr& e, const Env& env, const Type& type) {
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

Binding Lowering::lower_match(const Expr& e, const Env& env, const Type& type) {
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

Binding Lowering::lower_loop(const Expr& e, const Env& env, const Type& type) {
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

Binding Lowering::lower_binary(const Expr& e, const Env& env, const Type& type) {
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
  return emit({.kind = Stmt::Kind::scalar, .args = {result.atom}, .scalar_op = ScalarOp::logical_not}, type);
}

Binding Lowering::lower_call(const Expr& e, const Env& env, const Type& type) {
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

Binding Lowering::apply(const Expr& e, const StaticFunction& callee, const std::vector<Binding>& args,
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

Binding Lowering::lower_intrinsic(const Expr& e, const std::vector<Binding>& args, const Type& type) {
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

Binding Lowering::lower_op(const Expr& e, const Env& env, const Type& type) {
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

}  // namespace ballast::dynamic
