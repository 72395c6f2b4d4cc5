#include "ballast/dynamic/policy.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/dynamic/workloads.h"

namespace ballast::dynamic {
namespace {

Graph random_graph(std::size_t nodes, TypeId types, Random& random) {
  std::vector<std::string> names;
  for (TypeId t = 0; t < types; ++t) names.push_back("t" + std::to_string(t));
  Graph graph(names);
  std::vector<NodeId> arguments;
  for (std::size_t n = 0; n < nodes; ++n) {
    arguments.clear();
    if (n > 0) {
      for (std::uint64_t a = random.below(3); a > 0; --a)
        arguments.push_back(static_cast<NodeId>(random.below(n)));
    }
    graph.add(static_cast<TypeId>(random.below(types)), arguments);
  }
  return graph;
}

// The fewest batches by trying every sequence of types; memory of sets already met.
std::size_t brute_force(const Graph& graph) {
  std::map<std::uint32_t, std::size_t> best;
  const std::uint32_t all = (1u << graph.size()) - 1;
  const std::function<std::size_t(std::uint32_t)> fewest = [&](std::uint32_t run) -> std::size_t {
    if (run == all) return 0;
    if (const auto found = best.find(run); found != best.end()) return found->second;
    std::size_t least = graph.size();
    for (TypeId type = 0; type < graph.types().size(); ++type) {
      std::uint32_t batch = 0;
      for (NodeId node = 0; node < graph.size(); ++node) {
        bool ready = (run >> node & 1) == 0 && graph.type(node) == type;
        for (NodeId argument : graph.arguments(node)) ready = ready && (run >> argument & 1) == 1;
        if (ready) batch |= 1u << node;
      }
      if (batch != 0) least = std::min(least, 1 + fewest(run | batch));
    }
    return best[run] = least;
  };
  return fewest(0);
}

TEST(Policies, SchedulesAreSoundAndNeverBeatTheBound) {
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    Random random(seed);
    const Graph graph = random_graph(1 + random.below(14), 3, random);
    const Structure structure(graph);
    const std::size_t fewest = brute_force(graph);
    EXPECT_GE(fewest, structure.lower_bound) << "seed " << seed;
    for (const auto& name : heuristic_names()) {
      const Schedule batches = schedule_by_name(structure, name);
      EXPECT_EQ(check_schedule(graph, batches), "") << name << " seed " << seed;
      EXPECT_GE(batches.size(), fewest) << name << " seed " << seed;
    }
    EXPECT_EQ(schedule_by_name(structure, "exact").size(), fewest) << "seed " << seed;
  }
}

// ED-Batch's sufficient condition: a type whose own frontier is wholly ready starts some optimal sequence.
TEST(Policies, SufficientConditionStartsAnOptimalSequence) {
  int met = 0;
  for (std::uint64_t seed = 1; seed <= 120; ++seed) {
    Random random(seed);
    const Graph graph = random_graph(3 + random.below(10), 3, random);
    const Structure structure(graph);
    const std::size_t fewest = brute_force(graph);
    for (TypeId type = 0; type < 3; ++type) {
      Frontier frontier(structure);
      if (frontier.count(type) == 0 || frontier.count(type) != frontier.own_count(type)) continue;
      ++met;
      const auto ran = frontier.run(type);
      // The rest as a graph of its own.
      Graph rest(graph.types());
      std::map<NodeId, NodeId> renamed;
      const std::set<NodeId> gone(ran.begin(), ran.end());
      for (NodeId node = 0; node < graph.size(); ++node) {
        if (gone.count(node) > 0) continue;
        std::vector<NodeId> arguments;
        for (NodeId argument : graph.arguments(node)) {
          if (gone.count(argument) == 0) arguments.push_back(renamed.at(argument));
        }
        renamed[node] = rest.add(graph.type(node), arguments);
      }
      EXPECT_EQ(1 + brute_force(rest), fewest) << "seed " << seed << " type " << type;
    }
  }
  EXPECT_GT(met, 50);
}

// The frontier of a type's own graph, by its definition: unrun nodes that no unrun node of the type reaches.
TEST(Frontier, OwnCountEqualsItsDefinition) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    Random random(seed);
    const Graph graph = random_graph(5 + random.below(30), 3, random);
    const Structure structure(graph);
    std::vector<std::vector<bool>> reaches(graph.size(), std::vector<bool>(graph.size(), false));
    for (NodeId node = 0; node < graph.size(); ++node) {
      for (NodeId argument : graph.arguments(node)) {
        reaches[argument][node] = true;
        for (NodeId before = 0; before < graph.size(); ++before) {
          if (reaches[before][argument]) reaches[before][node] = true;
        }
      }
    }
    std::vector<bool> run(graph.size(), false);
    Frontier frontier(structure);
    const auto agenda = make_agenda();
    while (!frontier.done()) {
      for (TypeId type = 0; type < 3; ++type) {
        std::size_t own = 0;
        for (NodeId node = 0; node < graph.size(); ++node) {
          if (run[node] || graph.type(node) != type) continue;
          bool first = true;
          for (NodeId before = 0; before < graph.size(); ++before) {
            if (!run[before] && graph.type(before) == type && reaches[before][node]) first = false;
          }
          own += first ? 1 : 0;
        }
        ASSERT_EQ(frontier.own_count(type), own) << "seed " << seed;
      }
      for (NodeId node : frontier.run(agenda->next(frontier))) run[node] = true;
    }
  }
}

TEST(Workloads, FollowTheirPublishedShape) {
  double leaves = 0, ratio = 0;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    const Tree tree = draw_tree(1, i);
    leaves += tree.leaves() / 2000.0;
    ratio += tree.height() / static_cast<double>(tree.leaves()) / 2000.0;
  }
  EXPECT_NEAR(leaves, 19.1, 1.0);
  EXPECT_NEAR(ratio, 0.56, 0.06);
  // An instance is the same in every batch.
  EXPECT_EQ(make_workload("lattice", 1, 5, 7).to_json(), make_workload("lattice", 1, 5, 7).to_json());
}

TEST(Trace, RoundTripsAndNamesWhatIsWrong) {
  const Graph graph = make_workload("bilstm-char", 3, 2);
  EXPECT_EQ(Graph::from_json(graph.to_json(), "t").to_json(), graph.to_json());
  const auto refusal = [](const std::string& text) -> std::string {
    try {
      Graph::from_json(Json::parse(text), "t.json");
    } catch (const InvalidInput& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(refusal(R"({"types":["a"],"nodes":[{"t":0,"a":[]},{"t":"a","a":[0]}]})"), "accepted");
  EXPECT_NE(
      refusal(R"({"types":["a"],"nodes":[{"t":0,"a":[0]}]})").find("node 0: argument 0 is no earlier node"),
      std::string::npos);
  EXPECT_NE(refusal(R"({"types":["a"],"nodes":[{"t":1}]})").find("node 0: type 1"), std::string::npos);
  EXPECT_NE(refusal(R"({"types":["a"],"nodes":[{"t":"b"}]})").find("unknown type 'b'"), std::string::npos);
  for (const char* bad :
       {"[]", "{}", R"({"types":[1],"nodes":[]})", R"({"types":[],"nodes":[1]})",
        R"({"types":["a"],"nodes":[{"t":-1}]})", R"({"types":["a"],"nodes":[{"t":0,"a":["x"]}]})"}) {
    EXPECT_NE(refusal(bad), "accepted") << bad;
  }
}

TEST(Policies, ExactRefusesLargeGraphs) {
  const Graph graph = make_workload("tree", 8, 1);
  EXPECT_THROW(schedule_by_name(Structure(graph), "exact"), InvalidInput);
  EXPECT_THROW(schedule_by_name(Structure(graph), "agend"), InvalidInput);
}

}  // namespace
}  // namespace ballast::dynamic
