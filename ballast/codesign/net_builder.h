// Writes graphs layer by layer; a value is a tensor of shape [1, channels, height, width].
//
//   NetBuilder b("net");
//   TensorId x = b.conv(b.input(3, 224), 32, 3, 2, 1, "Relu6");
//   Graph graph = b.finish(x);
#pragma once

#include <string>
#include <vector>

#include "ballast/codesign/ir.h"

namespace ballast::codesign {

class NetBuilder {
 public:
  explicit NetBuilder(std::string name) { graph_.name = std::move(name); }

  TensorId input(int channels, int resolution);
  /// `groups` equal to `k`: depthwise.
  TensorId conv(TensorId in, int k, int kernel, int stride, int groups, const std::string& activation);
  /// A linear layer on the positions as tokens.
  TensorId linear(TensorId in, int k, const std::string& activation);
  TensorId add(TensorId a, TensorId b);
  TensorId multiply(TensorId a, TensorId b);
  TensorId average_pool(TensorId in, int stride);
  TensorId global_pool(TensorId in);
  TensorId layer_norm(TensorId in);
  TensorId softmax(TensorId in);
  /// `batch` products of rows x inner by inner x columns, both operands activations.
  TensorId matmul(TensorId a, TensorId b, std::int64_t batch, std::int64_t rows, std::int64_t columns,
                  std::int64_t inner, std::vector<std::int64_t> shape);

  std::int64_t channels(TensorId id) const { return shape_of(id)[1]; }
  /// What the following nodes are named after: "s3.1.mb.expand", with the operator where a step has several.
  void name_next(std::string step) {
    step_ = std::move(step);
    in_step_ = 0;
  }

  Graph finish(TensorId out);

 private:
  const std::vector<std::int64_t>& shape_of(TensorId id) const {
    return graph_.tensors[static_cast<std::size_t>(id)].shape;
  }
  TensorId append(Node node, std::vector<TensorId> in, std::vector<std::int64_t> shape);
  TensorId same_shape(Op op, const std::string& source, std::vector<TensorId> in);

  Graph graph_;
  std::string step_;
  int in_step_ = 0;
};

}  // namespace ballast::codesign
