#include "ballast/dynamic/language/reference.h"

#include <fmt/format.h>
#include <pthread.h>

#include <cmath>
#include <exception>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/random.h"

namespace ballast::dynamic {
namespace {

struct Node;
using Ref = std::shared_ptr<const Node>;
struct Scope;
using Env = std::shared_ptr<const Scope>;

/// A run-time value: a scalar, a tensor, a tuple, data, or a function with what it captured.
struct Node {
  double number = 0;
  std::shared_ptr<const std::vector<double>> tensor = nullptr;
  Shape shape = {};
  int tag = 0;
  std::vector<Ref> fields = {};
  const Expr* lambda = nullptr;
  Env captured = nullptr;
  const FunctionDecl* function = nullptr;
};

struct Scope {
  std::string name;
  Ref value;
  Env outer;
};

Ref number(double value) {
  return std::make_shared<Node>(Node{.number = value});
}

class Evaluation {
 public:
  Evaluation(const Module& module, const std::map<std::string, Ref>& parameters, const Limits& limits,
             Draws draws)
      : module_(module), parameters_(parameters), limits_(limits), draws_(draws) {}

  Ref call(const FunctionDecl& f, std::vector<Ref> args) {
    // A tail call replaces the function and its arguments.
    if (++open_ > limits_.depth)
      throw InvalidInput(
          fmt::format("function '{}': more than {} calls are open (--max-depth)", f.name, limits_.depth));
    const FunctionDecl* at = &f;
    for (;;) {
      if (++steps_ > limits_.steps)
        throw InvalidInput(fmt::format("function '{}': more than {} calls; it may never end (--max-steps)",
                                       at->name, limits_.steps));
      Env env;
      for (std::size_t i = 0; i < args.size(); ++i)
        env = std::make_shared<Scope>(Scope{at->parameters[i].first, args[i], env});
      tail_ = nullptr;
      name_ = &at->name;
      const Ref result = eval(*at->body, env, true);
      if (tail_ == nullptr) {
        --open_;
        return result;
      }
      at = tail_;
      args = std::move(tail_args_);
    }
  }

 private:
  Ref eval(const Expr& e, const Env& env, bool tail = false) {
    switch (e.kind) {
      case Expr::Kind::integer:
      case Expr::Kind::boolean:
        return number(static_cast<double>(e.integer));
      case Expr::Kind::real:
        return number(e.real);
      case Expr::Kind::name:
        return lookup(e, env);
      case Expr::Kind::call:
        return eval_call(e, env, tail);
      case Expr::Kind::tuple:
        return tuple(e.args, env);
      case Expr::Kind::project:
        return eval(*e.args[0], env)->fields[static_cast<std::size_t>(e.integer)];
      case Expr::Kind::block: {
        Env inner = env;
        for (const Let& let : e.lets)
          if (let.value) inner = bind(let.pattern, eval(*let.value, inner), inner);
        return eval(*e.args[0], inner, tail);
      }
      case Expr::Kind::branch:
        return eval(*e.args[eval(*e.args[0], env)->number != 0 ? 1 : 2], env, tail);
      case Expr::Kind::match: {
        const Ref value = eval(*e.args[0], env);
        for (const Arm& arm : e.arms) {
          int tag = 0;
          if (arm.pattern.kind != Pattern::Kind::constructor)
            return eval(*arm.body, bind(arm.pattern, value, env), tail);
          module_.find_constructor(arm.pattern.name, &tag);
          if (tag != value->tag) continue;
          Env inner = env;
          for (std::size_t i = 0; i < arm.pattern.parts.size(); ++i)
            inner = bind(arm.pattern.parts[i], value->fields[i], inner);
          return eval(*arm.body, inner, tail);
        }
        BALLAST_CHECK(false, "a match that is not exhaustive passed the checker");
        return nullptr;
      }
      case Expr::Kind::lambda:
        return std::make_shared<Node>(Node{.lambda = &e, .captured = env});
      case Expr::Kind::concurrent: {
        const Draws before = draws_;
        Node node;
        for (std::size_t i = 0; i < e.args.size(); ++i) {
          draws_ = before.fork(i);
          node.fields.push_back(eval(*e.args[i], env));
        }
        draws_ = {before.stream, before.count + 1};
        return std::make_shared<Node>(std::move(node));
      }
      case Expr::Kind::loop:
        return loop(e, env);
      case Expr::Kind::unary: {
        const double x = eval(*e.args[0], env)->number;
        return number(e.name == "!" ? (x == 0 ? 1 : 0) : -x);
      }
      default:
        return binary(e, env);
    }
  }

  Ref tuple(const std::vector<ExprPtr>& args, const Env& env) {
    Node node;
    for (const ExprPtr& arg : args) node.fields.push_back(eval(*arg, env));
    return std::make_shared<Node>(std::move(node));
  }

  Env bind(const Pattern& pattern, const Ref& value, Env env) const {
    if (pattern.kind == Pattern::Kind::name) return std::make_shared<Scope>(Scope{pattern.name, value, env});
    for (std::size_t i = 0; i < pattern.parts.size(); ++i)
      env = bind(pattern.parts[i], value->fields[i], env);
    return env;
  }

  Ref lookup(const Expr& e, const Env& env) const {
    for (const Scope* scope = env.get(); scope != nullptr; scope = scope->outer.get())
      if (scope->name == e.name) return scope->value;
    const auto parameter = parameters_.find(e.name);
    if (parameter != parameters_.end()) return parameter->second;
    return std::make_shared<Node>(Node{.function = module_.find_function(e.name)});
  }

  Ref loop(const Expr& e, const Env& env) {
    const std::size_t count = e.names.size();
    std::vector<Ref> state;
    for (std::size_t i = 0; i < count; ++i) state.push_back(eval(*e.args[i], env));
    for (;;) {
      if (++steps_ > limits_.steps)
        throw InvalidInput(
            fmt::format("function '{}': a loop of more than {} steps; it may never end (--max-steps)", *name_,
                        limits_.steps));
      Env inner = env;
      for (std::size_t i = 0; i < count; ++i)
        inner = std::make_shared<Scope>(Scope{e.names[i], state[i], inner});
      if (eval(*e.args[count], inner)->number == 0) break;
      const Ref next = eval(*e.args[count + 1], inner);
      if (count == 1)
        state[0] = next;
      else
        state = next->fields;
    }
    return count == 1 ? state[0] : std::make_shared<const Node>(Node{.fields = state});
  }

  Ref binary(const Expr& e, const Env& env) {
    const double x = eval(*e.args[0], env)->number;
    if (e.name == "&&" && x == 0) return number(0);
    if (e.name == "||" && x != 0) return number(1);
    const double y = eval(*e.args[1], env)->number;
    const bool whole = resolved(e.args[0]->type)->kind == TypeNode::Kind::integer;
    if (e.name == "+") return number(x + y);
    if (e.name == "-") return number(x - y);
    if (e.name == "*") return number(x * y);
    if (e.name == "/" || e.name == "%") {
      if (whole && y == 0)
        throw InvalidInput(fmt::format("{}:{}: a division by zero", module_.file, e.span.line));
      if (e.name == "%") return number(std::fmod(x, y));
      return number(whole ? std::trunc(x / y) : x / y);
    }
    const bool result = e.name == "<"    ? x < y
                        : e.name == "<=" ? x <= y
                        : e.name == ">"  ? x > y
                        : e.name == ">=" ? x >= y
                        : e.name == "==" ? x == y
                        : e.name == "!=" ? x != y
                                         : y != 0;
    return number(result ? 1 : 0);
  }

  Ref eval_call(const Expr& e, const Env& env, bool tail) {
    if (e.callee == Expr::Callee::op) return eval_op(e, env);
    std::vector<Ref> args;
    for (const ExprPtr& arg : e.args) args.push_back(eval(*arg, env));
    switch (e.callee) {
      case Expr::Callee::constructor: {
        Node node{.fields = std::move(args)};
        module_.find_constructor(e.name, &node.tag);
        return std::make_shared<Node>(std::move(node));
      }
      case Expr::Callee::function:
        return enter(*module_.find_function(e.name), std::move(args), tail);
      case Expr::Callee::local: {
        const Ref f = lookup(e, env);
        if (f->function != nullptr) return enter(*f->function, std::move(args), tail);
        Env inner = f->captured;
        for (std::size_t i = 0; i < args.size(); ++i)
          inner = std::make_shared<Scope>(Scope{f->lambda->names[i], args[i], inner});
        return eval(*f->lambda->args[0], inner);
      }
      default: {
        if (e.name == "item") return number((*args[0]->tensor)[0]);
        if (e.name == "item_as") return args[1];
        if (e.name == "to_f32") return args[0];
        if (e.name == "to_i32") return number(std::trunc(args[0]->number));
        return number(static_cast<double>(draws_.next(static_cast<std::int64_t>(args[0]->number),
                                                      static_cast<std::int64_t>(args[1]->number))));
      }
    }
  }

  Ref enter(const FunctionDecl& f, std::vector<Ref> args, bool tail) {
    if (!tail) return call(f, std::move(args));
    tail_ = &f;
    tail_args_ = std::move(args);
    return nullptr;
  }

  Ref eval_op(const Expr& e, const Env& env) {
    if (++nodes_ > limits_.nodes)
      throw InvalidInput(
          fmt::format("function '{}': more than {} operators (--max-nodes)", *name_, limits_.nodes));
    std::vector<Shape> shapes;
    std::vector<Ref> kept;
    std::vector<const std::vector<double>*> operands;
    std::int64_t index = 0;
    for (const ExprPtr& arg : e.args) {
      const Ref value = eval(*arg, env);
      if (e.op->kind == OpKind::add_n) {
        for (Ref at = value; !at->fields.empty(); at = at->fields[1]) kept.push_back(at->fields[0]);
        if (kept.empty())
          throw InvalidInput(fmt::format("{}:{}: add_n of an empty list", module_.file, e.span.line));
      } else if (value->tensor) {
        kept.push_back(value);
      } else {
        index = static_cast<std::int64_t>(value->number);
      }
    }
    for (const Ref& value : kept) {
      shapes.push_back(value->shape);
      operands.push_back(value->tensor.get());
    }
    if (e.op->kind == OpKind::embedding || e.op->kind == OpKind::pick_neg_log_softmax) {
      if (index < 0 || index >= shapes[0][0])
        throw InvalidInput(
            fmt::format("{}:{}: index {} of {} rows", module_.file, e.span.line, index, shapes[0][0]));
    }
    const Shape result = resolved(e.type)->shape;
    return std::make_shared<Node>(Node{.tensor = std::make_shared<const std::vector<double>>(
                                           reference_op(*e.op, shapes, operands, index, result)),
                                       .shape = result});
  }

  const Module& module_;
  const std::map<std::string, Ref>& parameters_;
  Limits limits_;
  Draws draws_;
  std::int64_t open_ = 0, steps_ = 0, nodes_ = 0;
  const FunctionDecl* tail_ = nullptr;
  std::vector<Ref> tail_args_;
  const std::string* name_ = nullptr;
};

Ref from_value(const Value& value) {
  if (value.kind == Value::Kind::tensor)
    return std::make_shared<Node>(Node{
        .tensor = std::make_shared<const std::vector<double>>(value.elements.begin(), value.elements.end()),
        .shape = value.shape});
  if (value.kind == Value::Kind::real) return number(value.real);
  if (value.kind == Value::Kind::integer || value.kind == Value::Kind::boolean)
    return number(static_cast<double>(value.integer));
  if (value.kind == Value::Kind::list) {
    Ref list = std::make_shared<Node>();
    for (auto item = value.fields.rbegin(); item != value.fields.rend(); ++item)
      list = std::make_shared<Node>(Node{.tag = 1, .fields = {from_value(*item), list}});
    return list;
  }
  Node node{.tag = value.tag};
  for (const Value& field : value.fields) node.fields.push_back(from_value(field));
  return std::make_shared<Node>(std::move(node));
}

Value to_value(const Module& module, const Type& given, const Ref& ref, std::vector<double>& numbers) {
  const Type type = resolved(given);
  switch (type->kind) {
    case TypeNode::Kind::tensor:
      numbers.insert(numbers.end(), ref->tensor->begin(), ref->tensor->end());
      return Value::of_tensor(ref->shape, std::vector<float>(ref->tensor->begin(), ref->tensor->end()));
    case TypeNode::Kind::integer:
    case TypeNode::Kind::boolean:
      numbers.push_back(ref->number);
      return {.kind = type->kind == TypeNode::Kind::integer ? Value::Kind::integer : Value::Kind::boolean,
              .integer = static_cast<std::int64_t>(ref->number)};
    case TypeNode::Kind::real:
      numbers.push_back(ref->number);
      return {.kind = Value::Kind::real, .real = ref->number};
    case TypeNode::Kind::tuple: {
      std::vector<Value> fields;
      for (std::size_t i = 0; i < ref->fields.size(); ++i)
        fields.push_back(to_value(module, type->args[i], ref->fields[i], numbers));
      return Value::of_tuple(std::move(fields));
    }
    default: {
      std::vector<Value> fields;
      if (type->name == "List") {
        std::vector<Ref> items;
        for (Ref at = ref; !at->fields.empty(); at = at->fields[1]) items.push_back(at->fields[0]);
        numbers.push_back(static_cast<double>(items.size()));
        for (const Ref& item : items) fields.push_back(to_value(module, type->args[0], item, numbers));
        return Value::of_list(std::move(fields));
      }
      numbers.push_back(ref->tag);
      const std::vector<Type> types = module.field_types(type, ref->tag);
      for (std::size_t i = 0; i < types.size(); ++i)
        fields.push_back(to_value(module, types[i], ref->fields[i], numbers));
      return Value::of_data(ref->tag, std::move(fields));
    }
  }
}

}  // namespace

void run_on_stack(std::size_t bytes, const std::function<void()>& work) {
  struct Task {
    const std::function<void()>& work;
    std::exception_ptr error;
  } task{work, nullptr};
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, bytes);
  pthread_t thread{};
  const int failed = pthread_create(
      &thread, &attributes,
      [](void* given) -> void* {
        auto& own = *static_cast<Task*>(given);
        try {
          own.work();
        } catch (...) {
          own.error = std::current_exception();
        }
        return nullptr;
      },
      &task);
  pthread_attr_destroy(&attributes);
  if (failed != 0)
    throw Unavailable(fmt::format("a thread with a stack of {} MiB cannot be started", bytes >> 20));
  pthread_join(thread, nullptr);
  if (task.error) std::rethrow_exception(task.error);
}

Parameters initial_parameters(const Module& module, std::uint64_t seed) {
  Parameters parameters;
  for (const ParamDecl& param : module.params) {
    std::vector<float> values(static_cast<std::size_t>(volume(param.type->shape)),
                              param.init == "ones" ? 1.0f : 0.0f);
    Random random(seed, checksum64(param.name));
    double low = -1, high = 1;
    if (param.init == "uniform") {
      low = param.init_args[0];
      high = param.init_args[1];
    } else if (param.init == "xavier") {
      const Shape& s = param.type->shape;
      const double fans =
          static_cast<double>(s.back()) + static_cast<double>(s.size() > 1 ? volume(s) / s.back() : 1);
      high = std::sqrt(6 / fans);
      low = -high;
    }
    if (param.init == "normal")
      for (float& v : values) v = static_cast<float>(random.normal() * param.init_args[0]);
    else if (param.init != "zeros" && param.init != "ones")
      for (float& v : values) v = static_cast<float>(random.uniform(low, high));
    parameters[param.name] = std::move(values);
  }
  return parameters;
}

Reference::Reference(const Module& module, Parameters parameters, const Limits& limits)
    : module_(module), parameters_(std::move(parameters)), limits_(limits) {}

namespace {
Value run_reference(const Module& module, const Parameters& given, const Limits& limits,
                    std::span<const Value> arguments, std::uint64_t seed, std::uint64_t instance,
                    std::vector<double>& numbers) {
  Value result;
  run_on_stack(std::size_t{4} << 30, [&] {
    std::map<std::string, Ref> parameters;
    for (const ParamDecl& param : module.params) {
      const std::vector<float>& v = given.at(param.name);
      parameters[param.name] = std::make_shared<Node>(
          Node{.tensor = std::make_shared<const std::vector<double>>(v.begin(), v.end()),
               .shape = param.type->shape});
    }
    Evaluation evaluation(module, parameters, limits, Draws::of(seed, instance));
    std::vector<Ref> args;
    for (const Value& argument : arguments) args.push_back(from_value(argument));
    const Ref out = evaluation.call(module.entry(), std::move(args));
    result = to_value(module, module.entry().result, out, numbers);
  });
  return result;
}
}  // namespace

Value Reference::run(std::span<const Value> arguments, std::uint64_t seed, std::uint64_t instance) const {
  std::vector<double> numbers;
  return run_reference(module_, parameters_, limits_, arguments, seed, instance, numbers);
}

std::vector<double> Reference::numbers(std::span<const Value> arguments, std::uint64_t seed,
                                       std::uint64_t instance) const {
  std::vector<double> numbers;
  run_reference(module_, parameters_, limits_, arguments, seed, instance, numbers);
  return numbers;
}

}  // namespace ballast::dynamic
