#include "ballast/codesign/mapping.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/codesign/nets.h"
#include "ballast/codesign/random_graph_test.h"
#include "ballast/codesign/schedule.h"

namespace ballast::codesign {
namespace {

// The cut is exact for schema seq: on every small network it equals the best of all placements (no residency,
// so that operators do not compete for banks).
TEST(Mapping, CutEqualsBruteForce) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    Random random(seed);
    const Graph graph = random_graph(random, 3 + static_cast<int>(random.below(9)), seed % 2 == 0);
    System system = load_system(seed % 3 == 0 ? "xr22-x1" : "xr22-x8");
    system.cim.bank_depth = 1;
    system.cim.ping_pong = seed % 4 < 2;
    for (Objective objective : {Objective::latency, Objective::energy}) {
      const auto value = [&](const Mapping& mapping) {
        const auto run = evaluate(graph, system, mapping);
        return objective == Objective::latency ? run.cycles : run.energy.total_uj();
      };
      const Mapping brute = map_network(graph, system, {.method = Method::brute, .objective = objective});
      Mapping cut = map_network(graph, system, {.method = Method::cut, .objective = objective});
      EXPECT_LE(value(cut), value(brute) * (1 + 1e-9)) << "seed " << seed;  // residency may only help further
      if (std::none_of(cut.begin(), cut.end(), [](const Placement& p) { return p.resident; })) {
        EXPECT_NEAR(value(cut), value(brute), 1e-6 * value(brute)) << "seed " << seed;
      }
    }
  }
}

TEST(Mapping, OptimisersNeverLoseToTheirBaselines) {
  for (const char* name : {"mobilenet_v2", "alphanet-a0"}) {
    const Graph graph = make_net(name);
    for (const char* hardware : {"xr22-x1", "xr22-x4", "xr22-x16"}) {
      const System system = load_system(hardware);
      const auto cycles = [&](Method method, bool split) {
        return evaluate(graph, system, map_network(graph, system, {.method = method, .split = split})).cycles;
      };
      const double cut = cycles(Method::cut, false);
      EXPECT_LE(cut, cycles(Method::npu, false));
      EXPECT_LE(cut, cycles(Method::rule, false) * 1.0001);
      EXPECT_LE(cycles(Method::cut, true), cut);
    }
  }
}

// With one resource at a time the timeline is the plain sum; overlap can only shorten it, never below its
// bounds.
TEST(Schedule, SeqIsTheSumAndBranchIsNoLonger) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Random random(seed);
    const Graph graph = random_graph(random, 20, false);
    const System system = load_system("xr22-x4");
    Mapping mapping(graph.nodes.size());
    for (std::size_t n = 0; n < mapping.size(); ++n) {
      if (eligible(graph.nodes[n], Device::cim, system) && random.below(2) == 0)
        mapping[n].device = Device::cim;
    }
    const auto run = evaluate(graph, system, mapping);
    const auto seq = schedule_network(graph, system, mapping, false),
               branch = schedule_network(graph, system, mapping, true);
    EXPECT_NEAR(seq.ms(), run.ms, 1e-9 * run.ms);
    EXPECT_LE(branch.ms(), seq.ms() * (1 + 1e-9));
    EXPECT_GE(branch.schedule.makespan_s, branch.workload.critical_path_s() * (1 - 1e-9));
    EXPECT_GE(branch.schedule.makespan_s, branch.workload.resource_bound_s() * (1 - 1e-9));
  }
}

TEST(Energy, TotalIsTheSumOfItsParts) {
  const Graph graph = mobilenet_v2();
  const System system = load_system("xr22-x8");
  const auto run = evaluate(graph, system, map_network(graph, system, {.method = Method::cut}));
  const Energy& e = run.energy;
  EXPECT_DOUBLE_EQ(e.total_uj(), e.mac_uj + e.sram_uj + e.weights_uj + e.dram_uj + e.link_uj +
                                     e.cim_write_uj + e.static_uj);
  EXPECT_NEAR(e.static_uj, system.static_mw() * run.ms, 1e-9);
}

TEST(Mapping, BruteRefusesLargeNetworks) {
  const System system = load_system("xr22-x4");
  EXPECT_THROW(map_network(mobilenet_v2(), system, {.method = Method::brute}), InvalidInput);
}

}  // namespace
}  // namespace ballast::codesign
