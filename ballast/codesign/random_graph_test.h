// Random networks for the tests of mappers.
#pragma once

#include "ballast/base/random.h"
#include "ballast/codesign/ir.h"

namespace ballast::codesign {

/// A random network of dense and element-wise operators; every operator reads one or two earlier tensors.
inline Graph random_graph(Random& random, int nodes, bool chain) {
  Graph graph;
  graph.inputs.push_back(graph.add_tensor({"x", {static_cast<std::int64_t>(1 + random.below(4000))}, false}));
  std::vector<TensorId> made = graph.inputs;
  for (int n = 0; n < nodes; ++n) {
    Node node;
    node.name = "n" + std::to_string(n);
    node.inputs = {chain ? made.back() : made[random.below(made.size())]};
    if (!chain && random.below(2) == 0) node.inputs.push_back(made[random.below(made.size())]);
    std::int64_t size = static_cast<std::int64_t>(1 + random.below(20000));
    if (random.below(3) > 0) {
      node.op = Op::linear;
      node.c = static_cast<std::int64_t>(8 + random.below(500));
      node.k = static_cast<std::int64_t>(8 + random.below(200));
      node.ox = static_cast<std::int64_t>(1 + random.below(400));
      size = node.k * node.ox;
    } else {
      node.op = Op::elementwise;
      node.source_op = "Add";
    }
    node.outputs = {graph.add_tensor({node.name, {size}, false})};
    made.push_back(node.outputs[0]);
    graph.nodes.push_back(std::move(node));
  }
  graph.outputs = {made.back()};
  graph.count();
  graph.validate();
  return graph;
}

}  // namespace ballast::codesign
