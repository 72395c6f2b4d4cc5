// Loop IR as readable text.
#include <fmt/format.h>

#include "ballast/loop/ir.h"

namespace ballast::loop {

std::string to_string(DType type) {
  switch (type) {
    case DType::f32:
      return "f32";
    case DType::f64:
      return "f64";
    case DType::i32:
      return "i32";
    case DType::i64:
      return "i64";
    case DType::boolean:
      return "bool";
  }
  return "?";
}

std::string to_string(Access access) {
  switch (access) {
    case Access::Dense:
      return "dense";
    case Access::Ragged:
      return "ragged";
    case Access::PtrTable:
      return "ptr-table";
    case Access::RowIndex:
      return "row-index";
    case Access::Shared:
      return "shared";
  }
  return "?";
}

std::string to_text(const Expr& e) {
  if (!e) return "_";
  const auto binary = [&](const char* sign) {
    return "(" + to_text(e->args[0]) + " " + sign + " " + to_text(e->args[1]) + ")";
  };
  const auto call = [&](const char* name) {
    std::string text = std::string(name) + "(";
    for (std::size_t i = 0; i < e->args.size(); ++i) text += (i ? ", " : "") + to_text(e->args[i]);
    return text + ")";
  };
  switch (e->op) {
    case Op::integer:
      if (e->type == DType::boolean) return e->integer ? "true" : "false";
      return std::to_string(e->integer);
    case Op::real:
      return fmt::format("{:.9g}{}", e->real, e->type == DType::f64 ? "d" : "f");
    case Op::variable:
      return e->name;
    case Op::scalar:
      return "$" + e->name;
    case Op::add:
      return binary("+");
    case Op::sub:
      return binary("-");
    case Op::mul:
      return binary("*");
    case Op::div:
      return binary("/");
    case Op::floordiv:
      return binary("//");
    case Op::floormod:
      return binary("%");
    case Op::less:
      return binary("<");
    case Op::less_equal:
      return binary("<=");
    case Op::equal:
      return binary("==");
    case Op::logical_and:
      return binary("&&");
    case Op::logical_or:
      return binary("||");
    case Op::logical_not:
      return "!" + to_text(e->args[0]);
    case Op::neg:
      return "-" + to_text(e->args[0]);
    case Op::min:
      return call("min");
    case Op::max:
      return call("max");
    case Op::select:
      return call("select");
    case Op::abs:
      return call("abs");
    case Op::exp:
      return call("exp");
    case Op::log:
      return call("log");
    case Op::tanh:
      return call("tanh");
    case Op::sqrt:
      return call("sqrt");
    case Op::erf:
      return call("erf");
    case Op::floor:
      return call("floor");
    case Op::cast:
      return call(to_string(e->type).c_str());
    case Op::load:
      return e->buffer->name + "[" + to_text(e->args[0]) +
             (e->args.size() == 2 ? "; " + to_text(e->args[1]) : "") + "]";
  }
  return "?";
}

std::string to_text(const Stmt& s, int indent) {
  const std::string pad(static_cast<std::size_t>(indent) * 2, ' ');
  const auto inner = [&](std::size_t i) { return to_text(s->body[i], indent + 1); };
  switch (s->kind) {
    case StmtNode::Kind::block: {
      std::string text;
      for (const Stmt& part : s->body) text += to_text(part, indent);
      return text;
    }
    case StmtNode::Kind::loop: {
      const char* kind = s->loop_kind == LoopKind::vector     ? "vector for "
                         : s->loop_kind == LoopKind::unrolled ? "unrolled for "
                                                              : "for ";
      return pad + kind + s->var->name + " in " + to_text(s->first) + " .. +" + to_text(s->extent) +
             (s->note.empty() ? "" : "  # " + s->note) + "\n" + inner(0);
    }
    case StmtNode::Kind::store:
      return pad + s->buffer->name + "[" + to_text(s->index) + "] = " + to_text(s->value) + "\n";
    case StmtNode::Kind::accumulate: {
      const char* sign = s->combine == Combine::sum    ? " += "
                         : s->combine == Combine::prod ? " *= "
                         : s->combine == Combine::max  ? " max= "
                                                       : " min= ";
      return pad + s->buffer->name + "[" + to_text(s->index) + "]" + sign + to_text(s->value) + "\n";
    }
    case StmtNode::Kind::branch:
      return pad + "if " + to_text(s->value) + "\n" + inner(0) +
             (s->body.size() > 1 ? pad + "else\n" + inner(1) : "");
    case StmtNode::Kind::let:
      return pad + "let " + s->var->name + " = " + to_text(s->value) + "\n" + to_text(s->body[0], indent);
    case StmtNode::Kind::allocate:
      return pad + "local " + s->buffer->name + ": " + to_string(s->buffer->type) + "[" +
             to_text(s->buffer->extent) + "]\n" + to_text(s->body[0], indent);
    case StmtNode::Kind::gemm: {
      const GemmCall& g = *s->gemm_call;
      std::string a = g.a->name + "[" + to_text(g.a_offset) + " + i*" + to_text(g.a_stride) + "]";
      if (g.a->access == Access::PtrTable)
        a = g.a->name + "[lane " + to_text(g.a_lane) + "+i; " + to_text(g.a_offset) + "]";
      if (g.a_rows)
        a = g.a->name + "[" + to_text(g.a_offset) + " + " + g.a_rows->name + "[" + to_text(g.a_lane) +
            "+i]*" + to_text(g.a_stride) + "]";
      return pad + fmt::format("gemm {}x{}x{}: {}[{} + i*{}] {} {} * {} * {}[{} + {}*{}{}]{}\n", to_text(g.m),
                               to_text(g.n), to_text(g.k), g.c->name, to_text(g.c_offset),
                               to_text(g.c_stride), g.accumulate ? "+=" : "=", g.scale, a, g.b->name,
                               to_text(g.b_offset), g.b_transposed ? "j" : "k", to_text(g.b_stride),
                               g.b_packed ? ", packed" : "",
                               g.bias ? " + " + g.bias->name + "[" + to_text(g.bias_offset) + "]" : "");
    }
  }
  return "?";
}

}  // namespace ballast::loop
