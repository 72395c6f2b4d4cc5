// Brandes, "A faster algorithm for betweenness centrality" (2001), in edgeMap rounds as in Ligra: forward,
// path counts level by level; backward, over the turned edges, dependencies in the reverse order of levels.
#include "ballast/graph/algorithms/algorithms.h"

namespace ballast::graph {

Betweenness betweenness(const DistGraph& g, const DistGraph& reverse, const std::vector<VertexId>& sources,
                        const ProgressOptions& progress) {
  g.machine().begin_stage("bc");
  Betweenness result;
  result.scores.assign(g.owned(), 0);
  std::vector<double> paths(g.owned()), dependency(g.owned());
  std::vector<std::uint32_t> level(g.owned());
  EdgeMap<double, double> forward(g, Policy::once), backward(reverse);
  auto add = [](double a, double b) { return a + b; };
  auto value = [](const Origin<double>& u, double) { return u.value; };
  const Progress saved(g, "bc", progress);
  for (std::uint64_t done = saved.begin(result.scores); done < sources.size();) {
    const VertexId source = sources[done];
    std::fill(paths.begin(), paths.end(), 0.0);
    std::fill(dependency.begin(), dependency.end(), 0.0);
    std::fill(level.begin(), level.end(), kUnreached);
    if (g.owns(source)) {
      paths[g.local(source)] = 1;
      level[g.local(source)] = 0;
    }
    forward.restart();
    std::uint32_t depth = 0;
    const Edges count{.source = [&](LocalId v) { return paths[v]; },
                      .along = value,
                      .merge = add,
                      .cond = [&](LocalId v) { return level[v] == kUnreached; },
                      .apply =
                          [&](LocalId v, double sum) {
                            paths[v] = sum;
                            level[v] = depth;
                            return true;
                          }};
    std::vector<VertexSubset> levels{VertexSubset::single(g, source)};
    while (!levels.back().empty()) {
      ++depth;
      levels.push_back(forward(levels.back(), count));
    }
    // A vertex at level d gathers (1 + dependency) / paths from its successors at level d + 1.
    const Edges gather_back{.source = [&](LocalId v) { return (1 + dependency[v]) / paths[v]; },
                            .along = value,
                            .merge = add,
                            .cond = [&](LocalId v) { return level[v] == depth; },
                            .apply =
                                [&](LocalId v, double sum) {
                                  dependency[v] += paths[v] * sum;
                                  return false;
                                }};
    for (std::size_t d = levels.size(); d-- > 2;) {
      if (levels[d - 1].empty()) continue;
      depth = static_cast<std::uint32_t>(d - 2);
      backward(VertexSubset::of(reverse, levels[d - 1].members()), gather_back);
    }
    for (LocalId v = 0; v < g.owned(); ++v) {
      if (level[v] != 0 && level[v] != kUnreached) result.scores[v] += dependency[v];
    }
    saved.reached(++done, result.scores);
  }
  result.counts = forward.counts();
  return result;
}

}  // namespace ballast::graph
