#include "ballast/loop/ir.h"

#include <fmt/format.h>

#include <cmath>

#include "ballast/base/errors.h"

namespace ballast::loop {

int size_of(DType type) {
  switch (type) {
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::f64:
    case DType::i64:
      return 8;
    case DType::boolean:
      return 1;
  }
  return 0;
}

namespace {

std::shared_ptr<ExprNode> node(Op op, DType type) {
  auto n = std::make_shared<ExprNode>();
  n->op = op;
  n->type = type;
  return n;
}

std::int64_t floor_quotient(std::int64_t a, std::int64_t b) {
  const std::int64_t q = a / b;
  return q - ((a % b != 0) && ((a < 0) != (b < 0)) ? 1 : 0);
}

bool comparison(Op op) {
  return op == Op::less || op == Op::less_equal || op == Op::equal || op == Op::logical_and ||
         op == Op::logical_or || op == Op::logical_not;
}

/// Folds integer constants and neutral elements; empty when nothing folds.
Expr folded(Op op, const std::vector<Expr>& args) {
  if (args.size() == 3 && op == Op::select && args[0]->op == Op::integer)
    return args[0]->integer ? args[1] : args[2];
  if (args.size() != 2 || is_float(args[0]->type)) return {};
  const Expr &a = args[0], &b = args[1];
  const bool ca = a->op == Op::integer, cb = b->op == Op::integer;
  if (ca && cb) {
    const std::int64_t x = a->integer, y = b->integer;
    switch (op) {
      case Op::add:
        return x + y;
      case Op::sub:
        return x - y;
      case Op::mul:
        return x * y;
      case Op::floordiv:
        return y ? Expr(floor_quotient(x, y)) : Expr();
      case Op::floormod:
        return y ? Expr(x - floor_quotient(x, y) * y) : Expr();
      case Op::min:
        return std::min(x, y);
      case Op::max:
        return std::max(x, y);
      default:
        break;
    }
    if (comparison(op)) {
      auto n = node(Op::integer, DType::boolean);
      n->integer = op == Op::less          ? x < y
                   : op == Op::less_equal  ? x <= y
                   : op == Op::equal       ? x == y
                   : op == Op::logical_and ? (x && y)
                                           : (x || y);
      return Expr(n);
    }
  }
  switch (op) {
    case Op::add:
      if (is_integer(a, 0)) return b;
      if (is_integer(b, 0)) return a;
      break;
    case Op::sub:
      if (is_integer(b, 0)) return a;
      break;
    case Op::mul:
      if (is_integer(a, 0) || is_integer(b, 1)) return a;
      if (is_integer(b, 0) || is_integer(a, 1)) return b;
      break;
    case Op::floordiv:
      if (is_integer(b, 1) || is_integer(a, 0)) return a;
      break;
    case Op::floormod:
      if (is_integer(b, 1)) return 0;
      if (is_integer(a, 0)) return a;
      break;
    case Op::logical_and:
      if (ca) return a->integer ? b : a;
      if (cb) return b->integer ? a : b;
      break;
    case Op::logical_or:
      if (ca) return a->integer ? a : b;
      if (cb) return b->integer ? b : a;
      break;
    default:
      break;
  }
  return {};
}

}  // namespace

Expr::Expr(std::int64_t value) {
  auto n = std::make_shared<ExprNode>();
  n->op = Op::integer;
  n->type = DType::i64;
  n->integer = value;
  node_ = n;
}
Expr::Expr(double value) : Expr(real(value)) {}

bool is_integer(const Expr& e, std::int64_t value) {
  return e.get() != nullptr && e->op == Op::integer && e->integer == value;
}
bool is_constant(const Expr& e) {
  return e.get() != nullptr && (e->op == Op::integer || e->op == Op::real);
}

Var variable(std::string name) {
  auto n = node(Op::variable, DType::i64);
  n->name = std::move(name);
  return Expr(n);
}

Expr scalar(std::string name, int slot, std::int64_t low, std::int64_t high) {
  auto n = node(Op::scalar, DType::i64);
  n->name = std::move(name);
  n->integer = slot;
  n->low = low;
  n->high = high;
  return Expr(n);
}

Expr real(double value, DType type) {
  auto n = node(Op::real, type);
  n->real = value;
  return Expr(n);
}

Expr load(Buffer buffer, Expr index) {
  BALLAST_CHECK(buffer->access != Access::PtrTable, buffer->name + " is read without its lane");
  auto n = node(Op::load, is_float(buffer->type) ? buffer->type : DType::i64);
  n->buffer = std::move(buffer);
  n->args = {std::move(index)};
  return Expr(n);
}

Expr load_lane(Buffer buffer, Expr lane, Expr index) {
  auto n = node(Op::load, is_float(buffer->type) ? buffer->type : DType::i64);
  n->buffer = std::move(buffer);
  n->args = {std::move(lane), std::move(index)};
  return Expr(n);
}

Expr cast(DType type, Expr value) {
  if (value->type == type) return value;
  if (value->op == Op::integer && is_float(type)) return real(static_cast<double>(value->integer), type);
  auto n = node(Op::cast, type);
  n->args = {std::move(value)};
  return Expr(n);
}

Expr make(Op op, std::vector<Expr> args) {
  for (const Expr& a : args) BALLAST_CHECK(a.get() != nullptr, "an empty expression as an operand");
  // A number beside a floating expression takes its type.
  DType type = DType::i64;
  const std::size_t first = op == Op::select ? 1 : 0;
  for (std::size_t i = first; i < args.size(); ++i) {
    if (args[i]->type == DType::f64) type = DType::f64;
    if (args[i]->type == DType::f32 && type != DType::f64) type = DType::f32;
  }
  if (is_float(type)) {
    for (std::size_t i = first; i < args.size(); ++i) {
      if (args[i]->op == Op::real && args[i]->type != type) args[i] = real(args[i]->real, type);
      args[i] = cast(type, args[i]);
    }
  } else if (op == Op::select) {
    type = args[1]->type;
  }
  if (Expr e = folded(op, args)) return e;
  auto n = node(op, comparison(op) ? DType::boolean : type);
  n->args = std::move(args);
  return Expr(n);
}

Expr operator+(Expr a, Expr b) {
  return make(Op::add, {a, b});
}
Expr operator-(Expr a, Expr b) {
  return make(Op::sub, {a, b});
}
Expr operator*(Expr a, Expr b) {
  return make(Op::mul, {a, b});
}
Expr operator/(Expr a, Expr b) {
  BALLAST_CHECK(is_float(a->type) || is_float(b->type), "integers are divided by floordiv");
  return make(Op::div, {a, b});
}
Expr operator-(Expr a) {
  return is_float(a->type) ? make(Op::neg, {a}) : Expr(0) - a;
}
Expr floordiv(Expr a, Expr b) {
  return make(Op::floordiv, {a, b});
}
Expr floormod(Expr a, Expr b) {
  return make(Op::floormod, {a, b});
}
Expr min(Expr a, Expr b) {
  return make(Op::min, {a, b});
}
Expr max(Expr a, Expr b) {
  return make(Op::max, {a, b});
}
Expr operator<(Expr a, Expr b) {
  return make(Op::less, {a, b});
}
Expr operator<=(Expr a, Expr b) {
  return make(Op::less_equal, {a, b});
}
Expr equal(Expr a, Expr b) {
  return make(Op::equal, {a, b});
}
Expr logical_and(Expr a, Expr b) {
  return make(Op::logical_and, {a, b});
}
Expr logical_or(Expr a, Expr b) {
  return make(Op::logical_or, {a, b});
}
Expr logical_not(Expr a) {
  return make(Op::logical_not, {a});
}
Expr select(Expr c, Expr t, Expr o) {
  return make(Op::select, {c, t, o});
}
Expr abs(Expr a) {
  return make(Op::abs, {a});
}
Expr exp(Expr a) {
  return make(Op::exp, {a});
}
Expr log(Expr a) {
  return make(Op::log, {a});
}
Expr tanh(Expr a) {
  return make(Op::tanh, {a});
}
Expr sqrt(Expr a) {
  return make(Op::sqrt, {a});
}
Expr erf(Expr a) {
  return make(Op::erf, {a});
}
Expr sigmoid(Expr a) {
  return Expr(1.0) / (Expr(1.0) + exp(-a));
}
Expr relu(Expr a) {
  return max(a, Expr(0.0));
}
Expr gelu(Expr a) {
  return Expr(0.5) * a * (Expr(1.0) + erf(a * Expr(0.70710678118654752)));
}
Expr ceil_div(Expr a, std::int64_t m) {
  return floordiv(a + Expr(m - 1), Expr(m));
}
Expr ceil_mult(Expr a, std::int64_t m) {
  return ceil_div(a, m) * Expr(m);
}

Buffer operand_buffer(std::string name, DType type, int slot, Expr extent, Access access) {
  auto b = std::make_shared<BufferNode>();
  b->name = std::move(name);
  b->type = type;
  b->slot = slot;
  b->extent = std::move(extent);
  b->access = access;
  return b;
}

Buffer aux_buffer(std::string name, int slot, Expr extent, std::int64_t low, std::int64_t high) {
  auto b = std::make_shared<BufferNode>();
  b->name = std::move(name);
  b->type = DType::i32;
  b->space = Space::aux;
  b->slot = slot;
  b->extent = std::move(extent);
  b->low = low;
  b->high = high;
  return b;
}

Buffer local_buffer(std::string name, DType type, std::int64_t extent) {
  auto b = std::make_shared<BufferNode>();
  b->name = std::move(name);
  b->type = type;
  b->space = Space::local;
  b->extent = Expr(extent);
  return b;
}

Buffer scratch_buffer(std::string name, DType type, int byte_offset, std::int64_t extent) {
  auto b = std::make_shared<BufferNode>();
  b->name = std::move(name);
  b->type = type;
  b->space = Space::scratch;
  b->slot = byte_offset;
  b->extent = Expr(extent);
  return b;
}

namespace {
std::shared_ptr<StmtNode> statement(StmtNode::Kind kind) {
  auto s = std::make_shared<StmtNode>();
  s->kind = kind;
  return s;
}
}  // namespace

Stmt block(std::vector<Stmt> body) {
  if (body.size() == 1) return body[0];
  auto s = statement(StmtNode::Kind::block);
  for (Stmt& part : body) {
    if (part->kind == StmtNode::Kind::block) {
      s->body.insert(s->body.end(), part->body.begin(), part->body.end());
    } else {
      s->body.push_back(std::move(part));
    }
  }
  return s;
}

Stmt loop(Var var, Expr first, Expr extent, Stmt body, LoopKind kind, std::string note) {
  auto s = statement(StmtNode::Kind::loop);
  s->var = std::move(var);
  s->first = std::move(first);
  s->extent = std::move(extent);
  s->body = {std::move(body)};
  s->loop_kind = kind;
  s->note = std::move(note);
  return s;
}

Stmt store(Buffer buffer, Expr index, Expr value) {
  auto s = statement(StmtNode::Kind::store);
  s->value = is_float(buffer->type) ? cast(buffer->type, value) : value;
  s->buffer = std::move(buffer);
  s->index = std::move(index);
  return s;
}

Stmt accumulate(Buffer buffer, Expr index, Combine combine, Expr value) {
  auto s = statement(StmtNode::Kind::accumulate);
  s->value = is_float(buffer->type) ? cast(buffer->type, value) : value;
  s->buffer = std::move(buffer);
  s->index = std::move(index);
  s->combine = combine;
  return s;
}

Stmt branch(Expr condition, Stmt then, Stmt otherwise) {
  if (condition->op == Op::integer) {
    if (condition->integer) return then;
    return otherwise ? otherwise : block({});
  }
  auto s = statement(StmtNode::Kind::branch);
  s->value = std::move(condition);
  s->body = {std::move(then)};
  if (otherwise) s->body.push_back(std::move(otherwise));
  return s;
}

Stmt let(Var var, Expr value, Stmt body) {
  auto s = statement(StmtNode::Kind::let);
  s->var = std::move(var);
  s->value = std::move(value);
  s->body = {std::move(body)};
  return s;
}

Stmt allocate(Buffer buffer, Stmt body) {
  auto s = statement(StmtNode::Kind::allocate);
  s->buffer = std::move(buffer);
  s->body = {std::move(body)};
  return s;
}

Stmt gemm(GemmCall call) {
  auto s = statement(StmtNode::Kind::gemm);
  s->gemm_call = std::make_shared<GemmCall>(std::move(call));
  return s;
}

double identity_of(Combine combine) {
  switch (combine) {
    case Combine::sum:
      return 0;
    case Combine::prod:
      return 1;
    case Combine::max:
      return -INFINITY;
    case Combine::min:
      return INFINITY;
  }
  return 0;
}

Expr Substitution::operator()(const Expr& e) const {
  if (!e) return e;
  for (const auto& [from, to] : pairs) {
    if (e.get() == from) return to;
  }
  if (e->args.empty()) return e;
  bool changed = false;
  std::vector<Expr> args;
  for (const Expr& a : e->args) {
    args.push_back((*this)(a));
    changed |= args.back().get() != a.get();
  }
  if (!changed) return e;
  if (e->op == Op::load) {
    auto n = std::make_shared<ExprNode>(*e.get());
    n->args = std::move(args);
    return Expr(n);
  }
  if (e->op == Op::cast) return cast(e->type, args[0]);
  return make(e->op, std::move(args));
}

Stmt Substitution::operator()(const Stmt& s) const {
  auto copy = std::make_shared<StmtNode>(*s);
  copy->first = (*this)(s->first);
  copy->extent = (*this)(s->extent);
  copy->index = (*this)(s->index);
  copy->value = (*this)(s->value);
  for (Stmt& part : copy->body) part = (*this)(part);
  if (s->gemm_call) {
    auto call = std::make_shared<GemmCall>(*s->gemm_call);
    for (Expr* e : {&call->m, &call->n, &call->k, &call->a_offset, &call->a_stride, &call->a_lane,
                    &call->b_offset, &call->b_stride, &call->c_offset, &call->c_stride, &call->bias_offset})
      *e = (*this)(*e);
    copy->gemm_call = call;
  }
  return copy;
}

bool depends_on(const Expr& e, const ExprNode* variable) {
  if (!e) return false;
  if (e.get() == variable) return true;
  for (const Expr& a : e->args)
    if (depends_on(a, variable)) return true;
  return false;
}

}  // namespace ballast::loop
