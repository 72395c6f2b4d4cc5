#include "ballast/orch/optimal.h"

#include <gtest/gtest.h>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"

namespace ballast::orch {
namespace {

const RecordSizes kSizes{.task = 32, .item = 257, .reply = 16, .meta = 16};

TEST(Optimal, OfOneGroupIsTheCheaperWay) {
  // Five tasks of machine 1 for a key of machine 0: pushed 5 * 32 then 5 * 16 back, pulled 16 then 257.
  EXPECT_EQ(least_busiest_bytes(2, {{0, {{1, 5}}}}, kSizes), 240);
  EXPECT_EQ(least_busiest_bytes(2, {{0, {{1, 6}}}}, kSizes), 273);
  EXPECT_EQ(least_busiest_bytes(2, {{0, {{0, 9}}}}, kSizes), 0);
  EXPECT_THROW(least_busiest_bytes(9, {}, kSizes), InvalidInput);
}

TEST(Optimal, IsNeverAboveTheRuleAndTheRuleIsNear) {
  Random random(9);
  double worst = 1;
  for (int trial = 0; trial < 60; ++trial) {
    const int machines = 2 + static_cast<int>(random.below(2));
    std::vector<KeyDemand> demands(1 + random.below(4));
    std::size_t groups = 0;
    for (auto& demand : demands) {
      demand.owner = static_cast<int>(random.below(static_cast<std::uint64_t>(machines)));
      for (int m = 0; m < machines && groups < 9; ++m) {
        if (random.below(4) == 0) continue;
        demand.by_machine.emplace_back(m, 1 + random.below(random.below(2) == 0 ? 3 : 60));
        ++groups;
      }
    }
    const double least = least_busiest_bytes(machines, demands, kSizes),
                 rule = flat_busiest_bytes(machines, demands, kSizes);
    EXPECT_LE(least, rule) << "trial " << trial;
    if (least > 0) worst = std::max(worst, rule / least);
  }
  EXPECT_LE(worst, 3) << "the rule decides group by group and cannot balance machines";
}

}  // namespace
}  // namespace ballast::orch
