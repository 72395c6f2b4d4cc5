#include <cmath>
#include <limits>

#include "ballast/graph/algorithms/algorithms.h"

namespace ballast::graph {

Distances shortest_paths(const DistGraph& g, VertexId source, double delta) {
  cluster::Machine& me = g.machine();
  me.begin_stage("sssp");
  constexpr double kFar = std::numeric_limits<double>::infinity();
  Distances result;
  std::vector<double>& distance = result.distances;
  distance.assign(g.owned(), kFar);
  if (g.owns(source)) distance[g.local(source)] = 0;
  EdgeMap<double, double> over(g);
  const Edges edges{.source = [&](LocalId v) { return distance[v]; },
                    .along = [](const Origin<double>& u, double weight) { return u.value + weight; },
                    .merge = [](double a, double b) { return a < b ? a : b; },
                    .cond = [](LocalId) { return true; },
                    .apply =
                        [&](LocalId v, double d) {
                          if (d >= distance[v]) return false;
                          distance[v] = d;
                          return true;
                        }};
  // Local fix-point (C6): owned vertices relax each other over the edges that lie here, as far as
  // `local_rounds` goes. Only edges between owned vertices qualify, and every edge of a reached vertex is
  // seen again by the next exchange.
  std::vector<LocalId> wave, next;
  auto relax_locally = [&](VertexSubset frontier) {
    if (g.options().local_rounds == 0) return frontier;
    Bits changed(g.owned());
    wave = frontier.members();
    for (LocalId v : wave) changed.set(v);
    for (int round = 0; round < g.options().local_rounds && !wave.empty(); ++round) {
      next.clear();
      for (LocalId u : wave) {
        const Rows& out = g.out();
        out.scan(u, out.begin(u), out.end(u, Part::inner), [&](LocalId v, std::uint64_t i) {
          const double d = distance[u] + out.weight(i);
          if (d >= distance[v]) return true;
          distance[v] = d;
          changed.set(v);
          next.push_back(v);
          return true;
        });
      }
      wave.swap(next);
    }
    std::vector<LocalId> members;
    changed.for_each(g.owned(), [&](std::size_t v) { members.push_back(static_cast<LocalId>(v)); });
    return VertexSubset::pending(g, std::move(members));
  };
  VertexSubset frontier = VertexSubset::single(g, source);
  if (delta <= 0) {
    while (!frontier.empty()) frontier = over(relax_locally(std::move(frontier)), edges);
    result.counts = over.counts();
    return result;
  }
  // Delta-stepping: what lies in the present bucket is relaxed until nothing in it changes; the rest waits.
  Bits waiting(g.owned());
  for (LocalId v : frontier.members()) waiting.set(v);
  for (double bucket = 0; bucket < kFar;) {
    for (;;) {
      std::vector<LocalId> members;
      waiting.for_each(g.owned(), [&](std::size_t v) {
        if (distance[v] < (bucket + 1) * delta) members.push_back(static_cast<LocalId>(v));
      });
      for (LocalId v : members) waiting.reset(v);
      frontier = VertexSubset::of(g, std::move(members));
      if (frontier.empty()) break;
      frontier = over(frontier, edges);
      for (LocalId v : frontier.members()) waiting.set(v);
    }
    double nearest = kFar;
    waiting.for_each(g.owned(), [&](std::size_t v) { nearest = std::min(nearest, distance[v]); });
    nearest = me.allreduce(nearest, [](double a, double b) { return a < b ? a : b; });
    bucket = std::max(bucket + 1, std::floor(nearest / delta));
    if (nearest == kFar) break;
  }
  result.counts = over.counts();
  return result;
}

}  // namespace ballast::graph
