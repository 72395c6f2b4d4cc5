#include <cmath>

#include "ballast/graph/algorithms/algorithms.h"

namespace ballast::graph {

Ranks pagerank(const DistGraph& g, const RankOptions& options, const ProgressOptions& progress) {
  g.machine().begin_stage("pr");
  Ranks result;
  const double n = static_cast<double>(g.vertices());
  result.ranks.assign(g.owned(), 1 / n);
  std::vector<double> next(g.owned(), 0);
  // Of delta PageRank: what a vertex last told its neighbours, and what it tells them now.
  const bool changes_only = options.send_above >= 0;
  const double send_above = options.send_above / static_cast<double>(std::max<std::uint64_t>(1, g.edges()));
  std::vector<double> told(changes_only ? g.owned() : 0, 0), change_told(told);
  const auto share = [&](LocalId v) {
    return g.degree(v) == 0 ? 0 : result.ranks[v] / static_cast<double>(g.degree(v));
  };
  EdgeMap<double, double> over(g);
  const VertexSubset everyone = VertexSubset::all(g);
  const Edges edges{.source = [&](LocalId v) { return changes_only ? change_told[v] : share(v); },
                    .along = [](const Origin<double>& u, double) { return u.value; },
                    .merge = [](double a, double b) { return a + b; },
                    .cond = [](LocalId) { return true; },
                    .apply =
                        [&](LocalId v, double sum) {
                          next[v] = changes_only ? next[v] + sum : sum;
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
  const auto who_changed = [&] {
    std::vector<LocalId> members;
    for (LocalId v = 0; v < g.owned(); ++v) {
      change_told[v] = share(v) - told[v];
      if (std::abs(change_told[v]) <= send_above) continue;
      members.push_back(v);
      told[v] = share(v);
    }
    return VertexSubset::of(g, std::move(members));
  };
  const Progress saved(g, "pr", progress);
  result.iterations = static_cast<int>(saved.begin(result.ranks));
  double sinks = agree({0, sink_rank()}).sinks;
  while (result.iterations < options.iterations && g.vertices() > 0) {
    ++result.iterations;
    if (changes_only) {
      if (const VertexSubset changed = who_changed(); !changed.empty()) over(changed, edges);
    } else {
      std::fill(next.begin(), next.end(), 0.0);
      over(everyone, edges);
    }
    const double base = (1 - options.damping) / n + options.damping * sinks / n;
    double change = 0;
    for (LocalId v = 0; v < g.owned(); ++v) {
      const double rank = base + options.damping * next[v];
      change += std::abs(rank - result.ranks[v]);
      result.ranks[v] = rank;
    }
    const Sums sums = agree({change, sink_rank()});
    sinks = sums.sinks;
    saved.reached(static_cast<std::uint64_t>(result.iterations), result.ranks);
    if (options.tolerance > 0 && sums.change < options.tolerance) break;
  }
  result.counts = over.counts();
  return result;
}

}  // namespace ballast::graph
