#include "ballast/codesign/onnx_import.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <onnx/onnx_pb.h>
#include <onnx/shape_inference/implementation.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>
#include <set>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/codesign/onnx_shapes.h"

namespace ballast::codesign {
namespace {

const onnx::AttributeProto* attribute(const onnx::NodeProto& node, const std::string& name) {
  for (const auto& a : node.attribute()) {
    if (a.name() == name) return &a;
  }
  return nullptr;
}

std::vector<std::int64_t> ints(const onnx::NodeProto& node, const std::string& name) {
  const auto* a = attribute(node, name);
  return a == nullptr ? std::vector<std::int64_t>{}
                      : std::vector<std::int64_t>(a->ints().begin(), a->ints().end());
}

std::int64_t integer(const onnx::NodeProto& node, const std::string& name, std::int64_t otherwise) {
  const auto* a = attribute(node, name);
  return a == nullptr ? otherwise : a->i();
}

const std::map<std::string, Op>& op_table() {
  static const std::map<std::string, Op> table = {{"Conv", Op::conv},
                                                  {"ConvTranspose", Op::conv_transpose},
                                                  {"Gemm", Op::linear},
                                                  {"MatMul", Op::linear},
                                                  {"Softmax", Op::softmax},
                                                  {"LogSoftmax", Op::softmax},
                                                  {"LayerNormalization", Op::layer_norm},
                                                  {"BatchNormalization", Op::batch_norm},
                                                  {"InstanceNormalization", Op::layer_norm},
                                                  {"Add", Op::elementwise},
                                                  {"Sub", Op::elementwise},
                                                  {"Mul", Op::elementwise},
                                                  {"Div", Op::elementwise},
                                                  {"Pow", Op::elementwise},
                                                  {"Sqrt", Op::elementwise},
                                                  {"Exp", Op::elementwise},
                                                  {"Max", Op::elementwise},
                                                  {"Min", Op::elementwise},
                                                  {"Neg", Op::elementwise},
                                                  {"Abs", Op::elementwise},
                                                  {"Where", Op::elementwise},
                                                  {"Equal", Op::elementwise},
                                                  {"Erf", Op::activation},
                                                  {"Reciprocal", Op::elementwise},
                                                  {"Floor", Op::elementwise},
                                                  {"Relu", Op::activation},
                                                  {"Clip", Op::activation},
                                                  {"Sigmoid", Op::activation},
                                                  {"Tanh", Op::activation},
                                                  {"HardSigmoid", Op::activation},
                                                  {"HardSwish", Op::activation},
                                                  {"LeakyRelu", Op::activation},
                                                  {"PRelu", Op::activation},
                                                  {"Elu", Op::activation},
                                                  {"Gelu", Op::activation},
                                                  {"Mish", Op::activation},
                                                  {"Softplus", Op::activation},
                                                  {"MaxPool", Op::pool},
                                                  {"AveragePool", Op::pool},
                                                  {"GlobalAveragePool", Op::global_pool},
                                                  {"GlobalMaxPool", Op::global_pool},
                                                  {"ReduceMean", Op::reduce},
                                                  {"ReduceSum", Op::reduce},
                                                  {"ReduceMax", Op::reduce},
                                                  {"ArgMax", Op::reduce},
                                                  {"Resize", Op::resize},
                                                  {"Upsample", Op::resize},
                                                  {"Concat", Op::concat},
                                                  {"Slice", Op::slice},
                                                  {"Split", Op::slice},
                                                  {"Gather", Op::slice},
                                                  {"Pad", Op::slice},
                                                  {"Expand", Op::slice},
                                                  {"Tile", Op::slice},
                                                  {"Reshape", Op::reshape},
                                                  {"Flatten", Op::reshape},
                                                  {"Squeeze", Op::reshape},
                                                  {"Unsqueeze", Op::reshape},
                                                  {"Identity", Op::reshape},
                                                  {"Dropout", Op::reshape},
                                                  {"Cast", Op::reshape},
                                                  {"Transpose", Op::transpose}};
  return table;
}

std::string name_of(const onnx::NodeProto& node) {
  return node.name().empty()
             ? fmt::format("{}:{}", node.op_type(), node.output_size() > 0 ? node.output(0) : "")
             : node.name();
}

onnx::ModelProto parse(const std::string& path) {
  const std::string bytes = read_file(path);
  onnx::ModelProto model;
  if (bytes.size() > 0x7fffffff || !model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) ||
      !model.has_graph() || model.graph().node_size() == 0) {
    throw InvalidInput(fmt::format(
        "{}: not an ONNX model, or cut short ({} bytes read); accepted: ONNX protobuf of opset 7 to 17", path,
        bytes.size()));
  }
  for (const auto& opset : model.opset_import()) {
    if (opset.domain().empty() && (opset.version() < 7 || opset.version() > 17)) {
      throw InvalidInput(fmt::format("{}: opset {}; accepted: 7 to 17", path, opset.version()));
    }
  }
  return model;
}

std::string dims_text(const onnx::TypeProto& type) {
  std::vector<std::string> dims;
  for (const auto& dim : type.tensor_type().shape().dim()) {
    dims.push_back(dim.has_dim_value()       ? std::to_string(dim.dim_value())
                   : dim.dim_param().empty() ? "?"
                                             : dim.dim_param());
  }
  return fmt::format("{}", fmt::join(dims, "x"));
}

void fix_inputs(onnx::ModelProto& model, const std::string& path, const InputShapes& shapes) {
  std::set<std::string> constants, known;
  for (const auto& tensor : model.graph().initializer()) constants.insert(tensor.name());
  std::vector<std::string> open;
  std::string example;
  for (auto& input : *model.mutable_graph()->mutable_input()) {
    if (constants.count(input.name()) > 0) continue;
    known.insert(input.name());
    auto* shape = input.mutable_type()->mutable_tensor_type()->mutable_shape();
    const auto given = shapes.find(input.name());
    if (given != shapes.end()) {
      if (shape->dim_size() != 0 && shape->dim_size() != static_cast<int>(given->second.size())) {
        throw InvalidInput(fmt::format("{}: input '{}' has {} dimensions ({}), --input-shape gives {}", path,
                                       input.name(), shape->dim_size(), dims_text(input.type()),
                                       given->second.size()));
      }
      shape->clear_dim();
      for (std::int64_t extent : given->second) shape->add_dim()->set_dim_value(extent);
    }
    bool fixed = shape->dim_size() > 0;
    for (const auto& dim : shape->dim()) fixed = fixed && dim.has_dim_value() && dim.dim_value() > 0;
    if (!fixed) {
      open.push_back(fmt::format("{}:{}", input.name(), dims_text(input.type())));
      example += fmt::format(" --input-shape {}:1x3x224x224", input.name());
    }
  }
  for (const auto& [name, unused] : shapes) {
    if (known.count(name) == 0) {
      throw InvalidInput(fmt::format("{}: --input-shape names '{}', which is no input; inputs: {}", path,
                                     name, fmt::join(known, ", ")));
    }
  }
  if (!open.empty()) {
    throw InvalidInput(fmt::format("{}: the shape of {} is not fixed in the file; give it, for example{}",
                                   path, fmt::join(open, ", "), example));
  }
}

/// Builds the graph of one model whose shapes are known.
class Importer {
 public:
  Importer(const onnx::ModelProto& model, const ShapeMap& shapes, const std::string& path,
           ImportReport& report)
      : proto_(model.graph()), shapes_(shapes), path_(path), report_(report) {}

  Graph run() {
    graph_.name = proto_.name();
    for (const auto& tensor : proto_.initializer()) {
      declare(tensor.name(), {tensor.dims().begin(), tensor.dims().end()}, true);
    }
    for (const auto& input : proto_.input()) {
      if (ids_.count(input.name()) == 0)
        graph_.inputs.push_back(declare(input.name(), known_shape(input.name(), "input"), false));
    }
    for (const auto& node : proto_.node()) add(node);
    for (const auto& output : proto_.output()) {
      const auto id = ids_.find(output.name());
      if (id == ids_.end())
        throw InvalidInput(fmt::format("{}: output '{}' is never produced", path_, output.name()));
      graph_.outputs.push_back(id->second);
    }
    graph_.count();
    graph_.validate();
    return std::move(graph_);
  }

 private:
  TensorId declare(const std::string& name, std::vector<std::int64_t> shape, bool constant) {
    const TensorId id = graph_.add_tensor({name, std::move(shape), constant});
    ids_[name] = id;
    return id;
  }

  const std::vector<std::int64_t>& known_shape(const std::string& tensor, const std::string& node) const {
    const auto found = shapes_.find(tensor);
    if (found == shapes_.end()) {
      throw InvalidInput(
          fmt::format("{}: the shape of '{}' ({}) stays unknown after inference", path_, tensor, node));
    }
    return found->second;
  }

  const Tensor& tensor(const onnx::NodeProto& node, int input) const {
    if (input >= node.input_size())
      throw InvalidInput(fmt::format("{}: node '{}' lacks input {}", path_, name_of(node), input));
    return graph_.tensors[static_cast<std::size_t>(ids_.at(node.input(input)))];
  }

  void add(const onnx::NodeProto& proto) {
    ++report_.operators;
    Node node;
    node.name = name_of(proto);
    node.source_op = proto.op_type();
    bool all_constant = true;
    for (const auto& name : proto.input()) {
      if (name.empty()) continue;
      const auto id = ids_.find(name);
      if (id == ids_.end()) {
        throw InvalidInput(fmt::format("{}: node '{}' reads '{}', which nothing before it produces", path_,
                                       node.name, name));
      }
      node.inputs.push_back(id->second);
      all_constant = all_constant && graph_.tensors[static_cast<std::size_t>(id->second)].constant;
    }
    if (proto.op_type() == "Constant" || proto.op_type() == "Shape" || all_constant) {
      // Known before the run: costs nothing on the device.
      for (const auto& name : proto.output()) {
        const auto found = shapes_.find(name);
        declare(name, found == shapes_.end() ? std::vector<std::int64_t>{} : found->second, true);
      }
      return;
    }
    const auto op = op_table().find(proto.op_type());
    if (op != op_table().end()) {
      node.op = op->second;
    } else if (std::find(report_.unsupported.begin(), report_.unsupported.end(), proto.op_type()) ==
               report_.unsupported.end()) {
      report_.unsupported.push_back(proto.op_type());
    }
    for (const auto& name : proto.output()) {
      if (!name.empty()) node.outputs.push_back(declare(name, known_shape(name, node.name), false));
    }
    if (node.op == Op::conv || node.op == Op::conv_transpose) add_conv(proto, node);
    if (node.op == Op::linear) add_matmul(proto, node);
    if (node.op == Op::pool) {
      const auto kernel = ints(proto, "kernel_shape");
      if (kernel.size() == 2) {
        node.fy = kernel[0];
        node.fx = kernel[1];
      }
    }
    graph_.nodes.push_back(std::move(node));
  }

  void add_conv(const onnx::NodeProto& proto, Node& node) {
    const auto& weight = tensor(proto, 1).shape;
    const auto& out = graph_.tensors[static_cast<std::size_t>(node.outputs.at(0))].shape;
    if (weight.size() < 3 || weight.size() > 4 || out.size() != weight.size()) {
      throw InvalidInput(fmt::format("{}: node '{}' has a weight of {} dimensions; accepted: 3 or 4", path_,
                                     node.name, weight.size()));
    }
    node.groups = integer(proto, "group", 1);
    const bool transposed = node.op == Op::conv_transpose;
    node.k = transposed ? weight[1] * node.groups : weight[0];
    node.c = transposed ? weight[0] / std::max<std::int64_t>(1, node.groups) : weight[1];
    node.fy = weight.size() == 4 ? weight[2] : 1;
    node.fx = weight.back();
    node.batch = out[0];
    node.oy = out.size() == 4 ? out[2] : 1;
    node.ox = out.back();
    if (transposed) {  // one multiply for each input position and kernel element
      const auto& in = tensor(proto, 0).shape;
      node.oy = in.size() == 4 ? in[2] : 1;
      node.ox = in.back();
    }
    const auto strides = ints(proto, "strides");
    node.stride = strides.empty() ? 1 : strides[0];
    if (!transposed && node.groups > 1)
      node.op = node.groups == node.k && node.c == 1 ? Op::depthwise_conv : Op::group_conv;
  }

  void add_matmul(const onnx::NodeProto& proto, Node& node) {
    const Tensor& a = tensor(proto, 0);
    const Tensor& b = tensor(proto, 1);
    if (a.shape.empty() || b.shape.empty()) {
      throw InvalidInput(fmt::format("{}: node '{}' multiplies a scalar", path_, node.name));
    }
    const bool gemm = proto.op_type() == "Gemm";
    const std::int64_t rows = a.shape.size() < 2                         ? 1
                              : gemm && integer(proto, "transA", 0) != 0 ? a.shape[1]
                                                                         : a.shape[a.shape.size() - 2];
    node.c = gemm && integer(proto, "transA", 0) != 0 ? a.shape[0] : a.shape.back();
    node.k = gemm && integer(proto, "transB", 0) != 0 ? b.shape[0] : b.shape.back();
    if (a.constant == b.constant || b.shape.size() > 2) {
      node.op = a.constant != b.constant && b.shape.size() <= 2 ? Op::linear : Op::matmul_dynamic;
    }
    if (a.constant) node.op = Op::matmul_dynamic;
    node.ox = rows;
    std::int64_t batch = 1;
    const auto& out = graph_.tensors[static_cast<std::size_t>(node.outputs.at(0))].shape;
    for (std::size_t i = 0; i + 2 < out.size(); ++i) batch *= out[i];
    if (node.op == Op::linear) {
      node.ox *= batch;
    } else {
      node.batch = batch;
    }
  }

  const onnx::GraphProto& proto_;
  const ShapeMap& shapes_;
  const std::string& path_;
  ImportReport& report_;
  Graph graph_;
  std::map<std::string, TensorId> ids_;
};

}  // namespace

InputShapes parse_input_shapes(const std::vector<std::string>& words) {
  InputShapes shapes;
  for (const auto& word : words) {
    const auto colon = word.rfind(':');
    const std::string accepted = "NAME:1x3x224x224";
    if (colon == std::string::npos || colon == 0) throw InvalidInput("--input-shape", word, accepted);
    auto& shape = shapes[word.substr(0, colon)];
    for (std::size_t at = colon + 1; at <= word.size();) {
      const std::size_t end = std::min(word.find('x', at), word.size());
      std::int64_t extent = 0;
      const auto [rest, error] = std::from_chars(word.data() + at, word.data() + end, extent);
      if (error != std::errc{} || rest != word.data() + end || extent < 1 || extent > 1 << 24) {
        throw InvalidInput("--input-shape", word, accepted);
      }
      shape.push_back(extent);
      at = end + 1;
    }
  }
  return shapes;
}

Graph import_onnx(const std::string& path, const InputShapes& shapes, ImportReport* report) {
  onnx::ModelProto model = parse(path);
  fix_inputs(model, path, shapes);
  ImportReport unused;
  ImportReport& out = report != nullptr ? *report : unused;
  const ShapeMap known = infer_shapes(model, path, out.inference_rounds, out.evaluated);
  return Importer(model, known, path, out).run();
}

}  // namespace ballast::codesign
