// The network as codesign sees it: a graph of operators in a fixed topological order, each with the numbers
// that cost models need (extents, multiply-accumulates, bytes), after shapes are known.
//
// Extents of a dense operator: batch x [oy, ox] output positions, k output channels, c input channels a
// group, fy x fx kernel. A linear layer on t tokens is oy = 1, ox = t, fy = fx = 1.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace ballast::codesign {

enum class Op {
  conv,
  depthwise_conv,
  group_conv,
  conv_transpose,
  linear,
  matmul_dynamic,  ///< both operands are activations
  softmax,
  layer_norm,
  batch_norm,
  elementwise,
  activation,
  pool,
  global_pool,
  reduce,
  resize,
  concat,
  slice,
  reshape,  ///< no cost: the bytes stay where they are
  transpose,
  other,
};
std::string to_string(Op op);

using TensorId = int;

struct Tensor {
  std::string name;
  std::vector<std::int64_t> shape;
  bool constant = false;

  std::int64_t elements() const;
};

struct Node {
  std::string name;
  Op op = Op::other;
  std::string source_op;  ///< the ONNX operator, or Add, Mul, ... for the output stage's table
  std::vector<TensorId> inputs, outputs;

  std::int64_t batch = 1, oy = 1, ox = 1, k = 1, c = 1, fy = 1, fx = 1, groups = 1, stride = 1;
  std::int64_t macs = 0;
  std::int64_t in_bytes = 0, out_bytes = 0, weight_bytes = 0;  ///< at the graph's precision
  std::string activation;                                      ///< fused onto the output, "" if none
  std::vector<std::string> fused;                              ///< names of the operators absorbed
  int group = -1;  ///< the attention block this is part of, -1: none

  /// One operand is constant and the arithmetic is multiply-accumulate: what a weight-stationary macro can
  /// take.
  bool static_dense() const { return op == Op::conv || op == Op::linear; }
  std::int64_t out_elements() const { return out_bytes; }
};

/// Nodes in topological order. Tensors are named once; constants have no producer.
class Graph {
 public:
  std::string name;
  std::vector<Tensor> tensors;
  std::vector<Node> nodes;
  std::vector<TensorId> inputs, outputs;

  TensorId add_tensor(Tensor tensor);
  /// Index of the node that produces the tensor, or -1.
  int producer(TensorId tensor) const;
  /// Indices of the nodes that read the tensor.
  std::vector<int> consumers(TensorId tensor) const;
  /// For every node, the nodes whose outputs it reads, without repetition.
  std::vector<std::vector<int>> predecessors() const;

  std::int64_t macs() const;
  std::int64_t weight_bytes() const;
  /// Fills macs and bytes of every node from extents and shapes (8-bit tensors: one byte an element).
  void count();
  /// Every input is produced earlier, extents are positive, outputs exist; throws InvalidInput naming the
  /// node.
  void validate() const;
};

}  // namespace ballast::codesign
