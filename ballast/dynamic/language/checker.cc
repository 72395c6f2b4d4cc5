// Names, types, shapes and the rules of the language. Types flow forwards: function signatures are declared,
// the rest is inferred in order; a lambda is checked after its call's other arguments.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "ballast/base/cli.h"
#include "ballast/dynamic/language/diagnostics.h"

namespace ballast::dynamic {
namespace {

using Kind = TypeNode::Kind;
const std::set<std::string> kIntrinsics{"item", "item_as", "rand_int", "to_f32", "to_i32"};

class Checker {
 public:
  Checker(Module& module, Diagnostics& diagnostics) : module_(module), diagnostics_(diagnostics) {}

  void run() {
    declarations();
    if (diagnostics_.any()) return;
    for (const auto& function : module_.functions) check_function(*function);
  }

 private:
  [[noreturn]] static void fail(const Span& span, const std::string& sentence) {
    throw LanguageError{span, sentence};
  }
  template <typename Work>
  void guarded(const Work& work) {
    try {
      work();
    } catch (const LanguageError& error) {
      diagnostics_.add(error.span, error.sentence);
      poisoned_ = true;
    }
  }

  void declarations() {
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

  void validate(const Type& type, const Span& span, bool functions) const {
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

  void check_function(FunctionDecl& function) {
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

  /// Every type must be known at the end.
  void closed(const Expr& e) const {
    if (e.type && has_unknown(e.type))
      fail(e.span, "cannot tell the type of this expression (so far " + to_string(e.type) + ")");
    for (const Type& type : e.instance)
      if (has_unknown(type)) fail(e.span, "cannot tell the type arguments of this call");
    each_child(e, [&](const Expr& child) { closed(child); });
  }
  static bool has_unknown(const Type& given) {
    const Type type = resolved(given);
    return type->kind == Kind::unknown || std::any_of(type->args.begin(), type->args.end(), has_unknown);
  }
  template <typename Visit>
  static void each_child(const Expr& e, const Visit& visit) {
    for (const Let& let : e.lets)
      if (let.value) visit(*let.value);
    for (const ExprPtr& arg : e.args) visit(*arg);
    for (const Arm& arm : e.arms) visit(*arm.body);
  }
  /// The body of a @block function has no control flow.
  void plain(const Expr& e) const {
    const bool control = e.kind == Expr::Kind::branch || e.kind == Expr::Kind::match ||
                         e.kind == Expr::Kind::loop || e.kind == Expr::Kind::concurrent ||
                         e.kind == Expr::Kind::lambda || e.callee == Expr::Callee::intrinsic;
    if (control) fail(e.span, "control flow in a @block function: its body must be one static block");
    if (e.callee == Expr::Callee::function && !module_.find_function(e.name)->block)
      fail(e.span, fmt::format("a @block function may only call @block functions, and '{}' is none", e.name));
    each_child(e, [&](const Expr& child) { plain(child); });
  }

  static void require(const Span& span, const Type& expected, const Type& found) {
    if (!unify(expected, found))
      fail(span, fmt::format("expected {}, found {}", to_string(expected), to_string(found)));
  }

  void bind(const Pattern& pattern, const Type& type) {
    if (pattern.kind == Pattern::Kind::name) scopes_.back()[pattern.name] = type;
    if (pattern.kind == Pattern::Kind::tuple) {
      const Type tuple = resolved(type);
      if (tuple->kind == Kind::unknown && poisoned_) {
        for (const Pattern& part : pattern.parts) bind(part, unknown_type());
        return;
      }
      if (tuple->kind != Kind::tuple || tuple->args.size() != pattern.parts.size())
        fail(pattern.span,
             fmt::format("a pattern of {} parts for {}", pattern.parts.size(), to_string(type)));
      for (std::size_t i = 0; i < pattern.parts.size(); ++i) bind(pattern.parts[i], tuple->args[i]);
    }
  }

  const Type* find_local(const std::string& name) const {
    for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
      const auto found = scope->find(name);
      if (found != scope->end()) return &found->second;
    }
    return nullptr;
  }

  Type infer(Expr& e, const Type& expected = nullptr) {
    e.type = infer_here(e, expected);
    return e.type;
  }

  Type infer_here(Expr& e, const Type& expected) {
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

  Type infer_name(Expr& e) {
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

  [[noreturn]] void unknown_name(const Expr& e, const char* what) const {
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

  Type infer_block(Expr& e, const Type& expected) {
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

  Type infer_match(Expr& e, const Type& expected) {
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

  Type infer_lambda(Expr& e, const Type& expected) {
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

  Type infer_loop(Expr& e) {
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

  Type infer_binary(Expr& e) {
    const Type left = resolved(infer(*e.args[0])), right = resolved(infer(*e.args[1]));
    if (left->kind == Kind::tensor || right->kind == Kind::tensor)
      return infer_tensor_arithmetic(e, left, right);
    require(e.args[1]->span, left, right);
    const Kind kind = resolved(left)->kind;
    const bool logic = e.name == "&&" || e.name == "||", equality = e.name == "==" || e.name == "!=";
    const bool order = e.name == "<" || e.name == "<=" || e.name == ">" || e.name == ">=";
    const bool number = kind == Kind::integer || kind == Kind::real;
    const bool fits = logic           ? kind == Kind::boolean
                      : equality      ? number || kind == Kind::boolean
                      : e.name == "%" ? kind == Kind::integer
                                      : number;
    if (!fits) fail(e.span, fmt::format("'{}' of {}", e.name, to_string(left)));
    return logic || equality || order ? scalar_type(Kind::boolean) : left;
  }

  Type infer_tensor_arithmetic(Expr& e, const Type& left, const Type& right) {
    if (e.name == "*" && (left->kind == Kind::tensor) != (right->kind == Kind::tensor)) {
      const ExprPtr number = left->kind == Kind::tensor ? e.args[1] : e.args[0];
      double value = 0;
      if (!constant_number(*number, &value))
        fail(number->span, "a tensor is multiplied by a tensor or by a number that is written here");
      e.args = {left->kind == Kind::tensor ? e.args[0] : e.args[1]};
      e.op = OpCall{OpKind::scale, {}, value};
      return finish_op(e, {0});
    }
    if (left->kind != Kind::tensor || right->kind != Kind::tensor)
      fail(e.span, fmt::format("'{}' of {} and {}", e.name, to_string(left), to_string(right)));
    if (e.name == "+") return to_op(e, OpKind::add);
    if (e.name == "-") return to_op(e, OpKind::sub);
    if (e.name == "*") return to_op(e, OpKind::mul);
    if (e.name == "/") return to_op(e, OpKind::div);
    fail(e.span, fmt::format("'{}' of tensors", e.name));
  }

  Type to_op(Expr& e, OpKind kind) {
    e.op = OpCall{kind, {}, 0};
    std::vector<int> all;
    for (std::size_t i = 0; i < e.args.size(); ++i) all.push_back(static_cast<int>(i));
    return finish_op(e, all);
  }

  /// The operator's type by its shape rule; `operands`: the tensors among args.
  Type finish_op(Expr& e, const std::vector<int>& operands) {
    e.kind = Expr::Kind::call;
    e.callee = Expr::Callee::op;
    e.name = to_string(e.op->kind);
    e.tensor_args = operands;
    std::vector<Shape> shapes;
    for (const int i : operands) {
      Type type = resolved(e.args[static_cast<std::size_t>(i)]->type);
      if (e.op->kind == OpKind::add_n && type->kind == Kind::data && type->name == "List")
        type = resolved(type->args[0]);
      if (type->kind != Kind::tensor || type->integer_elements) {
        const std::string wanted =
            e.op->kind == OpKind::add_n ? "a list of tensors of f32" : "a tensor of f32";
        fail(e.args[static_cast<std::size_t>(i)]->span,
             fmt::format("{}: expected {}, found {}", e.name, wanted, to_string(type)));
      }
      shapes.push_back(type->shape);
    }
    std::string problem;
    const auto shape = shape_of(*e.op, shapes, &problem);
    if (!shape) fail(e.span, problem);
    return tensor_type(*shape, gives_integers(e.op->kind));
  }

  bool constant_integer(const Expr& e, std::int64_t* value) const {
    if (e.kind == Expr::Kind::integer) {
      *value = e.integer;
      return true;
    }
    if (e.kind == Expr::Kind::name && find_local(e.name) == nullptr) {
      const auto found = module_.constants.find(e.name);
      if (found == module_.constants.end()) return false;
      *value = found->second;
      return true;
    }
    std::int64_t a = 0, b = 0;
    if (e.kind == Expr::Kind::unary && e.name == "-" && constant_integer(*e.args[0], &a)) {
      *value = -a;
      return true;
    }
    if (e.kind != Expr::Kind::binary || !constant_integer(*e.args[0], &a) ||
        !constant_integer(*e.args[1], &b))
      return false;
    if (e.name == "+") return !__builtin_add_overflow(a, b, value);
    if (e.name == "-") return !__builtin_sub_overflow(a, b, value);
    if (e.name == "*") return !__builtin_mul_overflow(a, b, value);
    if (e.name != "/" || b == 0) return false;
    *value = a / b;
    return true;
  }
  bool constant_number(const Expr& e, double* value) const {
    std::int64_t whole = 0;
    if (e.kind == Expr::Kind::real) {
      *value = e.real;
      return true;
    }
    if (e.kind == Expr::Kind::unary && e.name == "-" && constant_number(*e.args[0], value)) {
      *value = -*value;
      return true;
    }
    if (!constant_integer(e, &whole)) return false;
    *value = static_cast<double>(whole);
    return true;
  }

  Type infer_call(Expr& e, const Type& expected) {
    if (const Type* local = find_local(e.name)) {
      const Type type = resolved(*local);
      if (type->kind != Kind::function)
        fail(e.span, fmt::format("'{}' of type {} is called", e.name, to_string(type)));
      e.callee = Expr::Callee::local;
      arguments(e, {type->args.begin(), type->args.end() - 1});
      return type->args.back();
    }
    int tag = 0;
    if (const TypeDecl* decl = module_.find_constructor(e.name, &tag)) {
      e.callee = Expr::Callee::constructor;
      e.instance.clear();
      for (std::size_t i = 0; i < decl->parameters.size(); ++i) e.instance.push_back(unknown_type());
      const Type made = data_type(decl->name, e.instance);
      if (expected) unify(made, expected);
      arguments(e, module_.field_types(made, tag));
      return made;
    }
    if (const FunctionDecl* function = module_.find_function(e.name)) {
      e.callee = Expr::Callee::function;
      e.instance.clear();
      for (std::size_t i = 0; i < function->type_parameters.size(); ++i) e.instance.push_back(unknown_type());
      std::vector<Type> parameters;
      for (const auto& [name, type] : function->parameters)
        parameters.push_back(substitute(type, function->type_parameters, e.instance));
      arguments(e, parameters);
      return substitute(function->result, function->type_parameters, e.instance);
    }
    if (kIntrinsics.contains(e.name)) return infer_intrinsic(e);
    return infer_op(e);
  }

  void arguments(Expr& e, const std::vector<Type>& parameters) {
    if (e.args.size() != parameters.size())
      fail(e.span,
           fmt::format("'{}' takes {} argument(s), not {}", e.name, parameters.size(), e.args.size()));
    for (const bool lambdas : {false, true}) {
      for (std::size_t i = 0; i < e.args.size(); ++i) {
        if ((e.args[i]->kind == Expr::Kind::lambda) != lambdas) continue;
        require(e.args[i]->span, parameters[i], infer(*e.args[i], parameters[i]));
      }
    }
  }

  Type infer_intrinsic(Expr& e) {
    e.callee = Expr::Callee::intrinsic;
    const auto count = [&](std::size_t n) {
      if (e.args.size() != n)
        fail(e.span, fmt::format("'{}' takes {} argument(s), not {}", e.name, n, e.args.size()));
    };
    if (e.name == "rand_int") {
      count(2);
      for (const ExprPtr& arg : e.args) require(arg->span, scalar_type(Kind::integer), infer(*arg));
      return scalar_type(Kind::integer);
    }
    if (e.name == "to_f32" || e.name == "to_i32") {
      count(1);
      const bool real = e.name == "to_f32";
      require(e.args[0]->span, scalar_type(real ? Kind::integer : Kind::real), infer(*e.args[0]));
      return scalar_type(real ? Kind::real : Kind::integer);
    }
    count(e.name == "item" ? 1 : 2);
    const Type tensor = resolved(infer(*e.args[0]));
    if (tensor->kind != Kind::tensor || volume(tensor->shape) != 1)
      fail(e.args[0]->span,
           fmt::format("{} of {}: only a tensor of one element gives a scalar", e.name, to_string(tensor)));
    if (e.name == "item") return scalar_type(tensor->integer_elements ? Kind::integer : Kind::real);
    const Type value = resolved(infer(*e.args[1]));
    if (value->kind != Kind::integer && value->kind != Kind::real && value->kind != Kind::boolean)
      fail(e.args[1]->span, "item_as gives a scalar, not " + to_string(value));
    return value;
  }

  Type infer_op(Expr& e) {
    OpCall call{OpKind::fill, {}, 0};
    std::size_t tensors = e.args.size(), scalars = 0;
    if (e.name == "zeros" || e.name == "ones" || e.name == "full") {
      call.real = e.name == "ones" ? 1 : 0;
      tensors = e.name == "full" ? 1 : 0;
      if (e.name == "full" && (e.args.empty() || !constant_number(*e.args[0], &call.real)))
        fail(e.span, "full(number, extents): the number must be written here");
    } else {
      const auto kind = op_from_name(e.name);
      if (!kind || *kind == OpKind::fill) unknown_name(e, "operator or function");
      call.kind = *kind;
      std::int64_t axis = 0;
      switch (*kind) {
        case OpKind::concat:
          if (!e.args.empty() && constant_integer(*e.args.back(), &axis)) --tensors;
          break;
        case OpKind::slice:
        case OpKind::reshape:
        case OpKind::transpose:
        case OpKind::reduce_sum:
        case OpKind::reduce_mean:
        case OpKind::reduce_max:
          tensors = std::min<std::size_t>(1, e.args.size());
          break;
        case OpKind::scale:
          if (e.args.size() != 2 || !constant_number(*e.args[1], &call.real))
            fail(e.span, "scale(x, number): the number must be written here");
          e.args.pop_back();
          tensors = 1;
          break;
        case OpKind::embedding:
        case OpKind::pick_neg_log_softmax:
          if (e.args.size() != 2) fail(e.span, fmt::format("'{}' takes a tensor and an i32", e.name));
          tensors = scalars = 1;
          break;
        default:
          break;
      }
    }
    for (std::size_t i = tensors + scalars; i < e.args.size(); ++i) {
      call.ints.push_back(0);
      if (!constant_integer(*e.args[i], &call.ints.back()))
        fail(e.args[i]->span, "expected a constant integer");
    }
    if (e.name == "full") tensors = 0;
    e.args.resize(tensors + scalars);
    std::vector<int> operands;
    for (std::size_t i = 0; i < e.args.size(); ++i) {
      infer(*e.args[i]);
      if (i < tensors)
        operands.push_back(static_cast<int>(i));
      else
        require(e.args[i]->span, scalar_type(Kind::integer), e.args[i]->type);
    }
    e.op = call;
    return finish_op(e, operands);
  }

  Module& module_;
  Diagnostics& diagnostics_;
  FunctionDecl* function_ = nullptr;
  std::vector<std::map<std::string, Type>> scopes_;
  bool poisoned_ = false;
};

}  // namespace

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
