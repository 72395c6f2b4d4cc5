#include "ballast/codesign/onnx_export.h"

#include <fmt/format.h>
#include <onnx/checker.h>
#include <onnx/onnx_pb.h>

#include <cmath>

#include "ballast/base/errors.h"

namespace ballast::codesign {
namespace {

using Shape = std::vector<std::int64_t>;

/// Appends ONNX nodes; a value is the name of a tensor.
class Writer {
 public:
  Writer(const Supernet& net, const Plan& plan, const Statistics& statistics, const ExportOptions& options)
      : net_(net), plan_(plan), statistics_(statistics), options_(options) {
    model_.set_ir_version(options.opset >= 17 ? 8 : 7);
    model_.set_producer_name("ballast-codesign");
    auto* opset = model_.add_opset_import();
    opset->set_domain("");
    opset->set_version(options.opset);
    graph().set_name(net.space().name);
    describe(*graph().add_input(), "x", {plan.channels, plan.resolution, plan.resolution});
    describe(*graph().add_output(), "logits", {plan.classes});
  }

  std::string run() {
    std::vector<std::string> values{"x"};
    for (const auto& step : plan_.steps) {
      const std::string& x = values[static_cast<std::size_t>(step.inputs[0])];
      switch (step.kind) {
        case StepKind::conv:
          values.push_back(conv(step, x));
          break;
        case StepKind::squeeze:
          values.push_back(squeeze(step, x));
          break;
        case StepKind::pool:
          values.push_back(pool(step, x));
          break;
        case StepKind::add:
          values.push_back(node("Add", {x, values[static_cast<std::size_t>(step.inputs[1])]}, step.name));
          break;
        case StepKind::mean:
          values.push_back(node("GlobalAveragePool", {x}, step.name));
          break;
        case StepKind::attention:
          values.push_back(attention(step, x));
          break;
        case StepKind::mlp:
          values.push_back(mlp(step, x));
          break;
        case StepKind::dense:
          values.push_back(dense(step, x));
          break;
      }
    }
    graph().mutable_node(graph().node_size() - 1)->set_output(0, "logits");
    onnx::checker::check_model(model_);
    return model_.SerializeAsString();
  }

 private:
  onnx::GraphProto& graph() { return *model_.mutable_graph(); }

  void describe(onnx::ValueInfoProto& info, const std::string& name, const Shape& shape) {
    info.set_name(name);
    auto* type = info.mutable_type()->mutable_tensor_type();
    type->set_elem_type(onnx::TensorProto::FLOAT);
    auto* first = type->mutable_shape()->add_dim();
    if (options_.batch > 0) {
      first->set_dim_value(options_.batch);
    } else {
      first->set_dim_param("batch");
    }
    for (std::int64_t extent : shape) type->mutable_shape()->add_dim()->set_dim_value(extent);
  }

  onnx::NodeProto& add_node(const std::string& op, const std::vector<std::string>& inputs,
                            const std::string& name) {
    auto& n = *graph().add_node();
    n.set_op_type(op);
    n.set_name(fmt::format("{}/{}_{}", name, op, graph().node_size()));
    for (const auto& input : inputs) n.add_input(input);
    n.add_output(n.name() + "_out");
    return n;
  }
  std::string node(const std::string& op, const std::vector<std::string>& inputs, const std::string& name) {
    return add_node(op, inputs, name).output(0);
  }
  static void set(onnx::NodeProto& n, const std::string& name, const Shape& values) {
    auto* a = n.add_attribute();
    a->set_name(name);
    a->set_type(onnx::AttributeProto::INTS);
    for (std::int64_t v : values) a->add_ints(v);
  }
  static void set(onnx::NodeProto& n, const std::string& name, std::int64_t value) {
    auto* a = n.add_attribute();
    a->set_name(name);
    a->set_type(onnx::AttributeProto::INT);
    a->set_i(value);
  }
  static void set_real(onnx::NodeProto& n, const std::string& name, float value) {
    auto* a = n.add_attribute();
    a->set_name(name);
    a->set_type(onnx::AttributeProto::FLOAT);
    a->set_f(value);
  }

  std::string constant(const std::string& name, const at::Tensor& value) {
    auto& tensor = *graph().add_initializer();
    tensor.set_name(name);
    for (std::int64_t extent : value.sizes()) tensor.add_dims(extent);
    const at::Tensor plain = value.detach().contiguous();
    const auto type = plain.scalar_type();
    tensor.set_data_type(type == at::kFloat  ? onnx::TensorProto::FLOAT
                         : type == at::kChar ? onnx::TensorProto::INT8
                         : type == at::kByte ? onnx::TensorProto::UINT8
                                             : onnx::TensorProto::INT64);
    tensor.set_raw_data(plain.data_ptr(), static_cast<std::size_t>(plain.numel()) * plain.element_size());
    return name;
  }
  std::string shape_constant(const std::string& name, const Shape& shape) {
    return constant(name, torch::tensor(shape, at::kLong));
  }

  at::Tensor part(const Step& step, const std::string& name, const Shape& shape) const {
    return net_.slice(step.name + "." + name, shape).detach();
  }

  // Activations between a quantiser and its inverse; the range was observed at `point`.
  std::string quantised(const std::string& x, const std::string& point, const std::string& name) {
    if (!options_.int8) return x;
    const auto range = statistics_.ranges.find(point);
    if (range == statistics_.ranges.end())
      throw InvalidInput(fmt::format("an int8 export needs the observed range of '{}'", point));
    const double low = std::min(0.0, range->second.low), high = std::max(1e-6, range->second.high);
    const double scale = (high - low) / 255;
    const std::string s = constant(name + ".x_scale", torch::tensor(static_cast<float>(scale)));
    const std::string z =
        constant(name + ".x_zero", torch::tensor(static_cast<int>(std::lround(-low / scale))).to(at::kByte));
    return node("DequantizeLinear", {node("QuantizeLinear", {x, s, z}, name), s, z}, name);
  }
  // Weights as int8 with one scale a channel along `axis`.
  std::string weights(const std::string& name, const at::Tensor& value, std::int64_t axis) {
    if (!options_.int8) return constant(name, value);
    Shape others;
    for (std::int64_t d = 0; d < value.dim(); ++d) {
      if (d != axis) others.push_back(d);
    }
    const at::Tensor scale = value.abs().amax(others, true).clamp_min(1e-8) / 127;
    const at::Tensor whole = (value / scale).round().clamp(-127, 127).to(at::kChar);
    auto& n = add_node("DequantizeLinear",
                       {constant(name + "_i8", whole), constant(name + "_scale", scale.flatten()),
                        constant(name + "_zero", at::zeros({value.size(axis)}, at::kChar))},
                       name);
    set(n, "axis", axis);
    return n.output(0);
  }

  std::string hard_sigmoid(const std::string& x, const std::string& name) {
    auto& n = add_node("HardSigmoid", {x}, name);
    set_real(n, "alpha", 1.0f / 6);
    set_real(n, "beta", 0.5f);
    return n.output(0);
  }
  std::string activated(const std::string& x, const std::string& activation, const std::string& name) {
    if (activation == "relu") return node("Relu", {x}, name);
    if (activation == "hswish") return node("Mul", {x, hard_sigmoid(x, name)}, name);
    return x;
  }

  std::string convolution(const std::string& x, const std::string& name, const std::string& point,
                          const at::Tensor& weight, const at::Tensor& bias, std::int64_t stride,
                          std::int64_t groups) {
    const std::int64_t kernel = weight.size(2);
    const std::string in = quantised(x, point, name);
    const std::string w = weights(name + ".weight", weight, 0), b = constant(name + ".bias", bias);
    auto& n = add_node("Conv", {in, w, b}, name);
    set(n, "kernel_shape", Shape{kernel, kernel});
    set(n, "strides", Shape{stride, stride});
    set(n, "pads", Shape{kernel / 2, kernel / 2, kernel / 2, kernel / 2});
    set(n, "group", groups);
    return n.output(0);
  }

  std::string conv(const Step& step, const std::string& x) {
    const auto& stats = statistics_.layers.at(step.name);
    const at::Tensor gain = part(step, "bn.weight", {step.out}) * (stats.variance + 1e-5).rsqrt();
    const at::Tensor weight =
        part(step, "weight", {step.out, step.depthwise ? 1 : step.in, step.kernel, step.kernel}) *
        gain.view({-1, 1, 1, 1});
    const at::Tensor bias = part(step, "bn.bias", {step.out}) - stats.mean * gain;
    return activated(
        convolution(x, step.name, step.name, weight, bias, step.stride, step.depthwise ? step.in : 1),
        step.activation, step.name);
  }

  std::string squeeze(const Step& step, const std::string& x) {
    std::string gate = node("GlobalAveragePool", {x}, step.name);
    gate = node("Relu",
                {convolution(gate, step.name + ".reduce", step.name + ".reduce",
                             part(step, "reduce.weight", {step.hidden, step.in, 1, 1}),
                             part(step, "reduce.bias", {step.hidden}), 1, 1)},
                step.name);
    gate = convolution(gate, step.name + ".expand", step.name + ".expand",
                       part(step, "expand.weight", {step.in, step.hidden, 1, 1}),
                       part(step, "expand.bias", {step.in}), 1, 1);
    // OpenCV 4.6 takes Mul(x, HardSigmoid(gate)) for a HardSwish of the gate, whatever x is: an Identity
    // between.
    return node("Mul", {x, node("Identity", {hard_sigmoid(gate, step.name)}, step.name)}, step.name);
  }

  std::string pool(const Step& step, const std::string& x) {
    auto& n = add_node("AveragePool", {x}, step.name);
    set(n, "kernel_shape", Shape{step.kernel, step.kernel});
    set(n, "strides", Shape{step.stride, step.stride});
    set(n, "ceil_mode", std::int64_t{1});
    return n.output(0);
  }

  std::string transposed(const std::string& x, const Shape& order, const std::string& name) {
    auto& n = add_node("Transpose", {x}, name);
    set(n, "perm", order);
    return n.output(0);
  }
  std::string reshaped(const std::string& x, const Shape& shape, const std::string& name) {
    return node("Reshape", {x, shape_constant(fmt::format("{}.shape{}", name, graph().node_size()), shape)},
                name);
  }

  struct Normed {
    std::string value;
    at::Tensor gain, shift;  ///< still to be applied; undefined: already
  };
  Normed norm(const Step& step, const std::string& tokens) {
    const at::Tensor gain = part(step, "norm.weight", {step.in}), shift = part(step, "norm.bias", {step.in});
    const std::string at = step.name + ".norm";
    if (options_.opset >= 17) {
      auto& n = add_node("LayerNormalization", {tokens, constant(at + ".weight", at::ones({step.in}))}, at);
      set(n, "axis", std::int64_t{-1});
      set_real(n, "epsilon", 1e-5f);
      return {n.output(0), gain, shift};
    }
    const auto mean = [&](const std::string& of) {
      auto& n = add_node("ReduceMean", {of}, at);
      set(n, "axes", Shape{-1});
      set(n, "keepdims", std::int64_t{1});
      return n.output(0);
    };
    const std::string centred = node("Sub", {tokens, mean(tokens)}, at);
    const std::string variance = mean(node("Mul", {centred, centred}, at));
    const std::string root =
        node("Sqrt", {node("Add", {variance, constant(at + ".epsilon", torch::tensor({1e-5f}))}, at)}, at);
    return {node("Div", {centred, root}, at), gain, shift};
  }

  /// y = x W^T + b on the last axis, with what a norm left to apply, and a factor on the result.
  std::string linear(const Step& step, const std::string& name, const std::string& x,
                     const std::string& point, std::int64_t out, std::int64_t in,
                     const Normed* norm = nullptr, double factor = 1) {
    at::Tensor weight = part(step, name + ".weight", {out, in}), bias = part(step, name + ".bias", {out});
    if (norm != nullptr) {
      bias = bias + at::mv(weight, norm->shift);
      weight = weight * norm->gain.view({1, -1});
    }
    const std::string at = step.name + "." + name;
    const std::string q = quantised(x, point, at);
    const std::string w = weights(at + ".weight", (weight * factor).t().contiguous(), 1);
    return node("Add", {node("MatMul", {q, w}, at), constant(at + ".bias", bias * factor)}, at);
  }

  std::string to_tokens(const Step& step, const std::string& x) {
    return transposed(reshaped(x, {-1, step.in, std::int64_t{step.side} * step.side}, step.name), {0, 2, 1},
                      step.name);
  }
  std::string to_map(const Step& step, const std::string& tokens, std::int64_t channels) {
    return reshaped(transposed(tokens, {0, 2, 1}, step.name), {-1, channels, step.side, step.side},
                    step.name);
  }

  std::string attention(const Step& step, const std::string& x) {
    const std::int64_t n = std::int64_t{step.side} * step.side, h = step.heads, d = step.head_dim,
                       dv = step.v_dim / h;
    const std::string tokens = to_tokens(step, x);
    const Normed normed = norm(step, tokens);
    const std::string point = step.name + ".norm";
    const double root = 1 / std::sqrt(static_cast<double>(d));
    const std::string q =
        transposed(reshaped(linear(step, "q", normed.value, point, h * d, step.in, &normed, root),
                            {-1, n, h, d}, step.name),
                   {0, 2, 1, 3}, step.name);
    const std::string k = transposed(
        reshaped(linear(step, "k", normed.value, point, h * d, step.in, &normed), {-1, n, h, d}, step.name),
        {0, 2, 3, 1}, step.name);
    std::string v = linear(step, "v", normed.value, point, step.v_dim, step.in, &normed);
    if (step.v_depthwise) {
      const std::string map = to_map(step, v, step.v_dim);
      Step local = step;
      auto& conv =
          add_node("Conv",
                   {map,
                    constant(step.name + ".v_depthwise.weight",
                             part(step, "v_depthwise.weight", {step.v_dim, 1, 3, 3})),
                    constant(step.name + ".v_depthwise.bias", part(step, "v_depthwise.bias", {step.v_dim}))},
                   step.name + ".v_depthwise");
      set(conv, "kernel_shape", Shape{3, 3});
      set(conv, "pads", Shape{1, 1, 1, 1});
      set(conv, "group", std::int64_t{step.v_dim});
      local.in = step.v_dim;
      v = node("Add", {v, to_tokens(local, conv.output(0))}, step.name);
    }
    v = transposed(reshaped(v, {-1, n, h, dv}, step.name), {0, 2, 1, 3}, step.name);
    const std::int64_t span = 2 * step.side - 1;
    const at::Tensor position = net_.position_bias(part(step, "position", {h, span, span}), step.side);
    auto& softmax = add_node(
        "Softmax",
        {node("Add", {node("MatMul", {q, k}, step.name), constant(step.name + ".position", position)},
              step.name)},
        step.name);
    set(softmax, "axis", std::int64_t{3});
    const std::string weights = softmax.output(0);
    const std::string mixed =
        reshaped(transposed(node("MatMul", {weights, v}, step.name), {0, 2, 1, 3}, step.name),
                 {-1, n, step.v_dim}, step.name);
    const double scale = part(step, "scale", {1}).item<double>();
    const std::string out =
        linear(step, "project", mixed, step.name + ".project", step.in, step.v_dim, nullptr, scale);
    return to_map(step, node("Add", {tokens, out}, step.name), step.in);
  }

  std::string mlp(const Step& step, const std::string& x) {
    const std::string tokens = to_tokens(step, x);
    const Normed normed = norm(step, tokens);
    const std::string up =
        activated(linear(step, "up", normed.value, step.name + ".norm", step.hidden, step.in, &normed),
                  "hswish", step.name);
    const double scale = part(step, "scale", {1}).item<double>();
    const std::string down =
        linear(step, "down", up, step.name + ".down", step.in, step.hidden, nullptr, scale);
    return to_map(step, node("Add", {tokens, down}, step.name), step.in);
  }

  std::string dense(const Step& step, const std::string& x) {
    const std::string flat = quantised(node("Flatten", {x}, step.name), step.name, step.name);
    const std::string w = weights(step.name + ".weight", part(step, "weight", {step.out, step.in}), 0);
    auto& n =
        add_node("Gemm", {flat, w, constant(step.name + ".bias", part(step, "bias", {step.out}))}, step.name);
    set(n, "transB", std::int64_t{1});
    return n.output(0);
  }

  const Supernet& net_;
  const Plan& plan_;
  const Statistics& statistics_;
  const ExportOptions& options_;
  onnx::ModelProto model_;
};

}  // namespace

std::string export_onnx(const Supernet& net, const Plan& plan, const Statistics& statistics,
                        const ExportOptions& options) {
  if (options.opset < 13 || options.opset > 17)
    throw InvalidInput("--opset", std::to_string(options.opset), "13 to 17");
  if (options.int8 && statistics.ranges.empty())
    throw InvalidInput("an int8 export needs observed ranges; accepted: statistics gathered with observe");
  torch::NoGradGuard no_grad;
  return Writer(net, plan, statistics, options).run();
}

}  // namespace ballast::codesign
