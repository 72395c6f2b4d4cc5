#include "ballast/codesign/ir.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "ballast/base/errors.h"

namespace ballast::codesign {

std::string to_string(Op op) {
  static constexpr const char* kNames[] = {
      "Conv",      "DwConv",    "GroupConv",   "ConvTranspose", "Linear",    "MatMulDyn",  "Softmax",
      "LayerNorm", "BatchNorm", "Elementwise", "Activation",    "Pool",      "GlobalPool", "Reduce",
      "Resize",    "Concat",    "Slice",       "Reshape",       "Transpose", "Other"};
  return kNames[static_cast<int>(op)];
}

std::int64_t Tensor::elements() const {
  std::int64_t count = 1;
  for (std::int64_t extent : shape) count *= extent;
  return count;
}

TensorId Graph::add_tensor(Tensor tensor) {
  tensors.push_back(std::move(tensor));
  return static_cast<TensorId>(tensors.size()) - 1;
}

int Graph::producer(TensorId tensor) const {
  for (std::size_t n = 0; n < nodes.size(); ++n) {
    const auto& outs = nodes[n].outputs;
    if (std::find(outs.begin(), outs.end(), tensor) != outs.end()) return static_cast<int>(n);
  }
  return -1;
}

std::vector<int> Graph::consumers(TensorId tensor) const {
  std::vector<int> readers;
  for (std::size_t n = 0; n < nodes.size(); ++n) {
    const auto& ins = nodes[n].inputs;
    if (std::find(ins.begin(), ins.end(), tensor) != ins.end()) readers.push_back(static_cast<int>(n));
  }
  return readers;
}

std::vector<std::vector<int>> Graph::predecessors() const {
  std::vector<int> producer_of(tensors.size(), -1);
  std::vector<std::vector<int>> before(nodes.size());
  for (std::size_t n = 0; n < nodes.size(); ++n) {
    std::set<int> found;
    for (TensorId input : nodes[n].inputs) {
      if (producer_of[static_cast<std::size_t>(input)] >= 0)
        found.insert(producer_of[static_cast<std::size_t>(input)]);
    }
    before[n].assign(found.begin(), found.end());
    for (TensorId output : nodes[n].outputs)
      producer_of[static_cast<std::size_t>(output)] = static_cast<int>(n);
  }
  return before;
}

std::int64_t Graph::macs() const {
  std::int64_t sum = 0;
  for (const auto& node : nodes) sum += node.macs;
  return sum;
}

std::int64_t Graph::weight_bytes() const {
  std::int64_t sum = 0;
  for (const auto& node : nodes) sum += node.weight_bytes;
  return sum;
}

void Graph::count() {
  for (auto& node : nodes) {
    node.in_bytes = node.out_bytes = 0;
    for (TensorId input : node.inputs) {
      const Tensor& tensor = tensors[static_cast<std::size_t>(input)];
      if (!tensor.constant) node.in_bytes += tensor.elements();
    }
    for (TensorId output : node.outputs)
      node.out_bytes += tensors[static_cast<std::size_t>(output)].elements();
    switch (node.op) {
      case Op::conv:
      case Op::depthwise_conv:
      case Op::group_conv:
      case Op::conv_transpose:
      case Op::linear:
        node.macs = node.batch * node.oy * node.ox * node.k * node.c * node.fy * node.fx;
        node.weight_bytes = node.k * node.c * node.fy * node.fx;
        break;
      case Op::matmul_dynamic:
        node.macs = node.batch * node.oy * node.ox * node.k * node.c;
        break;
      default:
        node.macs = 0;
    }
  }
}

void Graph::validate() const {
  std::vector<bool> known(tensors.size(), false);
  for (std::size_t t = 0; t < tensors.size(); ++t) known[t] = tensors[t].constant;
  for (TensorId input : inputs) known[static_cast<std::size_t>(input)] = true;
  for (const auto& node : nodes) {
    for (TensorId input : node.inputs) {
      if (!known[static_cast<std::size_t>(input)]) {
        throw InvalidInput(fmt::format("node '{}' reads '{}', which nothing before it produces", node.name,
                                       tensors[static_cast<std::size_t>(input)].name));
      }
    }
    for (TensorId output : node.outputs) known[static_cast<std::size_t>(output)] = true;
    if (std::min({node.batch, node.oy, node.ox, node.k, node.c, node.fy, node.fx, node.groups}) < 1) {
      throw InvalidInput(fmt::format("node '{}' has an extent below 1", node.name));
    }
  }
  for (TensorId output : outputs) {
    if (!known[static_cast<std::size_t>(output)]) {
      throw InvalidInput(
          fmt::format("output '{}' is never produced", tensors[static_cast<std::size_t>(output)].name));
    }
  }
}

}  // namespace ballast::codesign
