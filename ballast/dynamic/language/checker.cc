// Names, types, shapes and the rules of the language. Types flow forwards: function signatures are declared,
// the rest is inferred in order; a lambda is checked after its call's other arguments.
#include "ballast/dynamic/language/checker.h"

namespace ballast::dynamic {

void Checker::run() {
  declarations();
  if (diagnostics_.any()) return;
  for (const auto& function : module_.functions) check_function(*function);
}

void Checker::fail(const Span& span, const std::string& sentence) {
  throw LanguageError{span, sentence};
}

void Checker::declarations() {
  std::set<std::string> types, values;
  const auto once = [&](std::set<std::string>& names, const std::string& name, const Span& span,
                        const char* what) {
    if (!names.insert(name).second) fail(span, fmt::format("{} '{}' is declared twice", what, name));
    if (&names == &values && (op_from_name(name) || kIntrinsics.contains(name) || name == "zeros" ||
                              name == "ones" || name == "full"))
      fail(span, fmt::format("'{}' is the name of an operator", name));
  };
  for (const TypeDecl& type : module_.types) guarded([&] { once(types, type.name, type.span, "type"); });
  for (const TypeDecl& type : module_.types) {
    for (const auto& constructor : type.constructors) {
      guarded([&] {
        once(values, constructor.name, constructor.span, "constructor");
        if (constructor.name[0] < 'A' || constructor.name[0] > 'Z')
          fail(constructor.span, "constructors begin with a capital letter");
        for (const Type& field : constructor.fields) validate(field, constructor.span, false);
      });
    }
  }
  for (const ParamDecl& param : module_.params) {
    guarded([&] {
      once(values, param.name, param.span, "parameter");
      if (param.type->kind != Kind::tensor || param.type->integer_elements)
        fail(param.span, "a parameter is a tensor of f32, not " + to_string(param.type));
    });
  }
  const FunctionDecl* entry = nullptr;
  for (const auto& function : module_.functions) {
    guarded([&] {
      once(values, function->name, function->span, "function");
      std::set<std::string> names;
      for (const auto& [name, type] : function->parameters) {
        once(names, name, function->span, "argument");
        validate(type, function->span, true);
      }
      validate(function->result, function->span, false);
      if (!function->entry) return;
      if (entry != nullptr) fail(function->span, "a second @entry function; a model has one");
      if (!function->type_parameters.empty()) fail(function->span, "the @entry function cannot be generic");
      entry = function.get();
    });
  }
  if (entry == nullptr) guarded([&] { fail({0, 0, 1, 1}, "no @entry function"); });
}

void Checker::validate(const Type& type, const Span& span, bool functions) const {
  if (type->kind == Kind::function && !functions)
    fail(span, "a function value can only be an argument of a function");
  if (type->kind == Kind::data) {
    const TypeDecl* decl = module_.find_type(type->name);
    if (decl == nullptr) {
      std::vector<std::string> names{"Tensor", "i32", "f32", "bool"};
      for (const TypeDecl& known : module_.types) names.push_back(known.name);
      const auto near = cli::nearest(type->name, names);
      fail(span,
           fmt::format("unknown type '{}'{}", type->name, near ? "; did you mean '" + *near + "'?" : ""));
    }
    if (decl->parameters.size() != type->args.size())
      fail(span, fmt::format("type {} takes {} argument(s), not {}", type->name, decl->parameters.size(),
                             type->args.size()));
  }
  for (const Type& arg : type->args) validate(arg, span, functions && type->kind == Kind::function);
}

void Checker::check_function(FunctionDecl& function) {
  poisoned_ = false;
  function_ = &function;
  scopes_.assign(1, {});
  for (const auto& [name, type] : function.parameters) scopes_.back()[name] = type;
  guarded([&] {
    const Type result = infer(*function.body, function.result);
    require(function.body->args.back()->span, function.result, result);
  });
  if (!poisoned_) guarded([&] { closed(*function.body); });
  if (function.block && !poisoned_) guarded([&] { plain(*function.body); });
}

void Checker::closed(const Expr& e) const {
  if (e.type && has_unknown(e.type))
    fail(e.span, "cannot tell the type of this expression (so far " + to_string(e.type) + ")");
  for (const Type& type : e.instance)
    if (has_unknown(type)) fail(e.span, "cannot tell the type arguments of this call");
  each_child(e, [&](const Expr& child) { closed(child); });
}

bool Checker::has_unknown(const Type& given) {
  const Type type = resolved(given);
  return type->kind == Kind::unknown || std::any_of(type->args.begin(), type->args.end(), has_unknown);
}

void Checker::plain(const Expr& e) const {
  const bool control = e.kind == Expr::Kind::branch || e.kind == Expr::Kind::match ||
                       e.kind == Expr::Kind::loop || e.kind == Expr::Kind::concurrent ||
                       e.kind == Expr::Kind::lambda || e.callee == Expr::Callee::intrinsic;
  if (control) fail(e.span, "control flow in a @block function: its body must be one static block");
  if (e.callee == Expr::Callee::function && !module_.find_function(e.name)->block)
    fail(e.span, fmt::format("a @block function may only call @block functions, and '{}' is none", e.name));
  each_child(e, [&](const Expr& child) { plain(child); });
}

void Checker::require(const Span& span, const Type& expected, const Type& found) {
  if (!unify(expected, found))
    fail(span, fmt::format("expected {}, found {}", to_string(expected), to_string(found)));
}

void Checker::bind(const Pattern& pattern, const Type& type) {
  if (pattern.kind == Pattern::Kind::name) scopes_.back()[pattern.name] = type;
  if (pattern.kind == Pattern::Kind::tuple) {
    const Type tuple = resolved(type);
    if (tuple->kind == Kind::unknown && poisoned_) {
      for (const Pattern& part : pattern.parts) bind(part, unknown_type());
      return;
    }
    if (tuple->kind != Kind::tuple || tuple->args.size() != pattern.parts.size())
      fail(pattern.span, fmt::format("a pattern of {} parts for {}", pattern.parts.size(), to_string(type)));
    for (std::size_t i = 0; i < pattern.parts.size(); ++i) bind(pattern.parts[i], tuple->args[i]);
  }
}

const Type* Checker::find_local(const std::string& name) const {
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
    const auto found = scope->find(name);
    if (found != scope->end()) return &found->second;
  }
  return nullptr;
}

Type Checker::infer(Expr& e, const Type& expected) {
  e.type = infer_here(e, expected);
  return e.type;
}

Type Checker::infer_here(Expr& e, const Type& expected) {
  switch (e.kind) {
    case Expr::Kind::integer:
      return scalar_type(Kind::integer);
    case Expr::Kind::real:
      return scalar_type(Kind::real);
    case Expr::Kind::boolean:
      return scalar_type(Kind::boolean);
    case Expr::Kind::name:
      return infer_name(e);
    case Expr::Kind::call:
      return infer_call(e, expected);
    case Expr::Kind::tuple: {
      std::vector<Type> parts;
      const Type want = expected ? resolved(expected) : nullptr;
      for (std::size_t i = 0; i < e.args.size(); ++i) {
        const bool known = want && want->kind == Kind::tuple && want->args.size() == e.args.size();
        parts.push_back(infer(*e.args[i], known ? want->args[i] : nullptr));
      }
      return tuple_type(parts);
    }
    case Expr::Kind::project: {
      const Type tuple = resolved(infer(*e.args[0]));
      if (tuple->kind != Kind::tuple)
        fail(e.args[0]->span, "a field of " + to_string(tuple) + ", which is no tuple");
      if (e.integer >= static_cast<std::int64_t>(tuple->args.size()))
        fail(e.span, fmt::format("field {} of {}", e.integer, to_string(tuple)));
      return tuple->args[static_cast<std::size_t>(e.integer)];
    }
    case Expr::Kind::block:
      return infer_block(e, expected);
    case Expr::Kind::branch: {
      require(e.args[0]->span, scalar_type(Kind::boolean), infer(*e.args[0]));
      const Type then = infer(*e.args[1], expected), other = infer(*e.args[2], then);
      require(e.args[2]->span, then, other);
      return then;
    }
    case Expr::Kind::match:
      return infer_match(e, expected);
    case Expr::Kind::lambda:
      return infer_lambda(e, expected);
    case Expr::Kind::concurrent: {
      std::vector<Type> parts;
      for (const ExprPtr& arg : e.args) parts.push_back(infer(*arg));
      return tuple_type(parts);
    }
    case Expr::Kind::loop:
      return infer_loop(e);
    case Expr::Kind::unary: {
      const Type type = resolved(infer(*e.args[0]));
      if (e.name == "-" && type->kind == Kind::tensor) return to_op(e, OpKind::neg);
      const bool fits = e.name == "!" ? type->kind == Kind::boolean
                                      : type->kind == Kind::integer || type->kind == Kind::real;
      if (!fits) fail(e.span, fmt::format("'{}' of {}", e.name, to_string(type)));
      return type;
    }
    default:
      return infer_binary(e);
  }
}

Type Checker::infer_name(Expr& e) {
  if (const Type* local = find_local(e.name)) return *local;
  for (const ParamDecl& param : module_.params)
    if (param.name == e.name) return param.type;
  const auto constant = module_.constants.find(e.name);
  if (constant != module_.constants.end()) {
    e.kind = Expr::Kind::integer;
    e.integer = constant->second;
    return scalar_type(Kind::integer);
  }
  int tag = 0;
  if (module_.find_constructor(e.name, &tag) != nullptr) {
    e.kind = Expr::Kind::call;
    return infer_call(e, nullptr);
  }
  if (const FunctionDecl* function = module_.find_function(e.name)) {
    e.callee = Expr::Callee::function;
    std::vector<Type> parameters;
    e.instance.clear();
    for (std::size_t i = 0; i < function->type_parameters.size(); ++i) e.instance.push_back(unknown_type());
    for (const auto& [name, type] : function->parameters)
      parameters.push_back(substitute(type, function->type_parameters, e.instance));
    return function_type(parameters, substitute(function->result, function->type_parameters, e.instance));
  }
  unknown_name(e, "name");
}

void Checker::unknown_name(const Expr& e, const char* what) const {
  std::vector<std::string> known = op_names();
  known.insert(known.end(), {"zeros", "ones", "full"});
  known.insert(known.end(), kIntrinsics.begin(), kIntrinsics.end());
  for (const auto& scope : scopes_)
    for (const auto& [name, type] : scope) known.push_back(name);
  for (const auto& function : module_.functions) known.push_back(function->name);
  for (const ParamDecl& param : module_.params) known.push_back(param.name);
  for (const TypeDecl& type : module_.types)
    for (const auto& constructor : type.constructors) known.push_back(constructor.name);
  const auto near = cli::nearest(e.name, known);
  fail({e.span.begin, e.span.begin + static_cast<std::uint32_t>(e.name.size()), e.span.line, e.span.column},
       fmt::format("unknown {} '{}'{}", what, e.name, near ? "; did you mean '" + *near + "'?" : ""));
}

Type Checker::infer_block(Expr& e, const Type& expected) {
  scopes_.emplace_back();
  for (Let& let : e.lets) {
    if (!let.value) {
      if (!function_->entry || &e != function_->body.get())
        diagnostics_.add(let.span, "phase outside of the @entry function's own block");
      continue;
    }
    Type type = unknown_type();
    guarded([&] { type = infer(*let.value); });
    guarded([&] { bind(let.pattern, type); });
    if (poisoned_ && resolved(type)->kind == Kind::unknown) bind(let.pattern, type);
  }
  const Type type = infer(*e.args[0], expected);
  scopes_.pop_back();
  return type;
}

Type Checker::infer_match(Expr& e, const Type& expected) {
  const Type type = resolved(infer(*e.args[0]));
  if (type->kind != Kind::data)
    fail(e.args[0]->span, "match on " + to_string(type) + ", which is no declared type");
  const TypeDecl* decl = module_.find_type(type->name);
  std::set<int> seen;
  bool all = false;
  Type result = expected ? expected : unknown_type();
  for (Arm& arm : e.arms) {
    scopes_.emplace_back();
    if (all) fail(arm.pattern.span, "an arm that is never reached");
    if (arm.pattern.kind == Pattern::Kind::constructor) {
      int tag = 0;
      if (module_.find_constructor(arm.pattern.name, &tag) != decl)
        fail(arm.pattern.span,
             fmt::format("'{}' is no constructor of {}", arm.pattern.name, to_string(type)));
      if (!seen.insert(tag).second)
        fail(arm.pattern.span, fmt::format("a second arm for '{}'", arm.pattern.name));
      const std::vector<Type> fields = module_.field_types(type, tag);
      if (fields.size() != arm.pattern.parts.size())
        fail(arm.pattern.span, fmt::format("'{}' has {} field(s), not {}", arm.pattern.name, fields.size(),
                                           arm.pattern.parts.size()));
      for (std::size_t i = 0; i < fields.size(); ++i) bind(arm.pattern.parts[i], fields[i]);
    } else if (arm.pattern.kind == Pattern::Kind::tuple) {
      fail(arm.pattern.span, "a tuple pattern for " + to_string(type));
    } else {
      bind(arm.pattern, type);
      all = true;
    }
    const Type body = infer(*arm.body, result);
    require(arm.body->span, result, body);
    scopes_.pop_back();
  }
  for (std::size_t tag = 0; tag < decl->constructors.size() && !all; ++tag) {
    if (!seen.contains(static_cast<int>(tag)))
      fail(e.span, fmt::format("match is not exhaustive: no arm for '{}'", decl->constructors[tag].name));
  }
  return result;
}

Type Checker::infer_lambda(Expr& e, const Type& expected) {
  const Type want = expected ? resolved(expected) : nullptr;
  if (!want || want->kind != Kind::function)
    fail(e.span, "a lambda can only be an argument of a function that takes a function");
  if (want->args.size() != e.names.size() + 1)
    fail(e.span, fmt::format("a lambda of {} argument(s), expected {}", e.names.size(), to_string(want)));
  scopes_.emplace_back();
  for (std::size_t i = 0; i < e.names.size(); ++i) scopes_.back()[e.names[i]] = want->args[i];
  const Type result = infer(*e.args[0], want->args.back());
  require(e.args[0]->span, want->args.back(), result);
  scopes_.pop_back();
  return want;
}

Type Checker::infer_loop(Expr& e) {
  const std::size_t count = e.names.size();
  std::vector<Type> types;
  for (std::size_t i = 0; i < count; ++i) types.push_back(infer(*e.args[i]));
  scopes_.emplace_back();
  for (std::size_t i = 0; i < count; ++i) scopes_.back()[e.names[i]] = types[i];
  require(e.args[count]->span, scalar_type(Kind::boolean), infer(*e.args[count]));
  const Type result = count == 1 ? types[0] : tuple_type(types);
  require(e.args[count + 1]->span, result, infer(*e.args[count + 1], result));
  scopes_.pop_back();
  return result;
}

void check_module(Module& module, Diagnostics& diagnostics) {
  Checker(module, diagnostics).run();
}

const TypeDecl* Module::find_type(const std::string& name) const {
  const auto found =
      std::find_if(types.begin(), types.end(), [&](const TypeDecl& t) { return t.name == name; });
  return found == types.end() ? nullptr : &*found;
}

const TypeDecl* Module::find_constructor(const std::string& name, int* tag) const {
  for (const TypeDecl& type : types) {
    for (std::size_t i = 0; i < type.constructors.size(); ++i) {
      if (type.constructors[i].name != name) continue;
      *tag = static_cast<int>(i);
      return &type;
    }
  }
  return nullptr;
}

const FunctionDecl* Module::find_function(const std::string& name) const {
  const auto found =
      std::find_if(functions.begin(), functions.end(), [&](const auto& f) { return f->name == name; });
  return found == functions.end() ? nullptr : found->get();
}

const FunctionDecl& Module::entry() const {
  return **std::find_if(functions.begin(), functions.end(), [](const auto& f) { return f->entry; });
}

std::vector<Type> Module::field_types(const Type& instance, int tag) const {
  const Type type = resolved(instance);
  const TypeDecl* decl = find_type(type->name);
  std::vector<Type> fields;
  for (const Type& field : decl->constructors[static_cast<std::size_t>(tag)].fields)
    fields.push_back(substitute(field, decl->parameters, type->args));
  return fields;
}

}  // namespace ballast::dynamic
