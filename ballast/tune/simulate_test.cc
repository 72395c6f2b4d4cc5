#include "ballast/tune/simulate.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "ballast/base/random.h"
#include "ballast/tune/plan.h"

namespace ballast::tune {
namespace {

// L equal blocks; per-block times in seconds are turned into bytes by unit
// rates.
struct Case {
  std::int64_t blocks;
  double forward, backward, link, update;  // of all blocks
};

StepCosts costs_of(const Case& c) {
  const auto count = static_cast<std::size_t>(c.blocks);
  const auto blocks = static_cast<double>(c.blocks);
  return {.forward = std::vector<double>(count, c.forward / blocks),
          .backward = std::vector<double>(count, c.backward / blocks),
          .apply = std::vector<double>(count, 0.0),
          .payload = std::vector<std::vector<std::int64_t>>(count, std::vector<std::int64_t>(4, 250'000))};
}

SimulatedMachine machine_of(const Case& c) {
  const double bytes = 1e6 * static_cast<double>(c.blocks);
  return {.link = {.d2h = bytes / c.link, .h2d = bytes / c.link},
          .host_rate = bytes / 4 / c.update,
          .chunk_bytes = 1 << 20,
          .slots = 1000};
}

double step(const std::string& name, const Case& c) {
  Schedule schedule = schedule_from_string(name);
  const double blocks = static_cast<double>(c.blocks);
  schedule.transition = transition_block({.blocks = c.blocks,
                                          .forward = c.forward,
                                          .backward = c.backward,
                                          .d2h = c.link / blocks,
                                          .update = c.update / blocks,
                                          .h2d = c.link / blocks});
  return simulate(schedule, costs_of(c), machine_of(c)).seconds;
}

// Oracle 7: the event model against the closed forms.
TEST(Simulate, AgreesWithClosedForms) {
  for (const Case& c : {Case{16, 1, 2, 0.8, 1.2}, Case{16, 1, 2, 4.8, 6.6}, Case{8, 1, 2, 0.3, 0.2},
                        Case{30, 1, 2, 2.4, 4.5}}) {
    const double serial = c.forward + c.backward + 2 * c.link + c.update;
    EXPECT_NEAR(step("serial", c), serial, 0.01 * serial);
    const double zero = zero_step_seconds(c.forward, c.backward, c.link, c.update, c.link);
    EXPECT_NEAR(step("zero", c), zero, 0.10 * zero);
    // Units of one block follow one another through the stages, so a little less than a block's chain is
    // exposed.
    const double least = std::max({c.forward + c.backward, c.link, c.update});
    for (const char* name : {"layerwise", "edf"}) {
      EXPECT_GE(step(name, c), least * 0.999) << name;
      EXPECT_LE(step(name, c), zero * 1.001) << name;
    }
  }
}

// Where the link and the host keep up, the last block's chain alone is exposed.
TEST(Simulate, LayerwiseHidesAllButOneBlock) {
  const Case c{16, 1, 2, 0.8, 1.2};
  const double layer = layerwise_step_seconds(c.forward, c.backward, 0, c.link, c.update, c.link, c.blocks);
  EXPECT_NEAR(step("layerwise", c), layer, 0.03 * layer);
  EXPECT_NEAR(step("edf", c), layer, 0.03 * layer);
}

// edf is never slower than first come, first served by more than 3 %.
TEST(Simulate, DeadlinesNeverLoseToArrival) {
  Random random(11);
  for (int trial = 0; trial < 40; ++trial) {
    const Case c{static_cast<std::int64_t>(2 + random.below(30)), 1, 2, random.uniform(0.1, 5),
                 random.uniform(0.1, 5)};
    EXPECT_LE(step("edf", c), 1.03 * step("layerwise-fcfs", c)) << "seed 11 trial " << trial;
  }
}

TEST(Simulate, BreakdownSumsToTheStep) {
  for (const std::string& name : schedule_names()) {
    const Case c{12, 1, 2, 3, 4};
    const SimulatedStep result = simulate(schedule_from_string(name), costs_of(c), machine_of(c));
    const Breakdown& b = result.breakdown;
    EXPECT_NEAR(b.compute + b.link + b.update + b.other, result.seconds, 1e-9) << name;
    EXPECT_NEAR(b.compute, 3.0, 0.02 * 3) << name;
  }
}

// The delayed update hides UPD behind the next step's compute and pays for the
// upload only.
TEST(Simulate, DelayedUpdateHidesTheHost) {
  const Case c{16, 1, 2, 0.8, 2.5};
  EXPECT_NEAR(step("zero-dpu", c), 1 + 2 + 0.8, 0.15);
}

}  // namespace
}  // namespace ballast::tune
