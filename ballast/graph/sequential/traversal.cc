// Breadth-first search, shortest paths and betweenness.
#include <algorithm>
#include <cmath>
#include <limits>
#include <queue>

#include "ballast/graph/sequential/sequential.h"

namespace ballast::graph::sequential {
namespace {

constexpr std::uint64_t kAlpha = 15, kBeta = 18;  // GAP's constants of the direction switch

class Bits {
 public:
  explicit Bits(std::uint64_t n) : words_((n + 63) / 64, 0) {}
  void set(VertexId v) { words_[v / 64] |= std::uint64_t{1} << v % 64; }
  bool test(VertexId v) const { return (words_[v / 64] >> v % 64 & 1) != 0; }
  void clear() { std::fill(words_.begin(), words_.end(), 0); }

 private:
  std::vector<std::uint64_t> words_;
};

}  // namespace

Bfs bfs(const Graph& graph, VertexId source, bool direction_optimising) {
  const Csr &out = graph.out(), &in = graph.in();
  const std::uint64_t n = graph.vertices();
  Bfs result;
  result.parents.assign(n, kNoVertex);
  result.levels.assign(n, kUnreached);
  result.parents[source] = source;
  result.levels[source] = 0;
  std::vector<VertexId> frontier{source}, next;
  Bits here(direction_optimising ? n : 0), there(direction_optimising ? n : 0);
  std::uint64_t unexplored = out.targets.size(), scout = out.degree(source);
  for (std::uint32_t level = 1; !frontier.empty(); ++level) {
    if (direction_optimising && scout > unexplored / kAlpha) {
      // Bottom up: every unreached vertex looks for a parent in the frontier, until the frontier is small
      // again.
      here.clear();
      for (VertexId v : frontier) here.set(v);
      std::uint64_t awake = frontier.size(), before;
      do {
        before = awake;
        awake = 0;
        there.clear();
        for (VertexId v = 0; v < n; ++v) {
          if (result.parents[v] != kNoVertex) continue;
          for (std::uint64_t i = in.offsets[v]; i < in.offsets[v + 1]; ++i) {
            ++result.edges_visited;
            if (!here.test(in.targets[i])) continue;
            result.parents[v] = in.targets[i];
            result.levels[v] = level;
            there.set(v);
            ++awake;
            break;
          }
        }
        std::swap(here, there);
        ++level;
      } while (awake >= before || awake > n / kBeta);
      frontier.clear();
      for (VertexId v = 0; v < n; ++v) {
        if (here.test(v)) frontier.push_back(v);
      }
      scout = 1;
    }
    unexplored -= std::min(unexplored, scout);
    scout = 0;
    next.clear();
    for (VertexId u : frontier) {
      for (VertexId v : out.neighbours(u)) {
        if (result.parents[v] != kNoVertex) continue;
        result.parents[v] = u;
        result.levels[v] = level;
        next.push_back(v);
        scout += out.degree(v);
      }
      result.edges_visited += out.degree(u);
    }
    frontier.swap(next);
  }
  return result;
}

std::vector<double> dijkstra(const Graph& graph, VertexId source) {
  const Csr& out = graph.out();
  std::vector<double> distance(graph.vertices(), std::numeric_limits<double>::infinity());
  using Item = std::pair<double, VertexId>;
  std::priority_queue<Item, std::vector<Item>, std::greater<>> queue;
  distance[source] = 0;
  queue.emplace(0, source);
  while (!queue.empty()) {
    const auto [d, u] = queue.top();
    queue.pop();
    if (d > distance[u]) continue;
    for (std::uint64_t i = out.offsets[u]; i < out.offsets[u + 1]; ++i) {
      const double through = d + out.weight(i);
      if (through < distance[out.targets[i]])
        queue.emplace(distance[out.targets[i]] = through, out.targets[i]);
    }
  }
  return distance;
}

std::vector<double> shortest_paths(const Graph& graph, VertexId source, double delta) {
  const Csr& out = graph.out();
  if (delta <= 0) {
    double sum = 0;
    for (double w : out.weights) sum += w;
    delta = out.weights.empty() || sum == 0 ? 1 : sum / static_cast<double>(out.weights.size());
  }
  std::vector<double> distance(graph.vertices(), std::numeric_limits<double>::infinity());
  // Buckets within reach of the present one form a ring; farther vertices wait in `far` until the nearest is
  // due.
  constexpr std::uint64_t kRing = 1024, kNever = std::numeric_limits<std::uint64_t>::max();
  constexpr double kLastBucket = 1e18;  // all beyond share it, which costs time but not correctness
  std::vector<std::vector<VertexId>> ring(kRing);
  std::vector<VertexId> far, now;
  std::uint64_t current = 0, waiting = 0, far_due = kNever;
  auto bucket_of = [&](VertexId v) {
    return static_cast<std::uint64_t>(std::min(distance[v] / delta, kLastBucket));
  };
  auto put = [&](VertexId v) {
    const std::uint64_t bucket = bucket_of(v);
    if (bucket - current < kRing) {
      ring[bucket % kRing].push_back(v);
      ++waiting;
    } else {
      far.push_back(v);
      far_due = std::min(far_due, bucket);
    }
  };
  distance[source] = 0;
  put(source);
  while (waiting > 0 || !far.empty()) {
    if (waiting == 0) current = far_due;
    if (current == far_due) {
      now.swap(far);
      far_due = kNever;
      for (VertexId v : now) {
        if (bucket_of(v) >= current) put(v);
      }
      now.clear();
    }
    auto& bucket = ring[current % kRing];
    if (bucket.empty()) {
      if (waiting > 0) ++current;
      continue;
    }
    now.clear();
    now.swap(bucket);
    waiting -= now.size();
    for (VertexId u : now) {
      const double base = distance[u];
      if (bucket_of(u) != current) continue;  // it was settled in an earlier bucket
      for (std::uint64_t i = out.offsets[u]; i < out.offsets[u + 1]; ++i) {
        const VertexId v = out.targets[i];
        const double through = base + out.weight(i);
        if (through < distance[v]) {
          distance[v] = through;
          put(v);
        }
      }
    }
  }
  return distance;
}

std::vector<double> betweenness(const Graph& graph, std::span<const VertexId> sources) {
  const std::uint64_t n = graph.vertices();
  const Csr& out = graph.out();
  std::vector<double> score(n, 0), paths(n), dependency(n);
  std::vector<std::uint32_t> level(n);
  std::vector<VertexId> order;
  for (VertexId source : sources) {
    std::fill(paths.begin(), paths.end(), 0.0);
    std::fill(dependency.begin(), dependency.end(), 0.0);
    std::fill(level.begin(), level.end(), kUnreached);
    order.assign(1, source);
    paths[source] = 1;
    level[source] = 0;
    for (std::size_t i = 0; i < order.size(); ++i) {
      const VertexId u = order[i];
      for (VertexId v : out.neighbours(u)) {
        if (level[v] == kUnreached) {
          level[v] = level[u] + 1;
          order.push_back(v);
        }
        if (level[v] == level[u] + 1) paths[v] += paths[u];
      }
    }
    for (std::size_t i = order.size(); i-- > 1;) {
      const VertexId u = order[i];
      for (VertexId v : out.neighbours(u)) {
        if (level[v] == level[u] + 1) dependency[u] += paths[u] / paths[v] * (1 + dependency[v]);
      }
      score[u] += dependency[u];
    }
  }
  return score;
}

}  // namespace ballast::graph::sequential
