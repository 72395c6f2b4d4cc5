#include "ballast/loop/interpreter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <vector>

#include "ballast/base/errors.h"

namespace ballast::loop {
namespace {

struct Value {
  std::int64_t i = 0;
  double f = 0;
};

class Interpreter {
 public:
  explicit Interpreter(const KernelFrame& frame) : frame_(frame) {}

  Counters counters;
  std::unordered_map<const ExprNode*, std::int64_t> variables;

  std::int64_t integer(const Expr& e) { return eval(e).i; }

  Value eval(const Expr& e) {
    const auto arg = [&](std::size_t i) { return eval(e->args[i]); };
    const bool real = is_float(e->type);
    const auto of = [&](double f) { return Value{0, e->type == DType::f32 ? static_cast<float>(f) : f}; };
    switch (e->op) {
      case Op::integer:
        return {e->integer, 0};
      case Op::real:
        return of(e->real);
      case Op::variable: {
        const auto found = variables.find(e.get());
        BALLAST_CHECK(found != variables.end(), "variable " + e->name + " is not bound");
        return {found->second, 0};
      }
      case Op::scalar:
        return {frame_.scalars[e->integer], 0};
      case Op::add:
        return real ? of(arg(0).f + arg(1).f) : Value{arg(0).i + arg(1).i, 0};
      case Op::sub:
        return real ? of(arg(0).f - arg(1).f) : Value{arg(0).i - arg(1).i, 0};
      case Op::mul:
        return real ? of(arg(0).f * arg(1).f) : Value{arg(0).i * arg(1).i, 0};
      case Op::div:
        return of(arg(0).f / arg(1).f);
      case Op::floordiv: {
        const std::int64_t a = arg(0).i, b = arg(1).i;
        return {a / b - ((a % b != 0 && (a < 0) != (b < 0)) ? 1 : 0), 0};
      }
      case Op::floormod: {
        const std::int64_t a = arg(0).i, b = arg(1).i, r = a % b;
        return {r != 0 && (r < 0) != (b < 0) ? r + b : r, 0};
      }
      case Op::min: {
        const Value a = arg(0), b = arg(1);
        return real ? of(a.f < b.f ? a.f : b.f) : Value{std::min(a.i, b.i), 0};
      }
      case Op::max: {
        const Value a = arg(0), b = arg(1);
        return real ? of(a.f > b.f ? a.f : b.f) : Value{std::max(a.i, b.i), 0};
      }
      case Op::less:
      case Op::less_equal:
      case Op::equal: {
        const Value a = arg(0), b = arg(1);
        const bool floats = is_float(e->args[0]->type);
        if (e->op == Op::less) return {floats ? a.f < b.f : a.i < b.i, 0};
        if (e->op == Op::equal) return {floats ? a.f == b.f : a.i == b.i, 0};
        return {floats ? a.f <= b.f : a.i <= b.i, 0};
      }
      case Op::logical_and:
        return {arg(0).i && arg(1).i, 0};
      case Op::logical_or:
        return {arg(0).i || arg(1).i, 0};
      case Op::logical_not:
        return {!arg(0).i, 0};
      case Op::select:
        return arg(0).i ? arg(1) : arg(2);
      case Op::neg:
        return of(-arg(0).f);
      case Op::abs:
        return real ? of(std::fabs(arg(0).f)) : Value{std::abs(arg(0).i), 0};
      case Op::floor:
        return of(std::floor(arg(0).f));
      case Op::exp:
        return ++counters.intrinsics, of(std::exp(arg(0).f));
      case Op::log:
        return ++counters.intrinsics, of(std::log(arg(0).f));
      case Op::tanh:
        return ++counters.intrinsics, of(std::tanh(arg(0).f));
      case Op::sqrt:
        return ++counters.intrinsics, of(std::sqrt(arg(0).f));
      case Op::erf:
        return ++counters.intrinsics, of(std::erf(arg(0).f));
      case Op::cast: {
        const Value a = arg(0);
        if (real) return of(is_float(e->args[0]->type) ? a.f : static_cast<double>(a.i));
        return {is_float(e->args[0]->type) ? static_cast<std::int64_t>(a.f) : a.i, 0};
      }
      case Op::load: {
        if (e->args.size() == 2) return read(*e->buffer, lane_base(*e->buffer, arg(0).i), arg(1).i);
        return read(*e->buffer, base(*e->buffer), arg(0).i);
      }
    }
    return {};
  }

  void run(const Stmt& s) {
    switch (s->kind) {
      case StmtNode::Kind::block:
        for (const Stmt& part : s->body) run(part);
        break;
      case StmtNode::Kind::loop: {
        const std::int64_t first = integer(s->first), extent = integer(s->extent);
        for (std::int64_t i = 0; i < extent; ++i) {
          variables[s->var.get()] = first + i;
          run(s->body[0]);
        }
        break;
      }
      case StmtNode::Kind::store: {
        const std::int64_t index = integer(s->index);
        write(*s->buffer, index, eval(s->value));
        break;
      }
      case StmtNode::Kind::accumulate: {
        const std::int64_t index = integer(s->index);
        const Value value = eval(s->value);
        if (s->combine == Combine::sum && s->value->op == Op::mul) ++counters.multiply_adds;
        Value old = read(*s->buffer, base(*s->buffer), index);
        if (is_float(s->buffer->type)) {
          old.f = combine(s->combine, old.f, value.f);
        } else {
          old.i = combine(s->combine, old.i, value.i);
        }
        write(*s->buffer, index, old);
        break;
      }
      case StmtNode::Kind::branch:
        if (integer(s->value)) {
          run(s->body[0]);
        } else if (s->body.size() > 1) {
          run(s->body[1]);
        }
        break;
      case StmtNode::Kind::let:
        variables[s->var.get()] = integer(s->value);
        run(s->body[0]);
        break;
      case StmtNode::Kind::allocate:
        locals_[s->buffer.get()].assign(
            static_cast<std::size_t>(integer(s->buffer->extent) * size_of(s->buffer->type)), std::byte{0});
        run(s->body[0]);
        break;
      case StmtNode::Kind::gemm:
        run_gemm(*s->gemm_call);
        break;
    }
  }

 private:
  template <typename T>
  static T combine(Combine how, T a, T b) {
    switch (how) {
      case Combine::sum:
        return a + b;
      case Combine::prod:
        return a * b;
      case Combine::max:
        return a > b ? a : b;
      case Combine::min:
        return a < b ? a : b;
    }
    return a;
  }

  std::byte* base(const BufferNode& b) {
    switch (b.space) {
      case Space::operand:
        return static_cast<std::byte*>(frame_.buffers[b.slot]);
      case Space::aux:
        return const_cast<std::byte*>(reinterpret_cast<const std::byte*>(frame_.aux[b.slot]));  // only read
      case Space::scratch:
        return frame_.scratch + b.slot;
      case Space::local: {
        const auto found = locals_.find(&b);
        BALLAST_CHECK(found != locals_.end(), "local buffer " + b.name + " is used outside its scope");
        return found->second.data();
      }
      case Space::tensor:
        BALLAST_CHECK(false, "tensor " + b.name + " was not lowered");
    }
    return nullptr;
  }

  std::byte* lane_base(const BufferNode& b, std::int64_t lane) {
    return static_cast<std::byte*>(static_cast<void* const*>(frame_.buffers[b.slot])[lane]);
  }

  void check(const BufferNode& b, std::int64_t index) {
    const std::int64_t extent = b.extent ? integer(b.extent) : kNoMaximum;
    if (index < 0 || index >= extent)
      throw BoundsError(fmt::format("{}[{}] is outside its {} elements", b.name, index, extent));
  }

  Value read(const BufferNode& b, const std::byte* at, std::int64_t index) {
    check(b, index);
    ++counters.loads;
    if (b.space == Space::aux) ++counters.aux_loads;
    switch (b.type) {
      case DType::f32:
        return {0, reinterpret_cast<const float*>(at)[index]};
      case DType::f64:
        return {0, reinterpret_cast<const double*>(at)[index]};
      case DType::i32:
        return {reinterpret_cast<const std::int32_t*>(at)[index], 0};
      case DType::i64:
        return {reinterpret_cast<const std::int64_t*>(at)[index], 0};
      case DType::boolean:
        return {reinterpret_cast<const std::uint8_t*>(at)[index], 0};
    }
    return {};
  }

  void write(const BufferNode& b, std::int64_t index, Value v) {
    check(b, index);
    ++counters.stores;
    std::byte* at = base(b);
    switch (b.type) {
      case DType::f32:
        reinterpret_cast<float*>(at)[index] = static_cast<float>(v.f);
        break;
      case DType::f64:
        reinterpret_cast<double*>(at)[index] = v.f;
        break;
      case DType::i32:
        reinterpret_cast<std::int32_t*>(at)[index] = static_cast<std::int32_t>(v.i);
        break;
      case DType::i64:
        reinterpret_cast<std::int64_t*>(at)[index] = v.i;
        break;
      case DType::boolean:
        reinterpret_cast<std::uint8_t*>(at)[index] = v.i != 0;
        break;
    }
  }

  void run_gemm(const GemmCall& g) {
    const std::int64_t m = integer(g.m), n = integer(g.n), k = integer(g.k);
    const auto at = [&](const Expr& e) { return e ? integer(e) : 0; };
    const std::int64_t a0 = at(g.a_offset), as = at(g.a_stride), lane = at(g.a_lane), b0 = at(g.b_offset),
                       bs = at(g.b_stride), c0 = at(g.c_offset), cs = at(g.c_stride),
                       bias0 = at(g.bias_offset);
    for (std::int64_t i = 0; i < m; ++i) {
      for (std::int64_t j = 0; j < n; ++j) {
        float sum = 0;
        for (std::int64_t x = 0; x < k; ++x) {
          float a;
          if (g.a->access == Access::PtrTable) {
            a = static_cast<float>(read(*g.a, lane_base(*g.a, lane + i), a0 + x).f);
          } else {
            const std::int64_t row = g.a_rows ? read(*g.a_rows, base(*g.a_rows), lane + i).i : i;
            a = static_cast<float>(read(*g.a, base(*g.a), a0 + row * as + x).f);
          }
          const std::int64_t bi = g.b_packed
                                      ? b0 + j / 64 * 64 * bs + x * 64 + j % 64  // [panel][k][64]: gemm.h
                                  : g.b_transposed ? b0 + j * bs + x
                                                   : b0 + x * bs + j;
          sum = std::fma(a, static_cast<float>(read(*g.b, base(*g.b), bi).f), sum);
          ++counters.multiply_adds;
        }
        sum *= g.scale;
        if (g.bias) sum += static_cast<float>(read(*g.bias, base(*g.bias), bias0 + j).f);
        if (g.accumulate) sum += static_cast<float>(read(*g.c, base(*g.c), c0 + i * cs + j).f);
        write(*g.c, c0 + i * cs + j, {0, sum});
      }
    }
  }

  const KernelFrame& frame_;
  std::unordered_map<const BufferNode*, std::vector<std::byte>> locals_;
};

}  // namespace

std::int64_t evaluate(const Expr& e, const KernelFrame& frame, const Var& task, std::int64_t task_value) {
  Interpreter interpreter(frame);
  if (task) interpreter.variables[task.get()] = task_value;
  return interpreter.integer(e);
}

Counters interpret(const Function& function, const KernelFrame& frame, std::int64_t begin, std::int64_t end) {
  Interpreter interpreter(frame);
  if (end < 0) end = interpreter.integer(function.num_tasks);
  for (std::int64_t task = begin; task < end; ++task) {
    interpreter.variables[function.task.get()] = task;
    interpreter.run(function.body);
  }
  return interpreter.counters;
}

}  // namespace ballast::loop
