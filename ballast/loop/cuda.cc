#include "ballast/loop/cuda.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <functional>
#include <map>
#include <vector>

#include "ballast/base/errors.h"
#include "ballast/loop/codegen.h"

namespace ballast::loop {
namespace {

constexpr const char* kPreamble = R"(// Generated from the loop IR; one block is one task.
#define THREADS %d
typedef long long i64;
__device__ __forceinline__ i64 floordiv(i64 a, i64 b) { i64 q = a / b; return q - ((a %% b != 0) && ((a < 0) != (b < 0))); }
__device__ __forceinline__ i64 floormod(i64 a, i64 b) { return a - floordiv(a, b) * b; }
__device__ __forceinline__ i64 lesser(i64 a, i64 b) { return a < b ? a : b; }
__device__ __forceinline__ i64 greater(i64 a, i64 b) { return a > b ? a : b; }
__device__ __forceinline__ float lesser(float a, float b) { return a < b ? a : b; }
__device__ __forceinline__ float greater(float a, float b) { return a > b ? a : b; }
__device__ __forceinline__ double lesser(double a, double b) { return a < b ? a : b; }
__device__ __forceinline__ double greater(double a, double b) { return a > b ? a : b; }
)";

class Printer {
 public:
  Printer(const Function& f, int threads) : f_(f), threads_(threads) {}

  std::string print() {
    std::string preamble = kPreamble;
    preamble.replace(preamble.find("%d"), 2, std::to_string(threads_));
    for (std::size_t at; (at = preamble.find("%%")) != std::string::npos;) preamble.replace(at, 2, "%");
    line("i64 " + bind(f_.task) + " = blockIdx.x;");
    emit(f_.body);
    std::string name = "ballast_";
    for (const char c : f_.signature.name) name += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
    return preamble +
           fmt::format(
               "extern \"C\" __global__ void __launch_bounds__(THREADS) {}(void* const* __restrict__ "
               "buffers, const i64* __restrict__ scalars, "
               "const int* const* __restrict__ aux, char* scratch_base) {{\n  char* scratch = scratch_base + "
               "(i64)blockIdx.x * {};\n",
               name, f_.signature.scratch_bytes) +
           (uses_fold_ ? "  __shared__ double fold[THREADS];\n" : "") + body_ + "}\n";
  }

 private:
  void line(const std::string& text) {
    body_ += std::string(static_cast<std::size_t>(indent_) * 2, ' ') + text + "\n";
  }

  std::string bind(const Var& v) {
    std::string name;
    for (const char c : v->name) name += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
    return names_[v.get()] = fmt::format("{}_{}", name, counter_++);
  }

  static const char* type_of(DType type) {
    switch (type) {
      case DType::f32:
        return "float";
      case DType::f64:
        return "double";
      case DType::i32:
        return "int";
      case DType::i64:
        return "i64";
      case DType::boolean:
        return "bool";
    }
    return "?";
  }

  std::string pointer(const BufferNode& b, const std::string& lane = {}) {
    const char* type = type_of(b.type);
    switch (b.space) {
      case Space::operand:
        if (!lane.empty())
          return fmt::format("((const {}*)((void* const*)buffers[{}])[{}])", type, b.slot, lane);
        return fmt::format("(({}*)buffers[{}])", type, b.slot);
      case Space::aux:
        return b.type == DType::i64 ? fmt::format("((const i64*)aux[{}])", b.slot)
                                    : fmt::format("aux[{}]", b.slot);
      case Space::scratch:
        return fmt::format("(({}*)(scratch + {}))", type, b.slot);
      case Space::local:
        return locals_.at(&b);
      case Space::tensor:
        break;
    }
    BALLAST_CHECK(false, "tensor " + b.name + " was not lowered");
    return "";
  }

  std::string e(const Expr& x) {
    const auto arg = [&](std::size_t i) { return e(x->args[i]); };
    const auto binary = [&](const char* sign) { return "(" + arg(0) + " " + sign + " " + arg(1) + ")"; };
    const auto call = [&](const std::string& name) {
      std::string text = name + "(";
      for (std::size_t i = 0; i < x->args.size(); ++i) text += (i ? ", " : "") + arg(i);
      return text + ")";
    };
    const bool f32 = x->type == DType::f32;
    switch (x->op) {
      case Op::integer:
        return x->type == DType::boolean ? (x->integer ? "true" : "false") : fmt::format("{}LL", x->integer);
      case Op::real:
        if (std::isinf(x->real)) return fmt::format("({}__int_as_float(0x7f800000))", x->real < 0 ? "-" : "");
        return f32 ? fmt::format("{:.9e}f", x->real) : fmt::format("{:.17e}", x->real);
      case Op::variable:
        return names_.at(x.get());
      case Op::scalar:
        return fmt::format("scalars[{}]", x->integer);
      case Op::add:
        return binary("+");
      case Op::sub:
        return binary("-");
      case Op::mul:
        return binary("*");
      case Op::div:
        return binary("/");
      case Op::floordiv:
        return call("floordiv");
      case Op::floormod:
        return call("floormod");
      case Op::min:
        return call("lesser");
      case Op::max:
        return call("greater");
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
        return "!" + arg(0);
      case Op::select:
        return "(" + arg(0) + " ? " + arg(1) + " : " + arg(2) + ")";
      case Op::neg:
        return "(-" + arg(0) + ")";
      case Op::abs:
        return call(is_float(x->type) ? (f32 ? "fabsf" : "fabs") : "llabs");
      case Op::exp:
        return call(f32 ? "expf" : "exp");
      case Op::log:
        return call(f32 ? "logf" : "log");
      case Op::tanh:
        return call(f32 ? "tanhf" : "tanh");
      case Op::sqrt:
        return call(f32 ? "sqrtf" : "sqrt");
      case Op::erf:
        return call(f32 ? "erff" : "erf");
      case Op::floor:
        return call(f32 ? "floorf" : "floor");
      case Op::cast:
        return fmt::format("(({}){})", type_of(x->type), arg(0));
      case Op::load: {
        const std::string value = x->args.size() == 2 ? pointer(*x->buffer, arg(0)) + "[" + arg(1) + "]"
                                                      : pointer(*x->buffer) + "[" + arg(0) + "]";
        return is_float(x->buffer->type) ? value : "((i64)" + value + ")";
      }
    }
    return "";
  }

  static std::string combined(Combine how, const std::string& a, const std::string& b) {
    switch (how) {
      case Combine::sum:
        return a + " + " + b;
      case Combine::prod:
        return a + " * " + b;
      case Combine::max:
        return "greater(" + a + ", " + b + ")";
      case Combine::min:
        return "lesser(" + a + ", " + b + ")";
    }
    return "";
  }
  static std::string identity(Combine how) {
    switch (how) {
      case Combine::sum:
        return "0.0";
      case Combine::prod:
        return "1.0";
      case Combine::max:
        return "-(double)__int_as_float(0x7f800000)";
      case Combine::min:
        return "(double)__int_as_float(0x7f800000)";
    }
    return "";
  }

  /// Statements of thread 0 alone, between two barriers; inside a vector loop every thread runs its own.
  void single(const std::string& text) {
    if (thread_ != nullptr) return line(text);
    line("__syncthreads();");
    line("if (threadIdx.x == 0) { " + text + " }");
    line("__syncthreads();");
  }

  void emit(const Stmt& s) {
    switch (s->kind) {
      case StmtNode::Kind::block:
        for (const Stmt& part : s->body) emit(part);
        break;
      case StmtNode::Kind::loop:
        return emit_loop(*s);
      case StmtNode::Kind::store:
        return single(fmt::format("{}[{}] = {};", pointer(*s->buffer), e(s->index), e(s->value)));
      case StmtNode::Kind::accumulate: {
        const std::string place = fmt::format("{}[{}]", pointer(*s->buffer), e(s->index));
        // One place for all threads of a vector loop: left to the fold after it.
        if (const auto sum = folds_.find(s.get()); sum != folds_.end())
          return line(fmt::format("{0} = {1};", sum->second,
                                  combined(s->combine, sum->second, "(double)(" + e(s->value) + ")")));
        return single(fmt::format("{} = {};", place, combined(s->combine, place, e(s->value))));
      }
      case StmtNode::Kind::branch:
        line("if (" + e(s->value) + ") {");
        nested(s->body[0]);
        if (s->body.size() > 1) {
          line("} else {");
          nested(s->body[1]);
        }
        line("}");
        break;
      case StmtNode::Kind::let: {
        if (thread_ == nullptr) line("__syncthreads();");  // what it reads may just have been written
        const std::string value = e(s->value);
        line(fmt::format("const i64 {} = {};", bind(s->var), value));
        emit(s->body[0]);
        break;
      }
      case StmtNode::Kind::allocate: {
        const std::string name = fmt::format("local_{}", counter_++);
        locals_[s->buffer.get()] = name;
        line(fmt::format("{}{} {}[{}];", thread_ ? "" : "__shared__ ", type_of(s->buffer->type), name,
                         s->buffer->extent->integer));
        emit(s->body[0]);
        break;
      }
      case StmtNode::Kind::gemm:
        return emit_gemm(*s->gemm_call);
    }
  }

  void nested(const Stmt& s) {
    ++indent_;
    emit(s);
    --indent_;
  }

  static void find_folds(const Stmt& s, const ExprNode* v, std::vector<const BufferNode*> inside,
                         std::vector<const StmtNode*>& out) {
    if (s->kind == StmtNode::Kind::allocate) inside.push_back(s->buffer.get());
    if (s->kind == StmtNode::Kind::accumulate && !depends_on(s->index, v) &&
        std::find(inside.begin(), inside.end(), s->buffer.get()) == inside.end())
      out.push_back(s.get());
    for (const Stmt& part : s->body) find_folds(part, v, inside, out);
  }

  void emit_loop(const StmtNode& s) {
    const std::string first = e(s.first), extent = e(s.extent);
    const bool shared_out = s.loop_kind == LoopKind::vector && thread_ == nullptr && vectorisable(s);
    const std::string v = bind(s.var);
    if (!shared_out) {
      if (thread_ == nullptr) line("__syncthreads();");
      line(
          fmt::format("for (i64 {0} = {1}, {0}_end = {0} + {2}; {0} < {0}_end; ++{0}) {{", v, first, extent));
      nested(s.body[0]);
      line("}");
      return;
    }
    std::vector<const StmtNode*> folds;
    find_folds(s.body[0], s.var.get(), {}, folds);
    line("__syncthreads();");
    line("{");
    ++indent_;
    for (const StmtNode* fold : folds)
      line(fmt::format("double {} = {};", folds_[fold] = fmt::format("part_{}", counter_++),
                       identity(fold->combine)));
    line(fmt::format(
        "for (i64 {0} = {1} + threadIdx.x, {0}_end = {1} + {2}; {0} < {0}_end; {0} += THREADS) {{", v, first,
        extent));
    thread_ = s.var.get();
    nested(s.body[0]);
    thread_ = nullptr;
    line("}");
    for (const StmtNode* fold : folds) {
      uses_fold_ = true;
      const std::string part = folds_[fold];
      folds_.erase(fold);
      line("__syncthreads();");
      line(fmt::format("fold[threadIdx.x] = {};", part));
      line("for (int half = THREADS / 2; half > 0; half /= 2) {");
      line("  __syncthreads();");
      line(fmt::format("  if (threadIdx.x < half) fold[threadIdx.x] = {};",
                       combined(fold->combine, "fold[threadIdx.x]", "fold[threadIdx.x + half]")));
      line("}");
      const std::string place = fmt::format("{}[{}]", pointer(*fold->buffer), e(fold->index));
      single(fmt::format(
          "{} = {};", place,
          combined(fold->combine, place, fmt::format("({})fold[0]", type_of(fold->buffer->type)))));
    }
    --indent_;
    line("}");
    line("__syncthreads();");
  }

  void emit_gemm(const GemmCall& g) {
    const auto integer = [&](const Expr& x) { return x ? e(x) : std::string("0LL"); };
    line("__syncthreads();");
    line(fmt::format(
        "for (i64 at = threadIdx.x, columns = {1}, all = ({0}) * columns; at < all; at += THREADS) {{",
        integer(g.m), integer(g.n)));
    ++indent_;
    line("const i64 gi = at / columns, gj = at % columns;");
    if (g.a->access == Access::PtrTable) {
      line(fmt::format("const float* ga = {} + ({});",
                       pointer(*g.a, fmt::format("({}) + gi", integer(g.a_lane))), integer(g.a_offset)));
    } else if (g.a_rows) {
      line(fmt::format("const float* ga = {} + ({}) + (i64){}[({}) + gi] * ({});", pointer(*g.a),
                       integer(g.a_offset), pointer(*g.a_rows), integer(g.a_lane), integer(g.a_stride)));
    } else {
      line(fmt::format("const float* ga = {} + ({}) + gi * ({});", pointer(*g.a), integer(g.a_offset),
                       integer(g.a_stride)));
    }
    const std::string stride = integer(g.b_stride);
    line(fmt::format("const float* gb = {} + ({});", pointer(*g.b), integer(g.b_offset)));
    line("float sum = 0;");
    const std::string place = g.b_packed       ? fmt::format("gj / 64 * 64 * ({}) + k * 64 + gj % 64", stride)
                              : g.b_transposed ? fmt::format("gj * ({}) + k", stride)
                                               : fmt::format("k * ({}) + gj", stride);
    line(fmt::format("for (i64 k = 0, last = {}; k < last; ++k) sum = fmaf(ga[k], gb[{}], sum);",
                     integer(g.k), place));
    line(fmt::format("float* gc = {} + ({}) + gi * ({}) + gj;", pointer(*g.c), integer(g.c_offset),
                     integer(g.c_stride)));
    std::string value = g.scale == 1 ? "sum" : fmt::format("{:.9e}f * sum", static_cast<double>(g.scale));
    if (g.bias) value += fmt::format(" + {}[({}) + gj]", pointer(*g.bias), integer(g.bias_offset));
    line(fmt::format("*gc = {}{};", g.accumulate ? "*gc + " : "", value));
    --indent_;
    line("}");
    line("__syncthreads();");
  }

  const Function& f_;
  int threads_;
  std::string body_;
  int indent_ = 1, counter_ = 0;
  bool uses_fold_ = false;
  const ExprNode* thread_ = nullptr;  ///< of the vector loop that is shared out
  std::map<const ExprNode*, std::string> names_;
  std::map<const BufferNode*, std::string> locals_;
  std::map<const StmtNode*, std::string> folds_;
};

/// The few entry points of NVRTC that are needed, opened once.
struct Nvrtc {
  using Handle = void*;
  int (*create)(Handle*, const char*, const char*, int, const char* const*, const char* const*) = nullptr;
  int (*compile)(Handle, int, const char* const*) = nullptr;
  int (*log_size)(Handle, std::size_t*) = nullptr;
  int (*log)(Handle, char*) = nullptr;
  int (*ptx_size)(Handle, std::size_t*) = nullptr;
  int (*ptx)(Handle, char*) = nullptr;
  int (*destroy)(Handle*) = nullptr;

  Nvrtc() {
    void* library = nullptr;
    for (const char* name : {"libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2",
                             "/usr/local/cuda/lib64/libnvrtc.so", "/usr/local/cuda/lib64/libnvrtc.so.13",
                             "/usr/local/cuda/lib64/libnvrtc.so.12"})
      if ((library = ::dlopen(name, RTLD_NOW | RTLD_LOCAL)) != nullptr) break;
    if (library == nullptr) return;
    const auto get = [&](auto& f, const char* name) {
      f = reinterpret_cast<std::remove_reference_t<decltype(f)>>(::dlsym(library, name));
    };
    get(compile, "nvrtcCompileProgram");
    get(log_size, "nvrtcGetProgramLogSize");
    get(log, "nvrtcGetProgramLog");
    get(ptx_size, "nvrtcGetPTXSize");
    get(ptx, "nvrtcGetPTX");
    get(destroy, "nvrtcDestroyProgram");
    get(create, "nvrtcCreateProgram");
  }
  bool usable() const { return create && compile && log_size && log && ptx_size && ptx && destroy; }
  static const Nvrtc& get_library() {
    static const Nvrtc nvrtc;
    return nvrtc;
  }
};

}  // namespace

std::string to_cuda(const Function& function, int threads) {
  return Printer(function, threads).print();
}

bool nvrtc_available() {
  return Nvrtc::get_library().usable();
}

std::string compile_cuda(const std::string& text, const std::string& architecture) {
  const Nvrtc& n = Nvrtc::get_library();
  if (!n.usable())
    throw Unavailable("NVRTC (libnvrtc) is not installed: CUDA text can be emitted, not compiled");
  Nvrtc::Handle program = nullptr;
  if (n.create(&program, text.c_str(), "kernel.cu", 0, nullptr, nullptr) != 0)
    throw Unavailable("NVRTC refused the program");
  const std::string arch = "--gpu-architecture=" + architecture;
  const char* options[] = {arch.c_str()};
  const int result = n.compile(program, 1, options);
  std::size_t size = 0;
  if (result != 0) {
    n.log_size(program, &size);
    std::string log(size, '\0');
    n.log(program, log.data());
    n.destroy(&program);
    throw Unavailable("NVRTC: " + log);
  }
  n.ptx_size(program, &size);
  std::string ptx(size, '\0');
  n.ptx(program, ptx.data());
  n.destroy(&program);
  return ptx;
}

}  // namespace ballast::loop
