// The fast sequential algorithms against slow, obvious twins on random graphs, and against LDBC's published
// answers.
#include "ballast/graph/sequential/sequential.h"

#include <gtest/gtest.h>

#include <cmath>
#include <deque>
#include <set>

#include "ballast/graph/formats/ldbc.h"
#include "ballast/graph/generate.h"
#include "ballast/graph/result.h"
#include "ballast/graph/test_support.h"

namespace ballast::graph::sequential {
namespace {

constexpr std::uint64_t kSeed = 20251124;

struct Case {
  EdgeList list;
  Graph graph;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  Random random(kSeed);
  for (int i = 0; i < 60; ++i) {
    const std::uint64_t n = 1 + random.below(40), m = random.below(4 * n);
    all.push_back({testing::random_graph(random, n, m, i % 2 == 0, true), {}});
  }
  for (const char* word : {"kron:9", "road:24", "star:50", "path:70", "complete:12", "ba:8:3"}) {
    GenerateOptions options{.weighted = true};
    parse_generator(word, options);
    all.push_back({Generator(options).all(), {}});
  }
  for (auto& c : all) c.graph = build(c.list);
  return all;
}

std::vector<std::uint32_t> slow_levels(const Graph& graph, VertexId source) {
  std::vector<std::uint32_t> level(graph.vertices(), kUnreached);
  std::deque<VertexId> queue{source};
  level[source] = 0;
  while (!queue.empty()) {
    const VertexId u = queue.front();
    queue.pop_front();
    for (VertexId v : graph.out().neighbours(u)) {
      if (level[v] == kUnreached) {
        level[v] = level[u] + 1;
        queue.push_back(v);
      }
    }
  }
  return level;
}

TEST(Sequential, BfsFindsLevelsAndAValidTree) {
  SCOPED_TRACE(kSeed);
  for (const Case& c : cases()) {
    for (const bool optimising : {false, true}) {
      const Bfs found = bfs(c.graph, 0, optimising);
      EXPECT_EQ(found.levels, slow_levels(c.graph, 0));
      EXPECT_EQ(check_bfs(c.graph, 0, found.parents, found.levels), "");
    }
    // Top-down looks at every out-edge of every reached vertex exactly once.
    const Bfs top_down = bfs(c.graph, 0, false);
    std::uint64_t degrees = 0;
    for (VertexId v = 0; v < c.graph.vertices(); ++v) {
      if (top_down.levels[v] != kUnreached) degrees += c.graph.out().degree(v);
    }
    EXPECT_EQ(top_down.edges_visited, degrees);
  }
}

TEST(Sequential, CheckersRefuseWrongAnswers) {
  const Case c = cases().back();
  Bfs found = bfs(c.graph, 0);
  const VertexId last = static_cast<VertexId>(c.graph.vertices() - 1);
  ++found.levels[last];
  EXPECT_NE(check_bfs(c.graph, 0, found.parents, found.levels), "");
  --found.levels[last];
  found.parents[last] = last;
  EXPECT_NE(check_bfs(c.graph, 0, found.parents, found.levels), "");
  auto distances = dijkstra(c.graph, 0);
  EXPECT_EQ(check_distances(c.graph, 0, distances), "");
  distances[last] -= 1;
  EXPECT_NE(check_distances(c.graph, 0, distances), "");
}

TEST(Sequential, ShortestPathsAgreeWithBellmanFordForEveryDelta) {
  for (const Case& c : cases()) {
    std::vector<double> slow(c.graph.vertices(), std::numeric_limits<double>::infinity());
    slow[0] = 0;
    for (std::uint64_t round = 0; round < c.graph.vertices(); ++round) {
      for (std::size_t i = 0; i < c.list.edges.size(); ++i) {
        const auto [u, v] = c.list.edges[i];
        slow[v] = std::min(slow[v], slow[u] + c.list.weights[i]);
        if (!c.list.directed) slow[u] = std::min(slow[u], slow[v] + c.list.weights[i]);
      }
    }
    EXPECT_EQ(dijkstra(c.graph, 0), slow);
    for (const double delta : {0.0, 0.1, 1.0, 50.0, 1e9})
      EXPECT_EQ(shortest_paths(c.graph, 0, delta), slow) << delta;
    EXPECT_EQ(check_distances(c.graph, 0, slow), "");
  }
}

TEST(Sequential, ComponentsAreTheSmallestReachableIds) {
  for (const Case& c : cases()) {
    EdgeList undirected = c.list;
    undirected.directed = false;
    const Graph graph = build(undirected);
    const auto labels = connected_components(c.graph);
    for (VertexId v = 0; v < graph.vertices(); ++v) {
      const auto levels = slow_levels(graph, v);
      VertexId least = 0;
      while (levels[least] == kUnreached) ++least;
      ASSERT_EQ(labels[v], least);
      if (graph.vertices() > 100 && v == 5) break;
    }
  }
}

TEST(Sequential, PageRankSumsToOneAndIsAFixPoint) {
  for (const Case& c : cases()) {
    const PageRank found = pagerank(c.graph, {.iterations = 200, .tolerance = 1e-14});
    double sum = 0, sinks = 0;
    const double n = static_cast<double>(c.graph.vertices());
    std::vector<double> next(c.graph.vertices());
    for (VertexId v = 0; v < c.graph.vertices(); ++v) {
      sum += found.ranks[v];
      if (c.graph.out().degree(v) == 0) sinks += found.ranks[v];
      for (VertexId u : c.graph.out().neighbours(v))
        next[u] += found.ranks[v] / static_cast<double>(c.graph.out().degree(v));
    }
    EXPECT_NEAR(sum, 1, 1e-12);
    for (VertexId v = 0; v < c.graph.vertices(); ++v)
      EXPECT_NEAR(found.ranks[v], 0.15 / n + 0.85 * (next[v] + sinks / n), 1e-12);
  }
}

TEST(Sequential, BetweennessCountsShortestPathsThroughAVertex) {
  for (const Case& c : cases()) {
    if (c.graph.vertices() > 40) continue;
    // Straight from the definition: paths(s, v) * paths(v, t) / paths(s, t) where v lies between.
    const std::uint64_t n = c.graph.vertices();
    std::vector<std::vector<std::uint32_t>> level(n);
    std::vector<std::vector<double>> paths(n, std::vector<double>(n, 0));
    std::vector<VertexId> everyone(n);
    for (VertexId s = 0; s < n; ++s) {
      everyone[s] = s;
      level[s] = slow_levels(c.graph, s);
      paths[s][s] = 1;
      for (std::uint32_t depth = 0; depth < n; ++depth) {
        for (VertexId u = 0; u < n; ++u) {
          if (level[s][u] != depth) continue;
          for (VertexId v : c.graph.out().neighbours(u)) {
            if (level[s][v] == depth + 1) paths[s][v] += paths[s][u];
          }
        }
      }
    }
    const auto found = betweenness(c.graph, everyone);
    for (VertexId v = 0; v < n; ++v) {
      double expected = 0;
      for (VertexId s = 0; s < n; ++s) {
        for (VertexId t = 0; t < n; ++t) {
          if (s == v || t == v || s == t || level[s][t] == kUnreached || level[s][v] == kUnreached ||
              level[v][t] == kUnreached || level[s][v] + level[v][t] != level[s][t])
            continue;
          expected += paths[s][v] * paths[v][t] / paths[s][t];
        }
      }
      EXPECT_NEAR(found[v], expected, 1e-9);
    }
  }
}

TEST(Sequential, TrianglesClusteringCoresAndIndependentSetsByDefinition) {
  for (const Case& c : cases()) {
    if (c.graph.vertices() > 60) continue;
    const auto n = static_cast<VertexId>(c.graph.vertices());
    std::vector<std::set<VertexId>> to(n), around(n);
    for (VertexId v = 0; v < n; ++v) {
      for (VertexId u : c.graph.out().neighbours(v)) {
        if (u == v) continue;
        to[v].insert(u);
        around[v].insert(u);
        around[u].insert(v);
      }
    }
    std::uint64_t count = 0;
    for (VertexId a = 0; a < n; ++a) {
      for (VertexId b = a + 1; b < n; ++b) {
        for (VertexId d = b + 1; d < n; ++d)
          count += around[a].contains(b) && around[b].contains(d) && around[a].contains(d);
      }
    }
    EXPECT_EQ(triangles(c.graph), count);
    const auto clustering = local_clustering(c.graph);
    for (VertexId v = 0; v < n; ++v) {
      double links = 0;
      for (VertexId a : around[v]) {
        for (VertexId b : around[v]) links += to[a].contains(b);
      }
      const double size = static_cast<double>(around[v].size());
      EXPECT_DOUBLE_EQ(clustering[v], size < 2 ? 0 : links / (size * (size - 1)));
    }
    // Core numbers: peel for every k.
    const auto cores = core_numbers(c.graph);
    for (std::size_t k = 1; k < n; ++k) {
      std::vector<bool> alive(n, true);
      for (bool changed = true; changed;) {
        changed = false;
        for (VertexId v = 0; v < n; ++v) {
          std::size_t degree = 0;
          for (VertexId u : around[v]) degree += alive[u];
          if (alive[v] && degree < k) changed = true, alive[v] = false;
        }
      }
      for (VertexId v = 0; v < n; ++v) EXPECT_EQ(alive[v], cores[v] >= k);
    }
    const auto set = independent_set(c.graph, kSeed);
    for (VertexId v = 0; v < n; ++v) {
      int in = 0;
      for (VertexId u : around[v]) in += set[u];
      EXPECT_EQ(in > 0, !set[v]) << "independent and maximal";
    }
  }
}

TEST(Sequential, LdbcExampleGraphs) {
  const std::string data = testing::shared_data();
  if (data.empty()) GTEST_SKIP() << "LDBC's example graphs are not here (BALLAST_SHARED_DATA)";
  for (const std::string name : {"example-directed", "example-undirected"}) {
    const std::string stem = data + "/graphalytics/example/" + name;
    const auto [list, properties] = read_ldbc(stem + ".properties");
    EXPECT_EQ(list.vertices, properties.number("meta.vertices"));
    EXPECT_EQ(static_cast<double>(list.edges.size()), properties.number("meta.edges"));
    const Graph graph = build(list);
    auto id = [&, &list = list](double vertex) {
      for (VertexId v = 0; v < list.vertices; ++v) {
        if (list.name(v) == static_cast<std::uint64_t>(vertex)) return v;
      }
      return kNoVertex;
    };
    auto expect = [&, &list = list](const std::string& algorithm, const char* suffix, const Result& result) {
      const Verdict verdict = compare(algorithm, read_result(stem + suffix), named(result, list));
      EXPECT_TRUE(verdict.same) << name << " " << algorithm << ": " << verdict.first;
      EXPECT_EQ(verdict.compared, list.vertices);
    };
    Result levels{.algorithm = "bfs"}, components, labels;
    for (std::uint32_t level : bfs(graph, id(properties.number("bfs.source-vertex"))).levels)
      levels.integers.push_back(level == kUnreached ? kLdbcUnreached : level);
    expect("bfs", "-BFS", levels);
    for (VertexId label : connected_components(graph)) components.integers.push_back(label);
    expect("wcc", "-WCC", components);
    const int rounds = static_cast<int>(properties.number("cdlp.max-iterations"));
    for (std::uint64_t label : label_propagation(graph, rounds, list.names))
      labels.integers.push_back(static_cast<std::int64_t>(label));
    expect("cdlp", "-CDLP", labels);
    const PageRankOptions options{.damping = properties.number("pr.damping-factor"),
                                  .iterations = static_cast<int>(properties.number("pr.num-iterations"))};
    expect("pr", "-PR", {.algorithm = "pr", .reals = pagerank(graph, options).ranks});
    expect("lcc", "-LCC", {.algorithm = "lcc", .reals = local_clustering(graph)});
    expect(
        "sssp", "-SSSP",
        {.algorithm = "sssp", .reals = shortest_paths(graph, id(properties.number("sssp.source-vertex")))});
  }
}

TEST(Result, RulesTellRightFromWrong) {
  testing::Scratch scratch;
  auto verdict = [&](const char* algorithm, const char* reference, const char* output) {
    return compare(algorithm, read_result(scratch.put("r", reference)),
                   read_result(scratch.put("o", output)));
  };
  EXPECT_TRUE(verdict("bfs", "1 0\n2 9223372036854775807\n", "2 9223372036854775807\n1 0\n").same);
  EXPECT_FALSE(verdict("bfs", "1 0\n2 1\n", "1 0\n2 2\n").same);
  EXPECT_FALSE(verdict("bfs", "1 0\n2 1\n", "1 0\n").same);
  EXPECT_FALSE(verdict("bfs", "1 0\n", "1 0\n2 1\n").same);
  EXPECT_TRUE(verdict("wcc", "1 1\n2 1\n3 3\n", "1 8\n2 8\n3 5\n").same);
  EXPECT_FALSE(verdict("wcc", "1 1\n2 1\n3 3\n", "1 8\n2 8\n3 8\n").same);
  EXPECT_FALSE(verdict("wcc", "1 1\n2 1\n3 3\n", "1 8\n2 7\n3 3\n").same);
  EXPECT_TRUE(verdict("pr", "1 0.5\n", "1 5.00049e-01\n").same);
  EXPECT_FALSE(verdict("pr", "1 0.5\n", "1 0.50006\n").same);
  EXPECT_TRUE(verdict("sssp", "1 Infinity\n", "1 inf\n").same);
  EXPECT_FALSE(verdict("sssp", "1 Infinity\n", "1 1e300\n").same);
  EXPECT_THROW(verdict("pr", "1 half\n", "1 0.5\n"), InvalidInput);
  EXPECT_THROW(verdict("pr", "1 0.5\n1 0.5\n", "1 0.5\n"), InvalidInput);
}

}  // namespace
}  // namespace ballast::graph::sequential
