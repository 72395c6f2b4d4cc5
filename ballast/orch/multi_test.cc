// Triangle counting: every edge is a task that asks for the two adjacency lists of its ends, whose sizes are
// very uneven. Against counting by brute force.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <set>

#include "ballast/cluster/cluster.h"
#include "ballast/data/zipf.h"
#include "ballast/orch/multi.h"

namespace ballast::orch {
namespace {

using cluster::Machine;

struct Vertex {
  std::vector<std::uint32_t> neighbours;  // sorted
  std::uint64_t triangles = 0;

  std::size_t encoded_size() const { return Wire<std::vector<std::uint32_t>>::size(neighbours); }
  void encode(Buffer& out) const { Wire<std::vector<std::uint32_t>>::put(out, neighbours); }
  static Vertex decode(Reader& in) { return {Wire<std::vector<std::uint32_t>>::get(in)}; }
};

struct Triangles {
  using Key = std::uint32_t;
  struct Context {
    std::uint32_t fail;
  };
  using Item = Vertex;
  using Update = std::uint64_t;
  using Reply = std::uint64_t;
  static Reply run(const Context& c, std::span<const Item* const> items, MultiEmit<Triangles>& out) {
    if (c.fail) throw std::runtime_error("asked to fail");
    if (items[0] == nullptr || items[1] == nullptr) return ~std::uint64_t{0};
    std::vector<std::uint32_t> common;
    std::set_intersection(items[0]->neighbours.begin(), items[0]->neighbours.end(),
                          items[1]->neighbours.begin(), items[1]->neighbours.end(),
                          std::back_inserter(common));
    for (std::uint32_t v : common) out.to(v, 1);
    return common.size();
  }
  static Update merge(Update a, Update b) { return a + b; }
  static void apply(Item& vertex, Update u) { vertex.triangles += u; }
};

// The single-item face of the same store.
struct Visitable {
  using Key = std::uint32_t;
  using Context = None;
  using Item = Vertex;
  using Update = None;
  using Reply = None;
  static None run(const None&, const Item&, Emit<Visitable>&) { return {}; }
};

struct Graph {
  static constexpr std::uint32_t kVertices = 80;
  std::vector<std::vector<std::uint32_t>> neighbours = std::vector<std::vector<std::uint32_t>>(kVertices);
  std::vector<std::pair<std::uint32_t, std::uint32_t>> edges;

  explicit Graph(std::uint64_t seed) {
    Random random(seed);
    const data::Zipf zipf(kVertices, 0.9);  // hubs
    std::set<std::pair<std::uint32_t, std::uint32_t>> set;
    for (int i = 0; i < 500; ++i) {
      auto u = static_cast<std::uint32_t>(zipf(random)),
           v = static_cast<std::uint32_t>(random.below(kVertices));
      if (u != v) set.insert({std::min(u, v), std::max(u, v)});
    }
    edges.assign(set.begin(), set.end());
    for (const auto& [u, v] : edges) {
      neighbours[u].push_back(v);
      neighbours[v].push_back(u);
    }
    for (auto& list : neighbours) std::sort(list.begin(), list.end());
  }
};

TEST(Multi, TrianglesAreThoseOfBruteForceByBothPlans) {
  const Graph graph(123);
  std::vector<std::uint64_t> of_edge(graph.edges.size(), 0), of_vertex(Graph::kVertices, 0);
  for (std::size_t e = 0; e < graph.edges.size(); ++e) {
    for (std::uint32_t w = 0; w < Graph::kVertices; ++w) {
      const auto has = [&](std::uint32_t a) {
        return std::binary_search(graph.neighbours[a].begin(), graph.neighbours[a].end(), w);
      };
      if (!has(graph.edges[e].first) || !has(graph.edges[e].second)) continue;
      ++of_edge[e];
      ++of_vertex[w];
    }
  }
  for (int machines : {1, 3, 8}) {
    for (auto multi : {Multi::gather, Multi::anchor, Multi::automatic}) {
      for (auto method : {Method::td_orch, Method::push, Method::pull_dedup}) {
        for (const char* fanout : {"flat", "2"}) {
          cluster::Cluster::run(machines, [&](Machine& me) {
            Store<Visitable> store(me);
            for (std::uint32_t v = 0; v < Graph::kVertices; ++v) {
              if (store.owns(v)) store.put(v, {graph.neighbours[v]});
            }
            MultiBatch<Triangles> batch;
            std::vector<std::size_t> mine;
            for (std::size_t e = static_cast<std::size_t>(me.id()); e < graph.edges.size();
                 e += static_cast<std::size_t>(machines)) {
              mine.push_back(e);
              batch.add({graph.edges[e].first, graph.edges[e].second}, {0});
            }
            batch.add({0, 9999}, {0});  // one of its items is not there
            batch.add({1, 1}, {0});     // the same twice
            const auto report =
                run_multi(me, store, batch, {.stage = {.method = method, .fanout = fanout}, .multi = multi});
            if (multi != Multi::automatic) {
              EXPECT_EQ(report.anchored, multi == Multi::anchor);
            }
            for (std::size_t i = 0; i < mine.size(); ++i) ASSERT_EQ(batch.reply(i), of_edge[mine[i]]);
            EXPECT_EQ(batch.reply(mine.size()), ~std::uint64_t{0});
            EXPECT_EQ(batch.reply(mine.size() + 1), graph.neighbours[1].size());
            for (const auto& [v, vertex] : store.all()) {
              const bool of_one =
                  std::binary_search(graph.neighbours[1].begin(), graph.neighbours[1].end(), v);
              EXPECT_EQ(vertex.triangles, of_vertex[v] + (of_one ? static_cast<std::uint64_t>(machines) : 0));
            }
          });
        }
      }
    }
  }
}

TEST(Multi, AFailureWritesNothingAnywhere) {
  std::atomic<int> failed{0};
  const Graph graph(5);
  cluster::Cluster::run(3, [&](Machine& me) {
    Store<Visitable> store(me);
    for (std::uint32_t v = 0; v < Graph::kVertices; ++v) {
      if (store.owns(v)) store.put(v, {graph.neighbours[v]});
    }
    MultiBatch<Triangles> batch;
    for (const auto& [u, v] : graph.edges) batch.add({u, v}, {me.id() == 1 && u == 0 ? 1u : 0u});
    try {
      run_multi(me, store, batch);
    } catch (const StageFailed& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr("asked to fail"));
      ++failed;
    }
    for (const auto& [v, vertex] : store.all()) EXPECT_EQ(vertex.triangles, 0u);
  });
  EXPECT_EQ(failed, 3);
  MultiBatch<Triangles> batch;
  EXPECT_THROW(batch.add({}, {0}), InvalidInput);
}

}  // namespace
}  // namespace ballast::orch
