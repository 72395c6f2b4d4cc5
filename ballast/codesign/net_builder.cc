#include "ballast/codesign/net_builder.h"

#include <fmt/format.h>

namespace ballast::codesign {

TensorId NetBuilder::input(int channels, int resolution) {
  const TensorId id = graph_.add_tensor({"x", {1, channels, resolution, resolution}, false});
  graph_.inputs.push_back(id);
  return id;
}

TensorId NetBuilder::conv(TensorId in, int k, int kernel, int stride, int groups,
                          const std::string& activation) {
  const auto shape = shape_of(in);
  const auto side = [&](std::int64_t extent) { return (extent + 2 * (kernel / 2) - kernel) / stride + 1; };
  Node node;
  node.op = groups == 1 ? Op::conv : groups == k ? Op::depthwise_conv : Op::group_conv;
  node.source_op = "Conv";
  node.k = k;
  node.c = shape[1] / groups;
  node.groups = groups;
  node.fy = node.fx = kernel;
  node.stride = stride;
  node.oy = side(shape[2]);
  node.ox = side(shape[3]);
  node.activation = activation;
  return append(std::move(node), {in}, {1, k, node.oy, node.ox});
}

TensorId NetBuilder::linear(TensorId in, int k, const std::string& activation) {
  const auto shape = shape_of(in);
  Node node;
  node.op = Op::linear;
  node.source_op = "MatMul";
  node.k = k;
  node.c = shape[1];
  node.ox = shape[2] * shape[3];
  node.activation = activation;
  return append(std::move(node), {in}, {1, k, shape[2], shape[3]});
}

TensorId NetBuilder::add(TensorId a, TensorId b) {
  return same_shape(Op::elementwise, "Add", {a, b});
}
TensorId NetBuilder::multiply(TensorId a, TensorId b) {
  return same_shape(Op::elementwise, "Mul", {a, b});
}
TensorId NetBuilder::layer_norm(TensorId in) {
  return same_shape(Op::layer_norm, "LayerNormalization", {in});
}
TensorId NetBuilder::softmax(TensorId in) {
  return same_shape(Op::softmax, "Softmax", {in});
}

TensorId NetBuilder::average_pool(TensorId in, int stride) {
  const auto shape = shape_of(in);
  Node node;
  node.op = Op::pool;
  node.source_op = "AveragePool";
  node.fy = node.fx = stride;
  return append(std::move(node), {in},
                {1, shape[1], (shape[2] + stride - 1) / stride, (shape[3] + stride - 1) / stride});
}

TensorId NetBuilder::global_pool(TensorId in) {
  Node node;
  node.op = Op::global_pool;
  node.source_op = "GlobalAveragePool";
  return append(std::move(node), {in}, {1, shape_of(in)[1], 1, 1});
}

TensorId NetBuilder::matmul(TensorId a, TensorId b, std::int64_t batch, std::int64_t rows,
                            std::int64_t columns, std::int64_t inner, std::vector<std::int64_t> shape) {
  Node node;
  node.op = Op::matmul_dynamic;
  node.source_op = "MatMul";
  node.batch = batch;
  node.ox = rows;
  node.k = columns;
  node.c = inner;
  return append(std::move(node), {a, b}, std::move(shape));
}

Graph NetBuilder::finish(TensorId out) {
  graph_.outputs = {out};
  graph_.count();
  graph_.validate();
  return std::move(graph_);
}

TensorId NetBuilder::same_shape(Op op, const std::string& source, std::vector<TensorId> in) {
  Node node;
  node.op = op;
  node.source_op = source;
  auto shape = shape_of(in[0]);
  return append(std::move(node), std::move(in), std::move(shape));
}

TensorId NetBuilder::append(Node node, std::vector<TensorId> in, std::vector<std::int64_t> shape) {
  node.name = step_.empty()   ? fmt::format("{}_{}", to_string(node.op), graph_.nodes.size())
              : in_step_ == 0 ? step_
                              : fmt::format("{}.{}_{}", step_, to_string(node.op), in_step_);
  ++in_step_;
  node.inputs = std::move(in);
  const TensorId out = graph_.add_tensor({node.name, std::move(shape), false});
  node.outputs = {out};
  graph_.nodes.push_back(std::move(node));
  return out;
}

}  // namespace ballast::codesign
