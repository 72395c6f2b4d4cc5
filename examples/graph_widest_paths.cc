// A new algorithm on the distributed engine, written from docs/graph.md alone: widest paths. On a road
// network with capacities, what is the largest vehicle that gets from a depot to each crossing? The width of
// a path is its narrowest street; each crossing wants its widest path. The algorithm is the function
// `widest_paths`, about thirty lines.
#include <algorithm>
#include <cstdio>
#include <limits>
#include <mutex>
#include <queue>

#include "ballast/cluster/cluster.h"
#include "ballast/graph/algorithms/algorithms.h"
#include "ballast/graph/generate.h"

using namespace ballast;
using graph::LocalId;

// Collective: the width of each vertex that this machine owns; 0 where no path leads.
std::vector<double> widest_paths(const graph::DistGraph& g, graph::VertexId depot) {
  g.machine().begin_stage("widest paths");
  std::vector<double> width(g.owned(), 0);
  if (g.owns(depot)) width[g.local(depot)] = std::numeric_limits<double>::infinity();
  graph::EdgeMap<double, double> over(g);
  const graph::Edges edges{
      .source = [&](LocalId v) { return width[v]; },
      .along = [](const graph::Origin<double>& u, double street) { return std::min(u.value, street); },
      .merge = [](double a, double b) { return std::max(a, b); },
      .cond = [](LocalId) { return true; },
      .apply =
          [&](LocalId v, double w) {
            if (w <= width[v]) return false;
            width[v] = w;
            return true;
          }};
  auto frontier = graph::VertexSubset::single(g, depot);
  while (!frontier.empty()) frontier = over(frontier, edges);
  return width;
}

// The same on one core, by Dijkstra's algorithm with (min, max) in place of (+, min).
std::vector<double> on_one_core(const graph::Graph& g, graph::VertexId depot) {
  std::vector<double> width(g.vertices(), 0);
  std::priority_queue<std::pair<double, graph::VertexId>> queue;
  queue.emplace(width[depot] = std::numeric_limits<double>::infinity(), depot);
  while (!queue.empty()) {
    const auto [w, u] = queue.top();
    queue.pop();
    if (w < width[u]) continue;
    for (std::uint64_t i = g.out().offsets[u]; i < g.out().offsets[u + 1]; ++i) {
      const graph::VertexId v = g.out().targets[i];
      const double through = std::min(w, g.out().weight(i));
      if (through > width[v]) queue.emplace(width[v] = through, v);
    }
  }
  return width;
}

int main() {
  const graph::VertexId depot = 32 * 64 + 32;  // the middle of the map
  const graph::GenerateOptions options{.kind = "road", .size = 64, .seed = 3, .weighted = true};
  const graph::Generator roads(options);
  const auto source = graph::source_of(roads, options);
  std::vector<double> widths;
  auto cluster = cluster::Cluster::open({.machines = 4});
  cluster.run([&](cluster::Machine& me) {
    const graph::DistGraph g(me, *source, graph::engine_options("tdo"));
    const auto all = graph::gather(g, widest_paths(g, depot));
    if (me.is_first()) widths = all;
  });
  const bool right = widths == on_one_core(graph::build(roads.all()), depot);
  const auto reached = std::count_if(widths.begin(), widths.end(), [](double w) { return w > 0; });
  std::printf("%zu crossings, %td reached; the busiest of 4 machines moved %llu bytes; %s\n", widths.size(),
              reached, static_cast<unsigned long long>(cluster::busiest_machine_bytes(cluster.accounts())),
              right ? "equal to the answer of one core" : "WRONG");
  return right ? 0 : 1;
}
