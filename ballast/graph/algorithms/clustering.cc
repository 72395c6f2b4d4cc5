#include <algorithm>

#include "ballast/graph/algorithms/adjacency.h"
#include "ballast/graph/algorithms/algorithms.h"

namespace ballast::graph {
namespace {

std::uint64_t common(std::span<const VertexId> a, std::span<const VertexId> b) {
  if (a.size() > b.size()) std::swap(a, b);
  std::uint64_t count = 0;
  // A short list against a long one: by search; lists of like length: by merging.
  if (a.size() * 16 < b.size()) {
    for (VertexId v : a) count += std::binary_search(b.begin(), b.end(), v);
    return count;
  }
  for (std::size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    count += a[i] == b[j];
    const bool forward = a[i] <= b[j];
    j += b[j] <= a[i];
    i += forward;
  }
  return count;
}

}  // namespace

Clustering local_clustering(const DistGraph& both, const DistGraph& directed) {
  both.machine().begin_stage("lcc");
  const Csr around = gather_adjacency(both), out = gather_adjacency(directed);
  const RemoteRows rows(directed, out, around.targets);
  Clustering result;
  result.coefficients.assign(both.owned(), 0);
  std::uint64_t corners = 0;
  const bool symmetric = &both == &directed;
  for (LocalId v = 0; v < both.owned(); ++v) {
    const auto neighbours = around.neighbours(v);
    if (neighbours.size() < 2) continue;
    std::uint64_t links = 0;
    for (VertexId u : neighbours) links += common(neighbours, rows.row(u));
    const double size = static_cast<double>(neighbours.size());
    result.coefficients[v] = static_cast<double>(links) / (size * (size - 1));
    corners += links;
  }
  // In a symmetric graph every triangle is seen from three corners, in two directions.
  if (symmetric) {
    result.triangles =
        both.machine().allreduce(corners, [](std::uint64_t a, std::uint64_t b) { return a + b; }) / 6;
  }
  return result;
}

}  // namespace ballast::graph
