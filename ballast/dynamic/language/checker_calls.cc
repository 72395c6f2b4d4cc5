// Arithmetic, operators and calls.
#include "ballast/dynamic/language/checker.h"

namespace ballast::dynamic {

Type Checker::infer_binary(Expr& e) {
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

Type Checker::infer_tensor_arithmetic(Expr& e, const Type& left, const Type& right) {
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

Type Checker::to_op(Expr& e, OpKind kind) {
  e.op = OpCall{kind, {}, 0};
  std::vector<int> all;
  for (std::size_t i = 0; i < e.args.size(); ++i) all.push_back(static_cast<int>(i));
  return finish_op(e, all);
}

Type Checker::finish_op(Expr& e, const std::vector<int>& operands) {
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
      const std::string wanted = e.op->kind == OpKind::add_n ? "a list of tensors of f32" : "a tensor of f32";
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

bool Checker::constant_integer(const Expr& e, std::int64_t* value) const {
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
  if (e.kind != Expr::Kind::binary || !constant_integer(*e.args[0], &a) || !constant_integer(*e.args[1], &b))
    return false;
  if (e.name == "+") return !__builtin_add_overflow(a, b, value);
  if (e.name == "-") return !__builtin_sub_overflow(a, b, value);
  if (e.name == "*") return !__builtin_mul_overflow(a, b, value);
  if (e.name != "/" || b == 0) return false;
  *value = a / b;
  return true;
}

bool Checker::constant_number(const Expr& e, double* value) const {
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

Type Checker::infer_call(Expr& e, const Type& expected) {
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

void Checker::arguments(Expr& e, const std::vector<Type>& parameters) {
  if (e.args.size() != parameters.size())
    fail(e.span, fmt::format("'{}' takes {} argument(s), not {}", e.name, parameters.size(), e.args.size()));
  for (const bool lambdas : {false, true}) {
    for (std::size_t i = 0; i < e.args.size(); ++i) {
      if ((e.args[i]->kind == Expr::Kind::lambda) != lambdas) continue;
      require(e.args[i]->span, parameters[i], infer(*e.args[i], parameters[i]));
    }
  }
}

Type Checker::infer_intrinsic(Expr& e) {
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

Type Checker::infer_op(Expr& e) {
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

}  // namespace ballast::dynamic
