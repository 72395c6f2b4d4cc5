// A module as a model file.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ballast/dynamic/language/ast.h"

namespace ballast::dynamic {
namespace {

std::string print(const Expr& e);

std::string list(const std::vector<ExprPtr>& args) {
  std::vector<std::string> parts;
  for (const ExprPtr& arg : args) parts.push_back(print(*arg));
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string print(const Pattern& p) {
  if (p.kind == Pattern::Kind::any) return "_";
  if (p.kind == Pattern::Kind::name) return p.name;
  std::vector<std::string> parts;
  for (const Pattern& part : p.parts) parts.push_back(print(part));
  if (p.kind == Pattern::Kind::tuple) return fmt::format("({},)", fmt::join(parts, ", "));
  return parts.empty() ? p.name : fmt::format("{}({})", p.name, fmt::join(parts, ", "));
}

std::string real(double value) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string print_block(const Expr& e) {
  return e.kind == Expr::Kind::block ? print(e) : "{ " + print(e) + " }";
}

std::string print_op(const Expr& e) {
  std::string text = e.name + "(" + list(e.args);
  const OpCall& op = *e.op;
  std::vector<std::string> more;
  if (op.kind == OpKind::fill) {
    text = "full(" + real(op.real);
    for (const auto i : op.ints) more.push_back(std::to_string(i));
  } else if (op.kind == OpKind::scale) {
    more.push_back(real(op.real));
  } else {
    for (const auto i : op.ints) more.push_back(std::to_string(i));
  }
  for (const std::string& word : more) text += ", " + word;
  return text + ")";
}

std::string print(const Expr& e) {
  switch (e.kind) {
    case Expr::Kind::integer:
      return std::to_string(e.integer);
    case Expr::Kind::real:
      return real(e.real);
    case Expr::Kind::boolean:
      return e.integer != 0 ? "true" : "false";
    case Expr::Kind::name:
      return e.name;
    case Expr::Kind::call:
      if (e.op) return print_op(e);
      return e.callee == Expr::Callee::constructor && e.args.empty()
                 ? e.name
                 : fmt::format("{}({})", e.name, list(e.args));
    case Expr::Kind::tuple:
      return fmt::format("({},)", list(e.args));
    case Expr::Kind::project:
      return fmt::format("({}).{}", print(*e.args[0]), e.integer);
    case Expr::Kind::block: {
      std::string text = "{ ";
      for (const Let& let : e.lets)
        text += let.value ? fmt::format("let {} = {};\n    ", print(let.pattern), print(*let.value))
                          : "phase;\n    ";
      return text + print(*e.args[0]) + " }";
    }
    case Expr::Kind::branch:
      return fmt::format("(if {} {} else {})", print(*e.args[0]), print_block(*e.args[1]),
                         print_block(*e.args[2]));
    case Expr::Kind::match: {
      std::string text = fmt::format("(match {} {{\n    ", print(*e.args[0]));
      for (const Arm& arm : e.arms)
        text += fmt::format("{} => {},\n    ", print(arm.pattern), print(*arm.body));
      return text + "})";
    }
    case Expr::Kind::lambda:
      return fmt::format("|{}| {}", fmt::join(e.names, ", "), print(*e.args[0]));
    case Expr::Kind::concurrent:
      return fmt::format("concurrent {{ {} }}", list(e.args));
    case Expr::Kind::loop: {
      std::vector<std::string> state;
      for (std::size_t i = 0; i < e.names.size(); ++i)
        state.push_back(fmt::format("{} = {}", e.names[i], print(*e.args[i])));
      return fmt::format("while ({}; {}) {}", fmt::join(state, ", "), print(*e.args[e.names.size()]),
                         print_block(*e.args[e.names.size() + 1]));
    }
    case Expr::Kind::unary:
      return fmt::format("({}{})", e.name, print(*e.args[0]));
    default:
      return fmt::format("({} {} {})", print(*e.args[0]), e.name, print(*e.args[1]));
  }
}

std::string generic(const std::vector<std::string>& names) {
  return names.empty() ? "" : fmt::format("[{}]", fmt::join(names, ", "));
}

}  // namespace

std::string to_text(const Module& module) {
  std::string out;
  for (const auto& [name, text] : module.constant_texts)
    out += fmt::format("const {} = {};\n", name, module.constants.at(name));
  for (const TypeDecl& type : module.types) {
    if (type.name == "List") continue;
    std::vector<std::string> constructors;
    for (const auto& c : type.constructors) {
      std::vector<std::string> fields;
      for (const Type& field : c.fields) fields.push_back(to_string(field));
      constructors.push_back(fields.empty() ? c.name
                                            : fmt::format("{}({})", c.name, fmt::join(fields, ", ")));
    }
    out +=
        fmt::format("type {}{} = {};\n", type.name, generic(type.parameters), fmt::join(constructors, " | "));
  }
  for (const ParamDecl& p : module.params) {
    std::vector<std::string> args;
    for (const double x : p.init_args) args.push_back(real(x));
    out += fmt::format("param {}: {} = {}{};\n", p.name, to_string(p.type), p.init,
                       args.empty() ? "" : fmt::format("({})", fmt::join(args, ", ")));
  }
  for (const auto& f : module.functions) {
    if (f->library) continue;
    std::vector<std::string> params;
    for (const auto& [name, type] : f->parameters) params.push_back(name + ": " + to_string(type));
    out += fmt::format("{}{}{}{}{}fn {}{}({}) -> {}\n  {}\n", f->entry ? "@entry " : "",
                       f->inlined ? "@inline " : "", f->block ? "@block " : "",
                       f->depth_constant ? "@depth_constant " : "", f->no_split ? "@no_split " : "", f->name,
                       generic(f->type_parameters), fmt::join(params, ", "), to_string(f->result),
                       print_block(*f->body));
  }
  return out;
}

}  // namespace ballast::dynamic
