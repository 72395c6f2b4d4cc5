#include "ballast/codesign/nets.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ballast/codesign/mapping.h"

namespace ballast::codesign {
namespace {

// The published counts of the eight AlphaNet subnets and of MobileNetV2.
TEST(Nets, PublishedMacs) {
  for (const auto& net : alphanets()) {
    EXPECT_NEAR(static_cast<double>(alphanet(net).macs()) / 1e6 / net.published_mmacs, 1.0, 0.005)
        << net.name;
  }
  EXPECT_NEAR(static_cast<double>(mobilenet_v2().macs()) / 1e6, 300.8, 0.5);
  EXPECT_NEAR(static_cast<double>(mobilenet_v2().weight_bytes()) / 1e6, 3.5, 0.1);
}

// The public figure of Arm's simulator for int8 MobileNetV2-224 on an Ethos-U55 of 128 MACs, all in SRAM.
TEST(Nets, MobileNetV2OnU55) {
  const Graph graph = mobilenet_v2();
  const System system = load_system("u55-128");
  EXPECT_NEAR(evaluate(graph, system, Mapping(graph.nodes.size())).cycles / 5.5e6, 1.0, 0.10);
  double compute = 0, depthwise = 0;
  for (const auto& node : graph.nodes) {
    const double cycles = std::max(npu_compute_cycles(node, system.npu), npu_output_cycles(node, system.npu));
    compute += cycles;
    depthwise += node.op == Op::depthwise_conv ? cycles : 0;
  }
  EXPECT_NEAR(compute / 5.39e6, 1.0, 0.05);  // the formulas, worked out independently
  EXPECT_NEAR(depthwise / 1.75e6, 1.0, 0.05);
}

// A 3x3 depthwise layer keeps a 256-MAC array under a tenth busy.
TEST(Nets, DepthwiseUtilisation) {
  Node node;
  node.op = Op::depthwise_conv;
  node.oy = node.ox = 56;
  node.k = node.groups = 64;
  node.fy = node.fx = 3;
  node.macs = 56 * 56 * 64 * 9;
  const double rate = static_cast<double>(node.macs) / npu_compute_cycles(node, NpuDevice{});
  EXPECT_NEAR(rate, 24, 1e-9);
}

}  // namespace
}  // namespace ballast::codesign
