#include <cmath>

#include "ballast/graph/algorithms/algorithms.h"

namespace ballast::graph {

Ranks pagerank(const DistGraph& g, const RankOptions& options) {
  g.machine().begin_stage("pr");
  Ranks result;
  const double n = static_cast<double>(g.vertices());
  result.ranks.assign(g.owned(), 1 / n);
  std::vector<double> next(g.owned());
  EdgeMap<double, double> over(g);
  const VertexSubset everyone = VertexSubset::all(g);
  const Edges edges{.source =
                        [&](LocalId v) {
                          return g.degree(v) == 0 ? 0 : result.ranks[v] / static_cast<double>(g.degree(v));
                        },
                    .along = [](const Origin<double>& u, double) { return u.value; },
                    .merge = [](double a, double b) { return a + b; },
                    .cond = [](LocalId) { return true; },
                    .apply =
                        [&](LocalId v, double sum) {
                          next[v] = sum;
                          return false;
                        }};
  // One allreduce a round: the change of this one and the rank of sinks for the next.
  struct Sums {
    double change, sinks;
  };
  auto sink_rank = [&] {
    double sum = 0;
    for (LocalId v = 0; v < g.owned(); ++v) {
      if (g.degree(v) == 0) sum += result.ranks[v];
    }
    return sum;
  };
  auto agree = [&](Sums mine) {
    return g.machine().allreduce(mine, [](Sums a, Sums b) {
      return Sums{a.change + b.change, a.sinks + b.sinks};
    });
  };
  double sinks = agree({0, sink_rank()}).sinks;
  while (result.iterations < options.iterations && g.vertices() > 0) {
    ++result.iterations;
    std::fill(next.begin(), next.end(), 0.0);
    over(everyone, edges);
    const double base = (1 - options.damping) / n + options.damping * sinks / n;
    double change = 0;
    for (LocalId v = 0; v < g.owned(); ++v) {
      const double rank = base + options.damping * next[v];
      change += std::abs(rank - result.ranks[v]);
      result.ranks[v] = rank;
    }
    const Sums sums = agree({change, sink_rank()});
    sinks = sums.sinks;
    if (options.tolerance > 0 && sums.change < options.tolerance) break;
  }
  result.counts = over.counts();
  return result;
}

}  // namespace ballast::graph
