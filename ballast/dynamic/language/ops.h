// The tensor operators of the language: names, attributes and shape rules. Element-wise operators broadcast
// as NumPy's do. An operator's run-time operands are tensors, and for embedding and pick_neg_log_softmax one
// i32.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ballast/dynamic/language/types.h"

namespace ballast::dynamic {

enum class OpKind : std::uint8_t {
  dense,         ///< x [.., k], W [n, k] (, b [n]) (, addend): x W^T + b
  matmul,        ///< [m, k] [k, n]
  batch_matmul,  ///< [g, m, k] [g, k, n]
  add,
  sub,
  mul,
  div,
  max,
  min,
  neg,
  exp,
  log,
  sqrt,
  sigmoid,
  tanh,
  relu,
  gelu,
  erf,
  step,  ///< 1 where x > 0, else 0
  softmax,
  log_softmax,
  layer_norm,  ///< x, gamma, beta over the last axis
  concat,      ///< along ints[0]; default the last axis
  slice,       ///< ints: axis, begin, end
  reshape,     ///< ints: the new shape
  transpose,   ///< ints: the permutation
  reduce_sum,  ///< ints: axis, which goes
  reduce_mean,
  reduce_max,
  embedding,             ///< table [rows, n], i32
  add_n,                 ///< a list of tensors of one shape, one or more
  pick_neg_log_softmax,  ///< logits [n], i32
  argmax,                ///< over the last axis: Tensor[i32, ..]
  fill,                  ///< real: value; ints: shape
  scale                  ///< x times the number `real`
};

struct OpCall {
  OpKind kind;
  std::vector<std::int64_t> ints = {};
  double real = 0;
  bool operator==(const OpCall&) const = default;
};

std::string to_string(OpKind kind);
std::optional<OpKind> op_from_name(const std::string& name);
std::vector<std::string> op_names();
/// Element-wise: the result's element depends on the operands' elements of the same place.
bool is_elementwise(OpKind kind);
/// Only moves or renames elements.
bool is_view(OpKind kind);

/// Shape of the result, or what is wrong as one sentence in `problem`. `shapes` are the tensor operands'.
std::optional<Shape> shape_of(const OpCall& call, const std::vector<Shape>& shapes, std::string* problem);
bool gives_integers(OpKind kind);
/// Multiply-adds (or elements touched) of one lane.
double work_of(const OpCall& call, const std::vector<Shape>& shapes, const Shape& result);
/// "dense", "slice{0, 4, 8}": with its attributes.
std::string to_string(const OpCall& call);

}  // namespace ballast::dynamic
