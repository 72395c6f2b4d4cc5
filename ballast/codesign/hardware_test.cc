#include "ballast/codesign/hardware.h"

#include <gtest/gtest.h>

#include "ballast/base/errors.h"
#include "ballast/codesign/cost_model.h"

namespace ballast::codesign {
namespace {

std::string refusal(const std::string& yaml) {
  try {
    parse_system(yaml, "d.yaml");
  } catch (const InvalidInput& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Hardware, PresetsLoad) {
  for (const auto& name : preset_names()) EXPECT_NO_THROW(load_system(name)) << name;
  EXPECT_EQ(load_system("xr22-x8").cim.count, 8);
  EXPECT_EQ(load_system("npu-only").cim.count, 0);
  EXPECT_EQ(load_system("u55-128").npu.ux, 2);
  EXPECT_THROW(load_system("xr22-x3"), InvalidInput);
}

TEST(Hardware, BadFilesAreNamedByLineAndColumn) {
  const std::string good = "memories:\n  sram: {bytes: 1MiB}\n";
  EXPECT_EQ(refusal(good), "accepted");
  EXPECT_NE(refusal(good + "clock_mhz: 0\n").find("d.yaml:3:1: clock_mhz is '0'"), std::string::npos)
      << refusal(good + "clock_mhz: 0\n");
  EXPECT_NE(refusal(good + "npu: {mac: 256}\n").find("did you mean 'npu.macs'"), std::string::npos);
  EXPECT_NE(refusal(good + "npu: {macs: 100}\n").find("32, 64, 128, 256, 512, 1024 or 2048"),
            std::string::npos);
  EXPECT_NE(refusal("clock_mhz: [1, 2]\n").find("d.yaml:1:1"), std::string::npos);
  EXPECT_NE(refusal("a: {b").find("d.yaml:"), std::string::npos);
  EXPECT_NE(refusal("clock_mhz: 500\n").find("memories.sram.bytes is missing"), std::string::npos);
  EXPECT_NE(refusal(good + "cim: {count: 1.5}\n").find("whole number"), std::string::npos);
}

Node dense(std::int64_t positions, std::int64_t k, std::int64_t c) {
  Node node;
  node.op = Op::linear;
  node.ox = positions;
  node.k = k;
  node.c = c;
  node.macs = positions * k * c;
  node.weight_bytes = k * c;
  node.in_bytes = positions * c;
  node.out_bytes = positions * k;
  return node;
}

// Hand-worked: 300 inputs on 256 rows take 2 row tiles, 40 outputs on 32 columns take 2: 4 tiles of 8 KiB.
// One macro holds one at a time: 4 turns of 100 vectors of 8 serial bits.
TEST(Cim, TilesTurnsAndReplicas) {
  const Node node = dense(100, 40, 300);
  CimDevice cim;
  cim.count = 1;
  CimPlan plan = plan_cim(node, cim, false);
  EXPECT_EQ(plan.tiles, 4);
  EXPECT_EQ(plan.compute_cycles, 4 * 100 * 8);
  EXPECT_EQ(plan.update_cycles, 4 * 8192 / 32.0);
  cim.count = 8;  // all tiles at once, twice: half the vectors each
  plan = plan_cim(node, cim, false);
  EXPECT_EQ(plan.replicas, 2);
  EXPECT_EQ(plan.compute_cycles, 50 * 8);
  EXPECT_EQ(plan_cim(node, cim, true).update_cycles, 0);
}

// More macros, bandwidth or SRAM never make an operator slower.
TEST(Cost, MonotoneInEveryResource) {
  for (const auto& node : {dense(100, 40, 300), dense(1, 1000, 1280), dense(3136, 24, 144)}) {
    System system = load_system("xr22-x1");
    double last = cost_on(node, Device::cim, system, 0.5).compute_cycles;
    for (std::int64_t count : {2, 4, 8, 16, 64}) {
      system.cim.count = count;
      const double cycles = plan_cim(node, system.cim, true).compute_cycles;
      EXPECT_LE(cycles, last);
      last = cycles;
    }
    for (Device device : {Device::npu, Device::cim}) {
      System faster = system;
      faster.dram.bytes_per_cycle *= 2;
      faster.sram.bytes_per_cycle *= 2;
      faster.weights.bytes_per_cycle *= 2;
      EXPECT_LE(cost_on(node, device, faster, 0.5).cycles, cost_on(node, device, system, 0.5).cycles);
      faster.sram.bytes *= 4;
      EXPECT_LE(cost_on(node, device, faster, 0.5).cycles, cost_on(node, device, system, 0.5).cycles);
    }
  }
}

}  // namespace
}  // namespace ballast::codesign
