#include "ballast/graph/generate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "ballast/base/errors.h"
#include "ballast/graph/graph.h"

namespace ballast::graph {
namespace {

TEST(Generate, EverySplitGivesTheSameGraph) {
  for (const auto& kind : generator_kinds()) {
    GenerateOptions options{.kind = kind, .scale = 8, .degree = 5, .seed = 7, .weighted = true};
    if (kind == "complete") options.size = 40;
    const Generator generator(options);
    const EdgeList whole = generator.all();
    EdgeList joined;
    for (std::uint64_t begin = 0; begin < generator.candidates(); begin += 37) {
      const EdgeList part = generator.slice(begin, std::min(generator.candidates(), begin + 37));
      joined.edges.insert(joined.edges.end(), part.edges.begin(), part.edges.end());
      joined.weights.insert(joined.weights.end(), part.weights.begin(), part.weights.end());
    }
    EXPECT_EQ(whole.edges, joined.edges) << kind;
    EXPECT_EQ(whole.weights, joined.weights) << kind;
    EXPECT_EQ(whole.weights.size(), whole.edges.size()) << kind;
    for (const Edge& e : whole.edges) ASSERT_LT(std::max(e.source, e.target), whole.vertices) << kind;
    options.seed = 8;
    const bool by_rule = kind == "star" || kind == "path" || kind == "complete" || kind == "grid";
    EXPECT_EQ(Generator(options).all().edges == whole.edges, by_rule) << kind;
  }
}

TEST(Generate, ShapesAreWhatTheirNamesSay) {
  EXPECT_EQ(Generator({.kind = "complete", .size = 30}).all().edges.size(), 30u * 29 / 2);
  EXPECT_EQ(Generator({.kind = "path", .size = 1}).all().edges.size(), 0u);
  const GraphFacts star = facts_of(Generator({.kind = "star", .size = 100}).all());
  EXPECT_EQ(star.max_out_degree, 99u);
  EXPECT_EQ(star.components, 1u);
  const GraphFacts grid = facts_of(Generator({.kind = "grid", .size = 20}).all());
  EXPECT_EQ(grid.edges, 2u * 20 * 19);
  EXPECT_EQ(grid.max_out_degree, 4u);
  // A road network: mean degree 2.4 to 2.8 and most of it in one piece.
  const GraphFacts road = facts_of(Generator({.kind = "road", .size = 128}).all());
  EXPECT_GT(road.mean_degree, 2.4);
  EXPECT_LT(road.mean_degree, 2.8);
  EXPECT_GT(road.largest_component, road.vertices * 8 / 10);
  // Half of the edges of `hub` begin at the hubs, and their own share of the other half.
  const EdgeList hub =
      Generator({.kind = "hub", .scale = 12, .degree = 16, .hubs = 8, .directed = true}).all();
  const auto from_hubs =
      std::count_if(hub.edges.begin(), hub.edges.end(), [](Edge e) { return e.source < 8; });
  EXPECT_NEAR(static_cast<double>(from_hubs) / static_cast<double>(hub.edges.size()), 0.5, 0.02);
}

TEST(Generate, KroneckerIsSkewedAndItsQuadrantsAreGraph500s) {
  const EdgeList plain = Generator({.kind = "kron", .scale = 12, .seed = 3, .permute = false}).all();
  const double m = static_cast<double>(plain.edges.size());
  double quadrant[4] = {};
  for (const Edge& e : plain.edges) quadrant[(e.source >= 2048) * 2 + (e.target >= 2048)] += 1 / m;
  EXPECT_NEAR(quadrant[0], 0.57, 0.01);
  EXPECT_NEAR(quadrant[1], 0.19, 0.01);
  EXPECT_NEAR(quadrant[2], 0.19, 0.01);
  EXPECT_NEAR(quadrant[3], 0.05, 0.01);
  // Permuted ids are the same graph under other names.
  const EdgeList hidden = Generator({.kind = "kron", .scale = 12, .seed = 3}).all();
  auto degrees = [](const EdgeList& list) {
    std::vector<int> degree(list.vertices);
    for (const Edge& e : list.edges) ++degree[e.source], ++degree[e.target];
    std::sort(degree.begin(), degree.end());
    return degree;
  };
  EXPECT_EQ(degrees(plain), degrees(hidden));
  EXPECT_NE(plain.edges, hidden.edges);
  EXPECT_GT(facts_of(hidden).top_percent_share, 0.2);
  EXPECT_LT(facts_of(Generator({.kind = "uniform", .scale = 12}).all()).top_percent_share, 0.02);
}

TEST(Generate, ShortFormsAndBadOnes) {
  GenerateOptions options;
  EXPECT_TRUE(parse_generator("kron:10:8", options));
  EXPECT_EQ(options.scale, 10u);
  EXPECT_EQ(options.degree, 8u);
  EXPECT_TRUE(parse_generator("road:64", options));
  EXPECT_EQ(options.size, 64u);
  EXPECT_FALSE(parse_generator("soc.el", options));
  EXPECT_FALSE(parse_generator("c:/soc.el", options));
  EXPECT_THROW(parse_generator("kron:x", options), InvalidInput);
  EXPECT_THROW(Generator({.kind = "krom"}), InvalidInput);
  EXPECT_THROW(Generator({.kind = "kron", .scale = 32}), InvalidInput);
  EXPECT_THROW(Generator({.kind = "path", .size = std::uint64_t{1} << 40}), InvalidInput);
}

TEST(Graph, BuildSortsRowsAndCountsLoopsOnce) {
  EdgeList list;
  list.vertices = 4;
  list.edges = {{2, 1}, {0, 3}, {0, 1}, {1, 1}, {0, 1}};
  list.weights = {21, 3, 1, 11, 2};
  const Graph directed = build(list);
  EXPECT_EQ(directed.out().targets, (std::vector<VertexId>{1, 1, 3, 1, 1}));
  EXPECT_EQ(directed.out().offsets, (std::vector<std::uint64_t>{0, 3, 4, 5, 5}));
  EXPECT_EQ(directed.out().weights, (std::vector<double>{1, 2, 3, 11, 21}));
  EXPECT_EQ(directed.in().targets, (std::vector<VertexId>{0, 0, 1, 2, 0}));
  list.directed = false;
  const Graph both = build(list);
  EXPECT_EQ(both.out().offsets, (std::vector<std::uint64_t>{0, 3, 7, 8, 9}));
  EXPECT_EQ(both.out().targets, (std::vector<VertexId>{1, 1, 3, 0, 0, 1, 2, 1, 0}));
  const GraphFacts facts = facts_of(list);
  EXPECT_EQ(facts.loops, 1u);
  EXPECT_EQ(facts.duplicates, 1u);
  simplify(list, true, true);
  EXPECT_EQ(list.edges, (std::vector<Edge>{{0, 1}, {0, 3}, {1, 2}}));
  EXPECT_EQ(list.weights, (std::vector<double>{1, 3, 21}));
}

}  // namespace
}  // namespace ballast::graph
