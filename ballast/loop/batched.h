// Batched kernels over lanes: one fused operator applied to B independent small tensors, whose operands lie
// wherever they lie. `dynamic` builds its kernels with this; the loop IR that comes out is compiled like any
// other.
//
//   LaneProgram p("lstm_gate");
//   auto x = p.input("x", {256}, Access::PtrTable), h = p.input("h", {256}, Access::Dense);
//   auto w = p.input("w", {256, 512}, Access::Shared), b = p.input("b", {256}, Access::Shared);
//   auto y = p.affine(p.concat({x, h}), w, b);                       // no copy: two products add up
//   p.output("y", p.map([](auto a) { return sigmoid(a[0]); }, {y}));
//   auto kernel = registry.get(p.build());
//
// Frame: `buffers` in the order of input() and output() calls, `scalars` = {B}, `aux` = one int32 table a
// RowIndex input (its OperandDesc::aux_slot). Results are written densely in lane order. A task is a tile of
// lanes; each lane's result depends on its own operands alone, in a fixed order of summation: the same bits
// for every B.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ballast/loop/kernel.h"

namespace ballast::loop {

class LaneProgram {
 public:
  using Shape = std::vector<std::int64_t>;
  using Value = int;  ///< a node of this program
  using Scalar = std::function<Expr(std::span<const Expr>)>;

  explicit LaneProgram(std::string name) : name_(std::move(name)) {}

  Value input(const std::string& name, Shape shape, Access access, DType type = DType::f32);
  /// Element-wise with NumPy's broadcasting.
  Value map(const Scalar& f, const std::vector<Value>& args);
  /// y[.., n] = sum_k x[.., k] * w[n, k] (+ bias[n]) (+ addend). w and bias are Shared. `packed`: w's frame
  /// entry was made by pack_panels(w, k, true, k, n). A concat in x is taken part by part, without a copy.
  Value affine(Value x, Value w, std::optional<Value> bias = {}, std::optional<Value> addend = {},
               bool packed = false);
  /// As affine without bias, w given as [k, n].
  Value multiply_shared(Value x, Value w);
  /// Per lane: a [m, k] times b [k, n] (b_transposed: [n, k]).
  Value matmul(Value a, Value b, bool b_transposed = false);
  /// Over one axis, which stays with extent 1.
  Value reduce(Combine combine, Value x, int axis);
  /// Index (i32, extent 1) of the first largest element of the last axis.
  Value argmax(Value x);
  Value softmax(Value x);      ///< over the last axis
  Value log_softmax(Value x);  ///< over the last axis
  Value layer_norm(Value x, Value gamma, Value beta, float epsilon = 1e-5f);
  Value concat(const std::vector<Value>& parts, int axis = -1);
  Value slice(Value x, int axis, std::int64_t begin, std::int64_t end);
  Value reshape(Value x, Shape shape);
  Value transpose(Value x, const std::vector<int>& permutation);
  /// Row index[0] of a table [rows, n]; index is an i32 input of shape {1}.
  Value embedding(Value table, Value index);
  /// x[.., index]: the element of the last axis; index as above.
  Value pick(Value x, Value index);
  void output(const std::string& name, Value value);

  const Shape& shape(Value v) const { return nodes_[static_cast<std::size_t>(v)].shape; }

  /// Lowers to loop IR. `tile`: lanes of one task. Throws InvalidInput for a program without output.
  Function build(std::int64_t tile = 32) const;

 private:
  friend class LaneLowering;
  enum class Kind : std::uint8_t {
    input,
    map,
    affine,
    matmul,
    reduce,
    argmax,
    concat,
    slice,
    reshape,
    transpose,
    embedding,
    pick
  };
  struct Node {
    Kind kind;
    Shape shape = {};
    DType type = DType::f32;
    std::vector<Value> args = {};
    int operand = -1;  ///< of an input
    Scalar scalar = {};
    Combine combine = Combine::sum;
    int axis = 0;
    std::int64_t begin = 0;
    std::vector<int> permutation = {};
    bool flag = false, second_flag = false;  ///< affine: packed, w given as [k, n]; matmul: b transposed
    bool has_bias = false, has_addend = false;
  };
  Value add(Node node);
  const Node& node(Value v) const { return nodes_[static_cast<std::size_t>(v)]; }

  std::string name_;
  std::vector<Node> nodes_;
  std::vector<OperandDesc> operands_;
  std::vector<std::pair<int, Value>> outputs_;  ///< operand, value
  int tables_ = 0;
};

/// out[b] = sum of terms[t] for t in offsets[b] .. offsets[b + 1] - 1, each of `size` floats. Frame: buffers
/// {terms as a pointer list, out}, scalars {B}, aux {offsets}.
Function sum_terms(std::int64_t size);
/// dw[n, k] += sum over lanes of dy[b][n] * x[b][k], lanes in order (the gradient of affine). Frame: buffers
/// {dy, x, dw}, scalars {B}, aux: tables of RowIndex operands in that order.
Function outer_sum(std::int64_t n, std::int64_t k, Access dy, Access x);

}  // namespace ballast::loop
