#include "ballast/graph/graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "ballast/base/errors.h"
#include "ballast/graph/union_find.h"

namespace ballast::graph {
namespace {

// Rows by source in the order of the list; both directions of an undirected edge.
Csr rows_of(const EdgeList& list) {
  Csr csr;
  csr.offsets.assign(list.vertices + 1, 0);
  for (const Edge& e : list.edges) {
    ++csr.offsets[e.source + 1];
    if (!list.directed && e.source != e.target) ++csr.offsets[e.target + 1];
  }
  std::partial_sum(csr.offsets.begin(), csr.offsets.end(), csr.offsets.begin());
  csr.targets.resize(csr.offsets.back());
  if (list.weighted()) csr.weights.resize(csr.offsets.back());
  std::vector<std::uint64_t> next(csr.offsets.begin(), csr.offsets.end() - 1);
  auto put = [&](VertexId source, VertexId target, std::size_t i) {
    const std::uint64_t place = next[source]++;
    csr.targets[place] = target;
    if (list.weighted()) csr.weights[place] = list.weights[i];
  };
  for (std::size_t i = 0; i < list.edges.size(); ++i) {
    const Edge& e = list.edges[i];
    put(e.source, e.target, i);
    if (!list.directed && e.source != e.target) put(e.target, e.source, i);
  }
  return csr;
}

}  // namespace

Csr transpose(const Csr& csr) {
  Csr result;
  result.offsets.assign(csr.offsets.size(), 0);
  for (VertexId target : csr.targets) ++result.offsets[target + 1];
  std::partial_sum(result.offsets.begin(), result.offsets.end(), result.offsets.begin());
  result.targets.resize(csr.targets.size());
  result.weights.resize(csr.weights.size());
  std::vector<std::uint64_t> next(result.offsets.begin(), result.offsets.end() - 1);
  for (VertexId source = 0; source < csr.vertices(); ++source) {
    for (std::uint64_t i = csr.offsets[source]; i < csr.offsets[source + 1]; ++i) {
      const std::uint64_t place = next[csr.targets[i]]++;
      result.targets[place] = source;
      if (!csr.weights.empty()) result.weights[place] = csr.weights[i];
    }
  }
  return result;
}

Graph build(const EdgeList& list) {
  // A transposition sorts rows: twice for directed graphs, once where rows and columns are the same.
  Csr in = transpose(rows_of(list));
  if (!list.directed) return Graph(false, list.edges.size(), std::move(in), {});
  Csr out = transpose(in);
  in = transpose(out);
  return Graph(true, list.edges.size(), std::move(out), std::move(in));
}

void simplify(EdgeList& list, bool remove_duplicates, bool remove_loops) {
  if (!list.directed) {
    for (Edge& e : list.edges) {
      if (e.source > e.target) std::swap(e.source, e.target);
    }
  }
  std::vector<std::size_t> order(list.edges.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return list.edges[a] < list.edges[b]; });
  std::vector<Edge> edges;
  std::vector<double> weights;
  edges.reserve(order.size());
  weights.reserve(list.weights.size());
  for (std::size_t i : order) {
    const Edge& e = list.edges[i];
    if (remove_loops && e.source == e.target) continue;
    if (remove_duplicates && !edges.empty() && edges.back() == e) continue;
    edges.push_back(e);
    if (list.weighted()) weights.push_back(list.weights[i]);
  }
  list.edges = std::move(edges);
  list.weights = std::move(weights);
}

void require_nonnegative_weights(const EdgeList& list, const std::string& file) {
  for (std::size_t i = 0; i < list.weights.size(); ++i) {
    if (list.weights[i] >= 0) continue;
    throw InvalidInput(
        fmt::format("{}: edge {} -> {} has weight {}; shortest paths accept weights of at least 0", file,
                    list.name(list.edges[i].source), list.name(list.edges[i].target), list.weights[i]));
  }
}

GraphFacts facts_of(const EdgeList& list) {
  GraphFacts facts;
  facts.vertices = list.vertices;
  facts.edges = list.edges.size();
  const Graph graph = build(list);
  UnionFind sets(list.vertices);
  for (const Edge& e : list.edges) {
    facts.loops += e.source == e.target;
    sets.join(e.source, e.target);
  }
  std::vector<std::uint64_t> degrees(list.vertices), sizes(list.vertices);
  std::uint64_t ends = 0, repeats = 0;
  for (VertexId v = 0; v < list.vertices; ++v) {
    const auto row = graph.out().neighbours(v);
    for (std::size_t i = 1; i < row.size(); ++i) {
      if (row[i] == row[i - 1]) repeats += !list.directed && row[i] == v ? 2 : 1;
    }
    facts.sinks += row.empty();
    facts.max_out_degree = std::max<std::uint64_t>(facts.max_out_degree, row.size());
    facts.max_in_degree = std::max(facts.max_in_degree, graph.in().degree(v));
    degrees[v] = row.size() + (list.directed ? graph.in().degree(v) : 0);
    facts.isolated += degrees[v] == 0;
    ends += degrees[v];
    facts.largest_component = std::max(facts.largest_component, ++sizes[sets.find(v)]);
  }
  facts.duplicates = list.directed ? repeats : repeats / 2;
  facts.components = sets.count();
  if (list.vertices > 0) {
    facts.mean_degree = static_cast<double>(graph.out().targets.size()) / static_cast<double>(list.vertices);
    std::sort(degrees.begin(), degrees.end(), std::greater<>());
    const std::uint64_t top = std::max<std::uint64_t>(1, list.vertices / 100);
    const auto held = std::accumulate(degrees.begin(), degrees.begin() + static_cast<std::ptrdiff_t>(top),
                                      std::uint64_t{0});
    facts.top_percent_share = ends == 0 ? 0 : static_cast<double>(held) / static_cast<double>(ends);
  }
  return facts;
}

}  // namespace ballast::graph
