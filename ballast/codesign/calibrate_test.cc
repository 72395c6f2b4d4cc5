#include "ballast/codesign/calibrate.h"

#include <gtest/gtest.h>

#include <set>

#include "ballast/base/errors.h"
#include "ballast/codesign/cost_model.h"
#include "ballast/codesign/mapping.h"
#include "ballast/codesign/nets.h"

namespace ballast::codesign {
namespace {

// A made-up chip that is the formula with known factors: calibration finds them, foretells the rows it has
// not seen, and the written device reads back to the same costs.
TEST(Calibrate, FindsTheFactorsOfAMadeUpChip) {
  const System system = load_system("host");
  std::string text =
      "device,op,in_shape,weight_shape,stride,groups,precision,latency_us,latency_std_us,energy_uj,count,"
      "source\n";
  std::set<std::string> seen;
  for (const char* name : {"mobilenet_v2", "alphanet-a0", "alphanet-a3"}) {
    for (const auto& node : make_net(name).nodes) {
      if (node.macs == 0 || !seen.insert(table_key(node, "npu")).second) continue;
      const Cost c = cost_on(node, Device::npu, system, 1);
      const double cycles = 1.7 * std::max(c.compute_cycles, c.output_cycles) +
                            0.6 * std::max(c.memory_cycles, c.weight_cycles) + 900;
      text += table_row_head(node, "npu", "f32") + "," + std::to_string(cycles / system.clock_mhz) +
              ",0,,1,made up\n";
    }
  }
  const auto table = CostTable::parse(text, "t.csv");
  const CalibrationReport report = calibrate(table, system, 1);
  EXPECT_LT(report.mape, 0.5);
  EXPECT_GT(report.spearman, 0.999);
  const auto& pointwise = report.factors.at("Conv_k1_s1");
  EXPECT_NEAR(pointwise.compute, 1.7, 0.05);
  EXPECT_NEAR(pointwise.memory, 0.6, 0.05);
  EXPECT_NEAR(pointwise.overhead_cycles, 900, 60);

  const System fitted = parse_system(with_calibration(system_text("host"), report.factors), "c.yaml");
  for (const auto& row : table.rows()) {
    if (report.factors.count(class_of(row.node)) == 0) continue;
    const Cost cost = cost_on(row.node, Device::npu, fitted, 1);
    EXPECT_NEAR(cost.cycles / (row.entry.latency_us * system.clock_mhz), 1, 0.02) << class_of(row.node);
    EXPECT_EQ(cost.provenance, "modelled, calibrated");
  }
  EXPECT_THROW(with_calibration(with_calibration(system_text("host"), report.factors), report.factors),
               InvalidInput);
}

TEST(Calibrate, TooFewRowsAreRefused) {
  const std::string text =
      "device,op,in_shape,weight_shape,stride,groups,precision,latency_us,latency_std_us,energy_uj,count,"
      "source\n"
      "npu,Conv,1x16x56x56,64x16x1x1,1,1,f32,41,1,,25,m\n";
  EXPECT_THROW(calibrate(CostTable::parse(text, "t.csv"), load_system("host"), 1), InvalidInput);
  EXPECT_THROW(
      parse_system("memories: {sram: {bytes: 1MiB}}\ncalibration: {Conv_k1_s1: {compute: -1}}\n", "c.yaml"),
      InvalidInput);
  EXPECT_THROW(
      parse_system("memories: {sram: {bytes: 1MiB}}\ncalibration: {Conv_k1_s1: {computes: 1}}\n", "c.yaml"),
      InvalidInput);
}

}  // namespace
}  // namespace ballast::codesign
