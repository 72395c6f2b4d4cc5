#include <cmath>

#include "ballast/graph/sequential/sequential.h"

namespace ballast::graph::sequential {

PageRank pagerank(const Graph& graph, const PageRankOptions& options) {
  const Csr &out = graph.out(), &in = graph.in();
  const std::uint64_t n = graph.vertices();
  PageRank result;
  if (n == 0) return result;
  const double size = static_cast<double>(n);
  result.ranks.assign(n, 1 / size);
  std::vector<double> share(n), scale(n);  // rank / out-degree; 1 / out-degree
  for (VertexId v = 0; v < n; ++v) {
    const std::uint64_t degree = out.degree(v);
    scale[v] = degree == 0 ? 0 : 1 / static_cast<double>(degree);
  }
  while (result.iterations < options.iterations) {
    ++result.iterations;
    double sinks = 0, change = 0;
    for (VertexId v = 0; v < n; ++v) {
      if (scale[v] == 0) sinks += result.ranks[v];
      share[v] = result.ranks[v] * scale[v];
    }
    const double base = (1 - options.damping) / size + options.damping * sinks / size;
    for (VertexId v = 0; v < n; ++v) {
      double sum = 0;
      for (std::uint64_t i = in.offsets[v]; i < in.offsets[v + 1]; ++i) sum += share[in.targets[i]];
      const double rank = base + options.damping * sum;
      change += std::abs(rank - result.ranks[v]);
      result.ranks[v] = rank;
    }
    if (options.tolerance > 0 && change < options.tolerance) break;
  }
  return result;
}

}  // namespace ballast::graph::sequential
