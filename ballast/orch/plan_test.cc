#include "ballast/orch/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ballast/base/errors.h"
#include "ballast/cluster/cluster.h"
#include "ballast/orch/workload.h"

namespace ballast::orch {
namespace {

// The plan knows the law of the keys only; the engine's counters are what it has to meet.
TEST(Plan, IsNearTheCountersOfTheEngine) {
  const auto net = cluster::find_profile("10gbe");
  for (double theta : {0.0, 0.99, 1.5}) {
    for (int machines : {4, 16}) {
      const PlanInput input{.machines = machines, .tasks = 5'000, .keys = 50'000, .theta = theta, .seed = 3};
      const auto plans = plan_stage(input, {}, net);
      auto cluster = cluster::Cluster::open({.machines = machines, .seed = 3});
      const auto runs = run_cell(
          cluster, {.theta = theta, .item_bytes = 1024, .machines = machines, .tasks = 5'000, .keys = 50'000},
          {"push", "pull-dedup", "td-orch:flat"}, {}, 3);
      ASSERT_EQ(plans.size(), 3u);
      for (std::size_t m = 0; m < 2; ++m)
        EXPECT_NEAR(plans[m].busiest_bytes / static_cast<double>(runs[m].report.busiest_payload_bytes()), 1,
                    0.12)
            << plans[m].method << " theta=" << theta << " P=" << machines;
      if (plans[2].forest == "flat") {
        EXPECT_NEAR(plans[2].busiest_bytes / static_cast<double>(runs[2].report.busiest_payload_bytes()), 1,
                    0.12)
            << "theta=" << theta << " P=" << machines;
      }
    }
  }
}

TEST(Plan, SkewDrownsPushAndNotTdOrch) {
  const auto net = cluster::find_profile("slow");  // where bytes, not supersteps, are dear
  PlanInput input{.machines = 256, .tasks = 4'000, .theta = 1.5};
  input.sizes.item = 8193;
  const auto plans = plan_stage(input, {}, net);
  EXPECT_GT(plans[0].busiest_bytes, 10 * plans[2].busiest_bytes);
  EXPECT_GT(plans[0].imbalance, 20);
  EXPECT_NE(plans[2].forest, "flat");
  EXPECT_THROW(plan_stage({.machines = 0}, {}, net), InvalidInput);
}

TEST(Plan, FitFindsTheCostThatMadeThePoints) {
  std::vector<CostPoint> points;
  for (double tasks : {1e3, 1e4, 1e5}) {
    for (double bytes : {1e5, 1e6}) points.push_back({tasks, bytes, 2e-7 * tasks + 3e-10 * bytes});
  }
  const auto cost = fit_cost(points);
  EXPECT_NEAR(cost.per_task_s, 2e-7, 1e-10);
  EXPECT_NEAR(cost.per_byte_s, 3e-10, 1e-13);
}

}  // namespace
}  // namespace ballast::orch
