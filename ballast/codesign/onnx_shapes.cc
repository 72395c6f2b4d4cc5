#include "ballast/codesign/onnx_shapes.h"

#include <fmt/format.h>
#include <onnx/shape_inference/implementation.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>

#include "ballast/base/errors.h"

namespace ballast::codesign {
namespace {

/// A small tensor of integers (shapes are nothing else); floats are held as their value, for Div and Floor
/// chains.
struct Value {
  std::vector<std::int64_t> shape;
  std::vector<double> data;
  bool floating = false;
};
using Values = std::map<std::string, Value>;

constexpr std::size_t kMostElements = 4096;

template <typename T>
void append_raw(const std::string& raw, std::vector<double>& out) {
  for (std::size_t i = 0; i + sizeof(T) <= raw.size(); i += sizeof(T)) {
    T value;
    std::memcpy(&value, raw.data() + i, sizeof(T));
    out.push_back(static_cast<double>(value));
  }
}

std::optional<Value> value_of(const onnx::TensorProto& tensor) {
  Value value;
  std::size_t count = 1;
  for (std::int64_t extent : tensor.dims()) {
    if (extent < 0 || extent > static_cast<std::int64_t>(kMostElements)) return std::nullopt;
    count *= static_cast<std::size_t>(extent);
    if (count > kMostElements) return std::nullopt;
    value.shape.push_back(extent);
  }
  const bool raw = !tensor.raw_data().empty();
  switch (tensor.data_type()) {
    case onnx::TensorProto::INT64:
      if (raw)
        append_raw<std::int64_t>(tensor.raw_data(), value.data);
      else
        value.data.assign(tensor.int64_data().begin(), tensor.int64_data().end());
      break;
    case onnx::TensorProto::INT32:
      if (raw)
        append_raw<std::int32_t>(tensor.raw_data(), value.data);
      else
        value.data.assign(tensor.int32_data().begin(), tensor.int32_data().end());
      break;
    case onnx::TensorProto::FLOAT:
      value.floating = true;
      if (raw)
        append_raw<float>(tensor.raw_data(), value.data);
      else
        value.data.assign(tensor.float_data().begin(), tensor.float_data().end());
      break;
    default:
      return std::nullopt;
  }
  if (value.data.size() != count) return std::nullopt;
  return value;
}

onnx::TensorProto to_tensor(const std::string& name, const Value& value) {
  onnx::TensorProto tensor;
  tensor.set_name(name);
  for (std::int64_t extent : value.shape) tensor.add_dims(extent);
  tensor.set_data_type(value.floating ? onnx::TensorProto::FLOAT : onnx::TensorProto::INT64);
  for (double x : value.data) {
    if (value.floating)
      tensor.add_float_data(static_cast<float>(x));
    else
      tensor.add_int64_data(static_cast<std::int64_t>(x));
  }
  return tensor;
}

std::vector<std::int64_t> attribute_ints(const onnx::NodeProto& node, const std::string& name) {
  for (const auto& a : node.attribute()) {
    if (a.name() == name) return {a.ints().begin(), a.ints().end()};
  }
  return {};
}

std::int64_t attribute_int(const onnx::NodeProto& node, const std::string& name, std::int64_t otherwise) {
  for (const auto& a : node.attribute()) {
    if (a.name() == name) return a.i();
  }
  return otherwise;
}

/// Evaluates one operator of an integer sub-graph; nullopt when it is none, or an operand is not known.
class Evaluator {
 public:
  Evaluator(const Values& values, const ShapeMap& shapes) : values_(values), shapes_(shapes) {}

  std::optional<Value> run(const onnx::NodeProto& node) const {
    const std::string& op = node.op_type();
    if (op == "Shape") {
      const auto shape = shapes_.find(node.input(0));
      if (shape == shapes_.end()) return std::nullopt;
      return Value{{static_cast<std::int64_t>(shape->second.size())},
                   {shape->second.begin(), shape->second.end()}};
    }
    if (op == "Constant") {
      for (const auto& a : node.attribute()) {
        if (a.name() == "value") return value_of(a.t());
        if (a.name() == "value_int") return Value{{}, {static_cast<double>(a.i())}};
        if (a.name() == "value_ints") return Value{{a.ints_size()}, {a.ints().begin(), a.ints().end()}};
      }
      return std::nullopt;
    }
    std::vector<const Value*> in;
    for (const auto& name : node.input()) {
      const auto value = values_.find(name);
      if (!name.empty() && value == values_.end()) return std::nullopt;
      in.push_back(name.empty() ? nullptr : &value->second);
    }
    if (in.empty() || in[0] == nullptr) return std::nullopt;
    if (op == "Cast") {
      Value value = *in[0];
      const std::int64_t to = attribute_int(node, "to", onnx::TensorProto::INT64);
      value.floating = to == onnx::TensorProto::FLOAT;
      if (!value.floating && to != onnx::TensorProto::INT64 && to != onnx::TensorProto::INT32)
        return std::nullopt;
      if (!value.floating) {
        for (double& x : value.data) x = std::trunc(x);
      }
      return value;
    }
    if (op == "Floor") {
      Value value = *in[0];
      for (double& x : value.data) x = std::floor(x);
      return value;
    }
    if (op == "Squeeze")
      return Value{{}, in[0]->data, in[0]->floating}.data.size() == 1
                 ? std::optional(Value{{}, in[0]->data, in[0]->floating})
                 : std::optional(*in[0]);
    if (op == "Unsqueeze" && in[0]->shape.size() <= 1) {
      Value value = *in[0];
      if (value.shape.empty())
        value.shape = {1};
      else
        return std::nullopt;
      return value;
    }
    if (op == "Gather" && in.size() == 2 && in[1] != nullptr) return gather(*in[0], *in[1]);
    if (op == "Slice") return slice(node, in);
    if (op == "Concat") return concat(in);
    if (op == "Range" && in.size() == 3 && in[1] != nullptr && in[2] != nullptr)
      return range(*in[0], *in[1], *in[2]);
    if (in.size() == 2 && in[1] != nullptr && (op == "Add" || op == "Sub" || op == "Mul" || op == "Div"))
      return binary(op, *in[0], *in[1]);
    return std::nullopt;
  }

 private:
  static std::optional<Value> gather(const Value& data, const Value& index) {
    if (data.shape.size() != 1) return std::nullopt;
    Value out{index.shape, {}, data.floating};
    for (double i : index.data) {
      auto at = static_cast<std::int64_t>(i);
      if (at < 0) at += data.shape[0];
      if (at < 0 || at >= data.shape[0]) return std::nullopt;
      out.data.push_back(data.data[static_cast<std::size_t>(at)]);
    }
    return out;
  }

  static std::optional<Value> slice(const onnx::NodeProto& node, const std::vector<const Value*>& in) {
    if (in[0]->shape.size() != 1) return std::nullopt;
    std::int64_t start = 0, end = 0, step = 1;
    if (in.size() >= 3 && in[1] != nullptr && in[2] != nullptr && in[1]->data.size() == 1 &&
        in[2]->data.size() == 1) {
      start = static_cast<std::int64_t>(in[1]->data[0]);
      end = static_cast<std::int64_t>(std::min(in[2]->data[0], 1e9));
      if (in.size() >= 5 && in[4] != nullptr && in[4]->data.size() == 1)
        step = static_cast<std::int64_t>(in[4]->data[0]);
    } else {
      const auto starts = attribute_ints(node, "starts"), ends = attribute_ints(node, "ends");
      if (starts.size() != 1 || ends.size() != 1) return std::nullopt;
      start = starts[0];
      end = std::min<std::int64_t>(ends[0], 1'000'000'000);
    }
    const std::int64_t n = in[0]->shape[0];
    if (step != 1) return std::nullopt;
    start = std::clamp(start < 0 ? start + n : start, std::int64_t{0}, n);
    end = std::clamp(end < 0 ? end + n : end, start, n);
    return Value{{end - start}, {in[0]->data.begin() + start, in[0]->data.begin() + end}, in[0]->floating};
  }

  static std::optional<Value> concat(const std::vector<const Value*>& in) {
    Value out{{0}, {}, in[0]->floating};
    for (const Value* part : in) {
      if (part == nullptr || part->shape.size() != 1) return std::nullopt;
      out.data.insert(out.data.end(), part->data.begin(), part->data.end());
    }
    out.shape[0] = static_cast<std::int64_t>(out.data.size());
    return out;
  }

  static std::optional<Value> range(const Value& start, const Value& limit, const Value& delta) {
    if (start.data.size() != 1 || limit.data.size() != 1 || delta.data.size() != 1 || delta.data[0] == 0)
      return std::nullopt;
    Value out{{0}, {}, start.floating};
    for (double x = start.data[0]; delta.data[0] > 0 ? x < limit.data[0] : x > limit.data[0];
         x += delta.data[0]) {
      if (out.data.size() >= kMostElements) return std::nullopt;
      out.data.push_back(x);
    }
    out.shape[0] = static_cast<std::int64_t>(out.data.size());
    return out;
  }

  static std::optional<Value> binary(const std::string& op, const Value& a, const Value& b) {
    const Value& big = a.data.size() >= b.data.size() ? a : b;
    if (a.data.empty() || b.data.empty() ||
        (a.data.size() != b.data.size() && std::min(a.data.size(), b.data.size()) != 1))
      return std::nullopt;
    Value out{big.shape, {}, a.floating || b.floating};
    for (std::size_t i = 0; i < big.data.size(); ++i) {
      const double x = a.data[a.data.size() == 1 ? 0 : i], y = b.data[b.data.size() == 1 ? 0 : i];
      if (op == "Div" && y == 0) return std::nullopt;
      double result = op == "Add" ? x + y : op == "Sub" ? x - y : op == "Mul" ? x * y : x / y;
      if (op == "Div" && !out.floating) result = std::trunc(result);
      out.data.push_back(result);
    }
    return out;
  }

  const Values& values_;
  const ShapeMap& shapes_;
};

void take_shape(const onnx::ValueInfoProto& info, ShapeMap& shapes) {
  if (!info.type().has_tensor_type() || !info.type().tensor_type().has_shape()) return;
  std::vector<std::int64_t> shape;
  for (const auto& dim : info.type().tensor_type().shape().dim()) {
    if (!dim.has_dim_value() || dim.dim_value() < 0) return;
    shape.push_back(dim.dim_value());
  }
  shapes[info.name()] = std::move(shape);
}

ShapeMap shapes_in(const onnx::ModelProto& model) {
  ShapeMap shapes;
  for (const auto& info : model.graph().input()) take_shape(info, shapes);
  for (const auto& info : model.graph().value_info()) take_shape(info, shapes);
  for (const auto& info : model.graph().output()) take_shape(info, shapes);
  for (const auto& tensor : model.graph().initializer())
    shapes[tensor.name()] = {tensor.dims().begin(), tensor.dims().end()};
  return shapes;
}

// Forgets what earlier rounds (or the exporter) wrote about inner tensors and outputs: symbolic sizes would
// stay.
void forget_inner_shapes(onnx::ModelProto& model) {
  model.mutable_graph()->clear_value_info();
  for (auto& output : *model.mutable_graph()->mutable_output()) {
    if (output.type().has_tensor_type()) output.mutable_type()->mutable_tensor_type()->clear_shape();
  }
}

}  // namespace

ShapeMap infer_shapes(onnx::ModelProto& model, const std::string& path, int& rounds, int& evaluated) {
  for (rounds = 1;; ++rounds) {
    forget_inner_shapes(model);
    try {
      onnx::shape_inference::InferShapes(model, onnx::OpSchemaRegistry::Instance(),
                                         onnx::ShapeInferenceOptions{false, 0, true});
    } catch (const std::exception& error) {
      std::string text = error.what();
      std::replace(text.begin(), text.end(), '\n', ' ');
      throw InvalidInput(fmt::format("{}: shape inference refuses the model: {}", path, text));
    }
    ShapeMap shapes = shapes_in(model);
    Values values;
    for (const auto& tensor : model.graph().initializer()) {
      if (const auto value = value_of(tensor)) values[tensor.name()] = *value;
    }
    int found = 0;
    auto* nodes = model.mutable_graph()->mutable_node();
    for (int n = 0; n < nodes->size();) {
      const onnx::NodeProto& node = nodes->Get(n);
      const auto value = node.output_size() == 1 ? Evaluator(values, shapes).run(node) : std::nullopt;
      if (!value) {
        ++n;
        continue;
      }
      values[node.output(0)] = *value;
      *model.mutable_graph()->add_initializer() = to_tensor(node.output(0), *value);
      nodes->DeleteSubrange(n, 1);
      ++found;
    }
    evaluated += found;
    if (found == 0) return shapes;
  }
}

}  // namespace ballast::codesign
