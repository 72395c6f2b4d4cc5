// The loop IR: what every kernel of `ragged` and `dynamic` is made of before it is interpreted or compiled.
//
//   Buffer x = operand_buffer("x", DType::f32, 0, batch * 64), y = operand_buffer("y", DType::f32, 1, batch *
//   64); Var b = variable("b"), i = variable("i"); Stmt body = loop(i, 0, 64, store(y, b * 64 + i,
//   exp(load(x, b * 64 + i))), LoopKind::vector);
//
// Expressions are immutable and shared. Index arithmetic is 64-bit; integers of any width are widened when
// loaded. A read of an integer buffer whose values have a declared range is what the paper calls an
// uninterpreted function (a length, an offset, a fused-loop map): analyses know its range, not its values.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

namespace ballast::loop {

enum class DType : std::uint8_t { f32, f64, i32, i64, boolean };
std::string to_string(DType type);
int size_of(DType type);
inline bool is_float(DType type) {
  return type == DType::f32 || type == DType::f64;
}

/// How the lanes (the outermost dimension) of an operand lie in memory.
///   Dense     lane b at base + b * stride
///   Ragged    lane b at an offset read from a table
///   PtrTable  the operand's frame entry is `void* const*`: lane b at entry[b]
///   RowIndex  lane b is row table[b] of a dense array; the table is int32 in `aux`
///   Shared    the same for every lane (a parameter)
enum class Access : std::uint8_t { Dense, Ragged, PtrTable, RowIndex, Shared };
std::string to_string(Access access);

enum class Op : std::uint8_t {
  integer,
  real,
  variable,
  scalar,
  add,
  sub,
  mul,
  div,
  floordiv,
  floormod,
  min,
  max,
  less,
  less_equal,
  equal,
  logical_and,
  logical_or,
  logical_not,
  select,
  neg,
  abs,
  exp,
  log,
  tanh,
  sqrt,
  erf,
  floor,
  cast,
  load
};

struct ExprNode;
struct BufferNode;
struct StmtNode;
using Buffer = std::shared_ptr<const BufferNode>;
using Stmt = std::shared_ptr<const StmtNode>;

class Expr {
 public:
  Expr() = default;
  Expr(std::int64_t value);                                    // NOLINT: integers are index expressions
  Expr(int value) : Expr(static_cast<std::int64_t>(value)) {}  // NOLINT
  Expr(double value);                                          // NOLINT: an f32 constant
  Expr(float value) : Expr(static_cast<double>(value)) {}      // NOLINT
  explicit Expr(std::shared_ptr<const ExprNode> node) : node_(std::move(node)) {}
  const ExprNode* operator->() const { return node_.get(); }
  const ExprNode* get() const { return node_.get(); }
  explicit operator bool() const { return node_ != nullptr; }

 private:
  std::shared_ptr<const ExprNode> node_;
};

constexpr std::int64_t kNoMinimum = std::numeric_limits<std::int64_t>::min() / 4;
constexpr std::int64_t kNoMaximum = std::numeric_limits<std::int64_t>::max() / 4;

struct ExprNode {
  Op op;
  DType type;
  std::int64_t integer = 0;                          ///< value of `integer`; slot of `scalar`
  double real = 0;                                   ///< value of `real`
  std::string name;                                  ///< of `variable` and `scalar`
  std::int64_t low = kNoMinimum, high = kNoMaximum;  ///< declared range (inclusive) of `scalar`
  Buffer buffer;                                     ///< of `load`
  std::vector<Expr> args;  ///< of `load`: {index} or, for a PtrTable operand, {lane, index}
};
/// A variable is its node: two of the same name are different.
using Var = Expr;

enum class Space : std::uint8_t {
  operand,  ///< frame.buffers[slot]
  aux,      ///< frame.aux[slot]: int32 tables
  scratch,  ///< frame.scratch + slot bytes: per worker
  local,    ///< on the stack, `extent` constant; inside a vector loop every lane has its own
  tensor    ///< a tensor of a stage, before lowering
};

struct BufferNode {
  std::string name;
  DType type = DType::f32;
  Space space = Space::operand;
  int slot = 0;
  Access access = Access::Dense;
  Expr extent;  ///< elements that may be touched (of one lane for PtrTable); empty: not checked
  std::int64_t low = kNoMinimum, high = kNoMaximum;  ///< declared range of an integer buffer's values
};

enum class LoopKind : std::uint8_t {
  serial,
  vector,  ///< iterations are independent but for `accumulate`; compiled with SIMD lanes and a masked tail
  unrolled
};
enum class Combine : std::uint8_t { sum, max, min, prod };

/// C[i,j] (= or +=) scale * sum_k A[i,k] * B[k,j] (+ bias[j]), f32, the sum in the order of k.
/// A[i,k] = a[a_offset + i * a_stride + k], or for a PtrTable operand `a.entry[a_lane + i][a_offset + k]`,
/// or with `a_rows`: a[a_offset + a_rows[a_lane + i] * a_stride + k].
/// B[k,j] = b[b_offset + k * b_stride + j], transposed: b[b_offset + j * b_stride + k].
struct GemmCall {
  Expr m, n, k;
  Buffer a, a_rows, b, c, bias;
  Expr a_offset, a_stride, a_lane, b_offset, b_stride, c_offset, c_stride, bias_offset;
  bool b_transposed = false, accumulate = false;
  /// B was packed by `pack_panels` (gemm.h): b_stride is its whole k, b_offset 64 times the first row of k
  /// used.
  bool b_packed = false;
  float scale = 1;
};

struct StmtNode {
  enum class Kind : std::uint8_t { block, loop, store, accumulate, branch, let, allocate, gemm };
  Kind kind;
  Var var;                 ///< loop, let
  Expr first, extent;      ///< loop: var = first .. first + extent - 1
  LoopKind loop_kind{};    ///< loop
  Buffer buffer;           ///< store, accumulate, allocate
  Expr index, value;       ///< store and accumulate; let uses `value`; branch uses `value` as the condition
  Combine combine{};       ///< accumulate: buffer[index] = combine(buffer[index], value)
  std::vector<Stmt> body;  ///< block, loop, let, allocate, branch (then, and else if two)
  std::shared_ptr<const GemmCall> gemm_call;
  std::string note;  ///< shown by the printer: stage and loop names
};

// Expressions.
Var variable(std::string name);
Expr scalar(std::string name, int slot, std::int64_t low = kNoMinimum, std::int64_t high = kNoMaximum);
Expr real(double value, DType type = DType::f32);
Expr load(Buffer buffer, Expr index);
Expr load_lane(Buffer buffer, Expr lane, Expr index);
Expr cast(DType type, Expr value);
Expr make(Op op, std::vector<Expr> args);
Expr operator+(Expr a, Expr b);
Expr operator-(Expr a, Expr b);
Expr operator*(Expr a, Expr b);
Expr operator/(Expr a, Expr b);  ///< real division
Expr operator-(Expr a);
Expr floordiv(Expr a, Expr b);
Expr floormod(Expr a, Expr b);
Expr min(Expr a, Expr b);
Expr max(Expr a, Expr b);
Expr operator<(Expr a, Expr b);
Expr operator<=(Expr a, Expr b);
Expr equal(Expr a, Expr b);
Expr logical_and(Expr a, Expr b);
Expr logical_or(Expr a, Expr b);
Expr logical_not(Expr a);
Expr select(Expr condition, Expr then, Expr otherwise);
Expr abs(Expr a);
Expr exp(Expr a);
Expr log(Expr a);
Expr tanh(Expr a);
Expr sqrt(Expr a);
Expr erf(Expr a);
Expr sigmoid(Expr a);
Expr relu(Expr a);
/// The exact GELU, x * (1 + erf(x / sqrt 2)) / 2.
Expr gelu(Expr a);
/// The least multiple of m that is not below a; the number of m-wide pieces that cover a.
Expr ceil_mult(Expr a, std::int64_t m);
Expr ceil_div(Expr a, std::int64_t m);
bool is_integer(const Expr& e, std::int64_t value);
bool is_constant(const Expr& e);

// Buffers.
Buffer operand_buffer(std::string name, DType type, int slot, Expr extent, Access access = Access::Dense);
Buffer aux_buffer(std::string name, int slot, Expr extent, std::int64_t low, std::int64_t high);
Buffer local_buffer(std::string name, DType type, std::int64_t extent);
Buffer scratch_buffer(std::string name, DType type, int byte_offset, std::int64_t extent);

// Statements.
Stmt block(std::vector<Stmt> body);
Stmt loop(Var var, Expr first, Expr extent, Stmt body, LoopKind kind = LoopKind::serial,
          std::string note = {});
Stmt store(Buffer buffer, Expr index, Expr value);
Stmt accumulate(Buffer buffer, Expr index, Combine combine, Expr value);
Stmt branch(Expr condition, Stmt then, Stmt otherwise = nullptr);
Stmt let(Var var, Expr value, Stmt body);
Stmt allocate(Buffer buffer, Stmt body);
Stmt gemm(GemmCall call);
double identity_of(Combine combine);

/// Replaces variables (by identity); used by schedules and inlining.
struct Substitution {
  std::vector<std::pair<const ExprNode*, Expr>> pairs;
  Expr operator()(const Expr& e) const;
  Stmt operator()(const Stmt& s) const;
};
bool depends_on(const Expr& e, const ExprNode* variable);

/// Readable text, one statement a line: what `ragged compile --emit loops` prints and what kernels are keyed
/// by.
std::string to_text(const Expr& e);
std::string to_text(const Stmt& s, int indent = 0);

}  // namespace ballast::loop
