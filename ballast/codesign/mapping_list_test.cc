#include "ballast/codesign/mapping_list.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/codesign/nets.h"
#include "ballast/codesign/random_graph_test.h"
#include "ballast/codesign/schedule.h"

namespace ballast::codesign {
namespace {

System bare(std::uint64_t seed) {
  System system = load_system(seed % 3 == 0 ? "xr22-x1" : "xr22-x8");
  system.cim.bank_depth = 1;
  system.cim.count = 1 + static_cast<std::int64_t>(seed % 4);
  system.cim.cols = 4;  // nothing stays resident, so that operators do not compete for banks
  system.cim.rows = 8;
  return system;
}

TEST(Dp, EqualsBruteForceOnChains) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Random random(seed);
    const Graph graph = random_graph(random, 3 + static_cast<int>(random.below(10)), true);
    const System system = bare(seed);
    for (Objective objective : {Objective::latency, Objective::energy}) {
      const auto value = [&](const Mapping& m) {
        const auto run = evaluate(graph, system, m);
        return objective == Objective::latency ? run.cycles : run.energy.total_uj();
      };
      const double brute =
          value(map_network(graph, system, {.method = Method::brute, .objective = objective}));
      EXPECT_NEAR(value(dp_mapping(graph, system, objective)), brute, 1e-6 * brute) << "seed " << seed;
    }
  }
  EXPECT_THROW(dp_mapping(mobilenet_v2(), load_system("xr22-x4"), Objective::latency), InvalidInput);
}

TEST(Dp, HullFallsInEnergyAsItRisesInLatency) {
  Random random(3);
  const Graph graph = random_graph(random, 12, true);
  const auto hull = dp_hull(graph, bare(2));
  ASSERT_GE(hull.size(), 1u);
  for (std::size_t i = 1; i < hull.size(); ++i) {
    EXPECT_GE(hull[i].cycles, hull[i - 1].cycles * (1 - 1e-9));
    EXPECT_LE(hull[i].energy.total_uj(), hull[i - 1].energy.total_uj() * (1 + 1e-9));
  }
}

// With a limit on energy half-way between the extremes: the quickest of all placements that keep it.
TEST(Ilp, EqualsBruteForceAlsoUnderALimit) {
  int limited = 0;
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    Random random(seed + 100);
    const Graph graph = random_graph(random, 4 + static_cast<int>(random.below(6)), false);
    const System system = bare(seed);
    std::vector<std::size_t> free;
    for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
      if (eligible(graph.nodes[n], Device::cim, system)) free.push_back(n);
    }
    std::vector<codesign::Run> runs;
    for (std::uint32_t bits = 0; bits < 1u << free.size(); ++bits) {
      Mapping m(graph.nodes.size());
      for (std::size_t i = 0; i < free.size(); ++i)
        m[free[i]].device = (bits >> i & 1u) != 0 ? Device::cim : Device::npu;
      runs.push_back(evaluate(graph, system, m));
    }
    double least_energy = 1e300, most_energy = 0;
    for (const auto& run : runs) {
      least_energy = std::min(least_energy, run.energy.total_uj());
      most_energy = std::max(most_energy, run.energy.total_uj());
    }
    for (const double cap : {1e300, (least_energy + most_energy) / 2, least_energy * 0.5}) {
      double best = 1e300;
      for (const auto& run : runs) {
        if (run.energy.total_uj() <= cap * (1 + 1e-12)) best = std::min(best, run.cycles);
      }
      IlpOptions options;
      if (cap < 1e300) options.most_energy_uj = cap;
      const IlpResult found = ilp_mapping(graph, system, options);
      EXPECT_EQ(found.feasible, best < 1e300) << "seed " << seed;
      if (!found.feasible) continue;
      limited += cap < 1e300 ? 1 : 0;
      const auto run = evaluate(graph, system, found.mapping);
      EXPECT_TRUE(found.optimal);
      EXPECT_NEAR(run.cycles, best, 1e-6 * best) << "seed " << seed;
      EXPECT_NEAR(found.value, run.cycles, 1e-6 * best) << "the program's objective is the evaluation";
    }
  }
  EXPECT_GT(limited, 5);
}

TEST(Ilp, SplitsOnlyHelp) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    Random random(seed + 300);
    const Graph graph = random_graph(random, 10, false);
    const System system = load_system("xr22-x4");
    const double whole = ilp_mapping(graph, system).value,
                 split = ilp_mapping(graph, system, {.split = true}).value;
    EXPECT_LE(split, whole * (1 + 1e-9));
  }
}

// List scheduling without knowledge of the whole: on the mean close to the optimum in its own schema's terms,
// and never behind the NPU alone with overlap.
TEST(Heft, CloseToTheOptimum) {
  double log_ratio = 0;
  const int graphs = 8;
  for (std::uint64_t seed = 1; seed <= graphs; ++seed) {
    Random random(seed + 50);
    const Graph graph = random_graph(random, 12, false);
    const System system = load_system("xr22-x4");
    const Mapping heft = heft_mapping(graph, system, 150);
    const double ours = schedule_network(graph, system, heft, true).ms();
    const double exact = system.milliseconds(ilp_mapping(graph, system).value);
    log_ratio += std::log(ours / exact) / graphs;
    EXPECT_LE(ours, schedule_network(graph, system, Mapping(graph.nodes.size()), true).ms() * (1 + 1e-9));
  }
  EXPECT_LE(std::exp(log_ratio), 1.10);
}

TEST(Baseline, RandomIsRepeatable) {
  const Graph graph = mobilenet_v2();
  const System system = load_system("xr22-x4");
  const Mapping a = random_mapping(graph, system, 5), b = random_mapping(graph, system, 5);
  for (std::size_t n = 0; n < a.size(); ++n) EXPECT_EQ(a[n].device, b[n].device);
}

}  // namespace
}  // namespace ballast::codesign
