#include "ballast/codesign/schedule.h"

#include <gtest/gtest.h>

#include "ballast/base/errors.h"
#include "ballast/codesign/mapping_list.h"
#include "ballast/codesign/nets.h"
#include "ballast/codesign/random_graph_test.h"

namespace ballast::codesign {
namespace {

// A superset of allowed overlaps is never slower, and no schedule beats its bounds. (The timeline's own
// checker runs on every one of them.)
TEST(Schema, MoreFreedomNeverCosts) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    Random random(seed + 700);
    const Graph graph = random_graph(random, 5 + static_cast<int>(random.below(20)), false);
    const System system = load_system(seed % 2 == 0 ? "xr22-x2" : "xr22-x8");
    const Mapping mapping = random_mapping(graph, system, seed);
    double last = 1e300;
    for (const char* word : {"seq", "branch", "branch+prefetch", "branch+prefetch+tile"}) {
      const NetworkSchedule s = schedule_network(graph, system, mapping, schema_from_string(word));
      EXPECT_LE(s.ms(), last * (1 + 1e-9)) << word << " seed " << seed;
      EXPECT_GE(s.schedule.makespan_s, s.workload.critical_path_s() * (1 - 1e-9));
      EXPECT_GE(s.schedule.makespan_s, s.workload.resource_bound_s() * (1 - 1e-9));
      last = s.ms();
    }
  }
}

// Frames in flight: throughput between the busiest resource and the latency of one frame.
TEST(Schema, FramesArePipelined) {
  const Graph graph = mobilenet_v2();
  const System system = load_system("xr22-x4");
  const Mapping mapping = map_network(graph, system, {.method = Method::cut});
  const NetworkSchedule one = schedule_exactly(graph, system, mapping, {.branch = true});
  const NetworkSchedule many = schedule_exactly(graph, system, mapping, {.branch = true, .frames = 8});
  EXPECT_LE(many.frame_ms, one.ms());
  EXPECT_GE(many.frame_ms, many.workload.resource_bound_s() * 1e3 / 8 * (1 - 1e-9));
  EXPECT_LT(many.frame_ms, 0.95 * one.ms()) << "two devices can work on two frames";
  EXPECT_NEAR(one.energy.static_uj, system.static_mw() * one.ms(), 1e-9);
}

// Prefetching hides what a device without double-buffered cells pays for writing them.
TEST(Schema, PrefetchHidesLoads) {
  const Graph graph = mobilenet_v2();
  System system = load_system("xr22-x1");
  system.cim.ping_pong = false;
  const Mapping mapping = map_network(graph, system, {.method = Method::cim, .residents = false});
  const double without = schedule_exactly(graph, system, mapping, {}).ms();
  const double with = schedule_exactly(graph, system, mapping, {.prefetch = true}).ms();
  EXPECT_LT(with, 0.99 * without);
}

TEST(Schema, Words) {
  EXPECT_EQ(to_string(schema_from_string("branch+prefetch+tile+frame")), "seq+branch+prefetch+tile+frame");
  EXPECT_EQ(to_string(schema_from_string("seq")), "seq");
  EXPECT_THROW(schema_from_string("brunch"), InvalidInput);
  EXPECT_THROW(schema_from_string(""), InvalidInput);
}

}  // namespace
}  // namespace ballast::codesign
