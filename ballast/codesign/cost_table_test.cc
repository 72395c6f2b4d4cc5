#include "ballast/codesign/cost_table.h"

#include <gtest/gtest.h>

#include "ballast/base/errors.h"
#include "ballast/codesign/cost_model.h"
#include "ballast/codesign/nets.h"

namespace ballast::codesign {
namespace {

const std::string kHeader =
    "device,op,in_shape,weight_shape,stride,groups,precision,latency_us,latency_std_us,energy_uj,count,"
    "source\n";

std::string refusal(const std::string& rows) {
  try {
    CostTable::parse(kHeader + rows, "t.csv");
  } catch (const InvalidInput& error) {
    return error.what();
  }
  return "accepted";
}

TEST(CostTable, RowsOverrideTheFormula) {
  const Graph graph = mobilenet_v2();
  System system = load_system("npu-only");
  std::string rows = kHeader;
  for (std::size_t i = 0; i < 2; ++i)
    rows += table_row_head(graph.nodes[i], "npu", "i8") + ",123.5,1,,5,my chip\n";
  system.table = std::make_shared<const CostTable>(CostTable::parse(rows, "t.csv"));
  ASSERT_EQ(system.table->rows().size(), 2u);
  const Cost first = cost_on(graph.nodes[0], Device::npu, system, 1);
  EXPECT_DOUBLE_EQ(first.cycles, 123.5 * system.clock_mhz);
  EXPECT_EQ(first.provenance, "my chip");
  EXPECT_EQ(cost_on(graph.nodes[2], Device::npu, system, 1).provenance, "modelled");
}

// Every operator of real networks finds its own row again.
TEST(CostTable, KeysRoundTrip) {
  for (const char* name : {"mobilenet_v2", "alphanet-a0", "alphanet-a6"}) {
    for (const auto& node : make_net(name).nodes) {
      if (node.macs == 0) continue;
      const auto table =
          CostTable::parse(kHeader + table_row_head(node, "npu", "f32") + ",7,0,,1,x\n", "t.csv");
      const auto found = table.find(node, "npu");
      ASSERT_TRUE(found && found->exact)
          << name << " " << node.name << ": " << table_row_head(node, "npu", "f32");
      EXPECT_FALSE(table.find(node, "cim"));
    }
  }
}

// Inside the measured range a value between its neighbours; outside the formula.
TEST(CostTable, InterpolatesOnlyInside) {
  std::string rows = kHeader;
  for (int c : {16, 32, 64, 128}) {
    for (int k : {16, 64, 256})
      rows += "npu,Linear,49x" + std::to_string(c) + "," + std::to_string(k) + "x" + std::to_string(c) +
              ",1,1,f32," + std::to_string(c * k * 0.01) + ",0,,1,m\n";
  }
  const auto table = CostTable::parse(rows, "t.csv");
  Node node;
  node.op = Op::linear;
  const auto make = [&](std::int64_t c, std::int64_t k) {
    node.ox = 49;
    node.c = c;
    node.k = k;
    node.macs = 49 * c * k;
    node.in_bytes = 49 * c;
    node.out_bytes = 49 * k;
    node.weight_bytes = c * k;
    return node;
  };
  const auto inside = table.find(make(48, 100), "npu");
  ASSERT_TRUE(inside);
  EXPECT_FALSE(inside->exact);
  EXPECT_GT(inside->latency_us, 16 * 16 * 0.01);
  EXPECT_LT(inside->latency_us, 128 * 256 * 0.01);
  EXPECT_FALSE(table.find(make(512, 512), "npu"));
  EXPECT_FALSE(table.find(make(2, 2), "npu"));
}

TEST(CostTable, BadRowsAreNamedByLine) {
  const std::string good = "npu,Conv,1x16x56x56,64x16x1x1,1,1,f32,41,1,,25,m\n";
  EXPECT_EQ(refusal(good), "accepted");
  EXPECT_NE(refusal(good + good).find("t.csv:3: this operator stands in an earlier row"), std::string::npos)
      << refusal(good + good);
  for (const char* bad :
       {"npu,Conv\n", "npu,Conv,1x16x56x56,64x16x1x1,1,1,f32,0,1,,25,m\n",
        "npu,Conv,1x16x56x56,64x16x1x1,1,1,f32,nan,1,,25,m\n",
        "npu,Conv,1x16x56x56,64x16x1x1,1,1,f32,5,9,,25,m\n",
        "npu,Konv,1x16x56x56,64x16x1x1,1,1,f32,5,1,,25,m\n",
        "gpu,Conv,1x16x56x56,64x16x1x1,1,1,f32,5,1,,25,m\n", "npu,Conv,1x16,64x16x1x1,1,1,f32,5,1,,25,m\n",
        "npu,Conv,1x16x56x0,64x16x1x1,1,1,f32,5,1,,25,m\n"}) {
    EXPECT_NE(refusal(good + bad).find("t.csv:3:"), std::string::npos) << bad << refusal(good + bad);
    const auto lenient = CostTable::parse(kHeader + good + bad, "t.csv", true);
    EXPECT_EQ(lenient.skipped(), 1);
    EXPECT_EQ(lenient.rows().size(), 1u);
  }
  EXPECT_THROW(CostTable::parse("nonsense\n", "t.csv"), InvalidInput);
}

}  // namespace
}  // namespace ballast::codesign
