#include "ballast/codesign/search.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "ballast/base/errors.h"
#include "ballast/codesign/plan.h"
#include "ballast/codesign/search_problem.h"

namespace ballast::codesign {
namespace {

// Three genes of ten values: every candidate can be enumerated, so the exact front is known.
Problem three_genes(bool limited) {
  Problem p;
  p.draw = [](Random& random) {
    Candidate c;
    for (int i = 0; i < 3; ++i) c.hardware.push_back(static_cast<int>(random.below(10)));
    return c;
  };
  p.vary = [](const Candidate& from, Random& random, double rate) {
    Candidate c;
    c.hardware = from.hardware;
    for (int& gene : c.hardware) {
      if (random.uniform() < rate) gene = static_cast<int>(random.below(10));
    }
    return c;
  };
  p.cross = [](const Candidate& a, const Candidate& b, Random& random) {
    Candidate c;
    for (std::size_t i = 0; i < 3; ++i)
      c.hardware.push_back(random.below(2) == 0 ? a.hardware[i] : b.hardware[i]);
    return c;
  };
  p.key = [](const Candidate& c) {
    return static_cast<std::uint64_t>(c.hardware[0] * 100 + c.hardware[1] * 10 + c.hardware[2]);
  };
  p.score = [limited](Candidate& c) {
    const double x = c.hardware[0], y = c.hardware[1], z = c.hardware[2];
    c.objectives = {(x - 9) * (x - 9) + std::abs(y - 4) + z, x * x + std::abs(z - 2) + std::abs(y - 4)};
    c.violation = limited && x + z > 9 ? x + z - 9 : 0;
  };
  return p;
}

std::set<std::uint64_t> exact_front(const Problem& p) {
  std::vector<Candidate> all;
  for (int i = 0; i < 1000; ++i) {
    Candidate c;
    c.hardware = {i / 100, i / 10 % 10, i % 10};
    p.score(c);
    all.push_back(c);
  }
  std::set<std::uint64_t> front;
  for (const auto& c : all) {
    bool beaten = c.violation > 0;
    for (const auto& d : all)
      beaten = beaten || dominates(d.objectives, d.violation, c.objectives, c.violation);
    if (!beaten) front.insert(p.key(c));
  }
  return front;
}

TEST(Search, Nsga2ReachesTheExactFront) {
  for (const bool limited : {false, true}) {
    const Problem p = three_genes(limited);
    const auto exact = exact_front(p);
    const auto found = search(p, {.population = 40, .evaluations = 800, .mutation = 0.3, .seed = 4});
    std::set<std::uint64_t> keys;
    for (const auto& c : found.front) keys.insert(p.key(c));
    EXPECT_EQ(keys, exact);
    EXPECT_LE(found.feasible, found.evaluated);
  }
}

TEST(Search, SameSeedSameFrontAndNoDominatedMember) {
  for (const char* word : {"random", "evo", "pareto-evo", "nsga2"}) {
    const Problem p = three_genes(true);
    const SearchOptions options{
        .algorithm = algorithm_from_string(word), .population = 20, .evaluations = 200, .seed = 8};
    const auto a = search(p, options), b = search(p, options);
    ASSERT_EQ(a.front.size(), b.front.size()) << word;
    for (std::size_t i = 0; i < a.front.size(); ++i) EXPECT_EQ(p.key(a.front[i]), p.key(b.front[i])) << word;
    for (const auto& c : a.front) {
      EXPECT_LE(c.violation, 0);
      for (const auto& d : a.front) EXPECT_FALSE(dominates(d.objectives, 0, c.objectives, 0));
    }
    EXPECT_EQ(a.evaluated, static_cast<int>(a.all.size()));
  }
}

// Against counting unit cells, in two and three dimensions; and worked by hand.
TEST(Pareto, HypervolumeIsTheCoveredVolume) {
  EXPECT_DOUBLE_EQ(hypervolume({{1, 2}, {2, 1}}, {3, 3}), 3);
  EXPECT_DOUBLE_EQ(hypervolume({{4, 0}}, {3, 3}), 0);
  Random random(2);
  for (int trial = 0; trial < 40; ++trial) {
    const std::size_t dims = 2 + random.below(2);
    std::vector<Point> points(1 + random.below(8));
    for (auto& p : points) {
      for (std::size_t d = 0; d < dims; ++d) p.push_back(static_cast<double>(random.below(8)));
    }
    int cells = 0, all = dims == 2 ? 64 : 512;
    for (int i = 0; i < all; ++i) {
      const int at[3] = {i % 8, i / 8 % 8, i / 64};
      cells += std::any_of(points.begin(), points.end(), [&](const Point& p) {
        for (std::size_t d = 0; d < dims; ++d) {
          if (at[d] < p[d]) return false;
        }
        return true;
      });
    }
    EXPECT_DOUBLE_EQ(hypervolume(points, Point(dims, 8)), cells);
  }
}

TEST(Pareto, RankCorrelations) {
  EXPECT_DOUBLE_EQ(kendall_tau({1, 2, 3, 4}, {10, 20, 30, 40}), 1);
  EXPECT_DOUBLE_EQ(kendall_tau({1, 2, 3, 4}, {4, 3, 2, 1}), -1);
  EXPECT_NEAR(kendall_tau({1, 2, 3, 4}, {1, 3, 2, 4}), 4.0 / 6, 1e-12);
  EXPECT_DOUBLE_EQ(spearman({1, 2, 3}, {1, 8, 27}), 1);
  EXPECT_NEAR(spearman({1, 2, 3, 4}, {1, 3, 2, 4}), 0.8, 1e-12);
  EXPECT_EQ(spearman({1, 1, 1}, {1, 2, 3}), 0);
}

// Blocks one by one cost what the whole network costs when nothing but its operators' cycles counts.
TEST(SearchCost, AdditiveEqualsTheNetworkOnTheNpu) {
  for (const char* name : {"h4h-28", "h4h-224"}) {
    const Space space = load_space(name);
    System system = load_system("npu-only");
    system.weights.bytes = std::int64_t{1} << 32;
    BlockCosts costs(space, system);
    Random random(6);
    for (int i = 0; i < 40; ++i) {
      const Genotype g = sample(space, random, Blocks::hybrid);
      const Graph graph = to_graph(space, g);
      const NetworkCost sum = costs(g);
      EXPECT_NEAR(sum.ms, evaluate(graph, system, Mapping(graph.nodes.size())).ms, 1e-9 * sum.ms);
      EXPECT_DOUBLE_EQ(sum.macs, static_cast<double>(graph.macs()));
    }
  }
}

TEST(SearchProblem, LimitsHoldAndUnreachableOnesAreNamedAtOnce) {
  const Space space = load_space("h4h-28");
  const System system = load_system("xr22-x4");
  ProblemOptions options;
  options.genes = {parse_hardware_gene("cim.count=0,2,4"), parse_hardware_gene("npu.macs=64,128,256")};
  options.goals.objectives = {"macs", "latency"};
  options.goals.limits["latency"] = 0.2;
  options.goals.limits["area"] = 2.0;
  const auto found =
      search(network_problem(space, system, options), {.population = 16, .evaluations = 150, .seed = 3});
  EXPECT_GT(found.front.size(), 0u);
  for (const auto& c : found.front) {
    EXPECT_LE(c.scores.at("latency"), 0.2);
    EXPECT_LE(c.scores.at("area"), 2.0);
  }
  options.goals.limits["latency"] = 1e-6;
  try {
    network_problem(space, system, options);
    FAIL();
  } catch (const Unavailable& error) {
    EXPECT_NE(std::string(error.what()).find("the smallest reaches"), std::string::npos) << error.what();
  }
  options.goals = {.objectives = {"accuracy"}, .limits = {}};
  EXPECT_THROW(network_problem(space, system, options), InvalidInput);
  for (const char* bad :
       {"latency", "latency=x", "latency=0", "latency=-1ms", "speed=3", "area=3ms", "accuracy=3"})
    EXPECT_THROW(parse_limit(bad), InvalidInput) << bad;
  EXPECT_DOUBLE_EQ(parse_limit("latency=500us").second, 0.5);
  EXPECT_THROW(parse_hardware_gene("cim.coutn=1"), InvalidInput);
  EXPECT_THROW(parse_hardware_gene("cim.count="), InvalidInput);
}

}  // namespace
}  // namespace ballast::codesign
