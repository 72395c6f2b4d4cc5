// Label propagation, triangles, clustering, cores and independent sets.
#include <algorithm>
#include <numeric>

#include "ballast/base/random.h"
#include "ballast/graph/sequential/sequential.h"

namespace ballast::graph::sequential {
namespace {

// Calls visit(w) for every member of both sorted rows.
template <typename Visit>
void intersect(std::span<const VertexId> a, std::span<const VertexId> b, Visit visit) {
  for (std::size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    if (a[i] < b[j]) {
      ++i;
    } else if (b[j] < a[i]) {
      ++j;
    } else {
      visit(a[i]);
      ++i;
      ++j;
    }
  }
}

}  // namespace

Csr simple_undirected(const Graph& graph) {
  Csr simple;
  simple.offsets.reserve(graph.vertices() + 1);
  for (VertexId v = 0; v < graph.vertices(); ++v) {
    const auto first = static_cast<std::ptrdiff_t>(simple.targets.size());
    const auto out = graph.out().neighbours(v), in = graph.in().neighbours(v);
    if (graph.directed()) {
      std::set_union(out.begin(), out.end(), in.begin(), in.end(), std::back_inserter(simple.targets));
    } else {
      simple.targets.insert(simple.targets.end(), out.begin(), out.end());
    }
    const auto last = std::unique(simple.targets.begin() + first, simple.targets.end());
    simple.targets.erase(std::remove(simple.targets.begin() + first, last, v), simple.targets.end());
    simple.offsets.push_back(simple.targets.size());
  }
  return simple;
}

std::vector<std::uint64_t> label_propagation(const Graph& graph, int iterations,
                                             std::span<const std::uint64_t> names) {
  const std::uint64_t n = graph.vertices();
  std::vector<std::uint64_t> labels(n), next(n), heard;
  for (VertexId v = 0; v < n; ++v) labels[v] = names.empty() ? v : names[v];
  for (int round = 0; round < iterations; ++round) {
    for (VertexId v = 0; v < n; ++v) {
      heard.clear();
      for (VertexId u : graph.out().neighbours(v)) heard.push_back(labels[u]);
      if (graph.directed()) {
        for (VertexId u : graph.in().neighbours(v)) heard.push_back(labels[u]);
      }
      std::sort(heard.begin(), heard.end());
      next[v] = labels[v];
      std::size_t most = 0;
      for (std::size_t begin = 0, end; begin < heard.size(); begin = end) {
        for (end = begin; end < heard.size() && heard[end] == heard[begin]; ++end) {
        }
        if (end - begin > most) {
          most = end - begin;
          next[v] = heard[begin];
        }
      }
    }
    labels.swap(next);
  }
  return labels;
}

std::uint64_t triangles(const Graph& graph) {
  const Csr simple = simple_undirected(graph);
  const std::uint64_t n = simple.vertices();
  // Rows of neighbours of higher (degree, id) only: short even for hubs.
  std::vector<VertexId> order(n), rank(n);
  std::iota(order.begin(), order.end(), VertexId{0});
  std::sort(order.begin(), order.end(), [&](VertexId a, VertexId b) {
    return std::pair(simple.degree(a), a) < std::pair(simple.degree(b), b);
  });
  for (VertexId i = 0; i < n; ++i) rank[order[i]] = i;
  Csr up;
  for (VertexId i = 0; i < n; ++i) {
    const auto first = static_cast<std::ptrdiff_t>(up.targets.size());
    for (VertexId u : simple.neighbours(order[i])) {
      if (rank[u] > i) up.targets.push_back(rank[u]);
    }
    std::sort(up.targets.begin() + first, up.targets.end());
    up.offsets.push_back(up.targets.size());
  }
  std::uint64_t count = 0;
  for (VertexId v = 0; v < n; ++v) {
    for (VertexId u : up.neighbours(v))
      intersect(up.neighbours(v), up.neighbours(u), [&](VertexId) { ++count; });
  }
  return count;
}

std::vector<double> local_clustering(const Graph& graph) {
  const Csr simple = simple_undirected(graph);
  std::vector<double> result(graph.vertices(), 0);
  std::vector<VertexId> row;
  for (VertexId v = 0; v < graph.vertices(); ++v) {
    const auto around = simple.neighbours(v);
    if (around.size() < 2) continue;
    std::uint64_t links = 0;
    for (VertexId u : around) {
      // Edges u -> w with both in the neighbourhood, parallel ones once.
      row.assign(graph.out().neighbours(u).begin(), graph.out().neighbours(u).end());
      row.erase(std::unique(row.begin(), row.end()), row.end());
      intersect(around, row, [&](VertexId w) { links += w != u; });
    }
    const double pairs = static_cast<double>(around.size()) * static_cast<double>(around.size() - 1);
    result[v] = static_cast<double>(links) / pairs;
  }
  return result;
}

std::vector<std::uint32_t> core_numbers(const Graph& graph) {
  const Csr simple = simple_undirected(graph);
  const std::uint64_t n = simple.vertices();
  std::vector<std::uint32_t> degree(n);
  std::uint64_t most = 0;
  for (VertexId v = 0; v < n; ++v)
    most = std::max<std::uint64_t>(most, degree[v] = static_cast<std::uint32_t>(simple.degree(v)));
  // Vertices sorted by present degree, with the start of each degree's run.
  std::vector<std::uint64_t> start(most + 2, 0), place(n);
  for (std::uint32_t d : degree) ++start[d + 1];
  std::partial_sum(start.begin(), start.end(), start.begin());
  std::vector<VertexId> order(n);
  std::vector<std::uint64_t> next(start.begin(), start.end() - 1);
  for (VertexId v = 0; v < n; ++v) order[place[v] = next[degree[v]]++] = v;
  for (std::uint64_t i = 0; i < n; ++i) {
    const VertexId v = order[i];
    for (VertexId u : simple.neighbours(v)) {
      if (degree[u] <= degree[v]) continue;
      // u moves to the front of its run, which then begins one later: its degree fell by one.
      const std::uint64_t front = std::max(start[degree[u]], i + 1);
      const VertexId other = order[front];
      std::swap(order[front], order[place[u]]);
      std::swap(place[other], place[u]);
      start[degree[u]] = front + 1;
      --degree[u];
    }
  }
  return degree;
}

std::uint64_t independent_set_priority(VertexId v, std::uint64_t seed) {
  return mix64(mix64(seed) ^ v);
}

std::vector<std::uint8_t> independent_set(const Graph& graph, std::uint64_t seed) {
  const Csr simple = simple_undirected(graph);
  std::vector<VertexId> order(simple.vertices());
  std::iota(order.begin(), order.end(), VertexId{0});
  std::sort(order.begin(), order.end(), [&](VertexId a, VertexId b) {
    return std::pair(independent_set_priority(a, seed), a) < std::pair(independent_set_priority(b, seed), b);
  });
  std::vector<std::uint8_t> in(simple.vertices(), 0), barred(simple.vertices(), 0);
  for (VertexId v : order) {
    if (barred[v]) continue;
    in[v] = 1;
    for (VertexId u : simple.neighbours(v)) barred[u] = 1;
  }
  return in;
}

}  // namespace ballast::graph::sequential
