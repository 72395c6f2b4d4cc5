#include "ballast/graph/dist/placement.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ballast/base/random.h"

namespace ballast::graph {
namespace {

using cluster::Inbox;
using cluster::Machine;
using cluster::Outbox;

// Rows and columns of the most square grid of exactly P machines.
int grid_columns(int machines) {
  int rows = static_cast<int>(std::sqrt(static_cast<double>(machines)));
  while (machines % rows != 0) --rows;
  return machines / rows;
}

void sort_by(EdgeArrays& edges, std::vector<std::uint64_t>& keys) {
  std::vector<std::uint32_t> order(edges.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return std::pair(keys[a], edges.targets[a]) < std::pair(keys[b], edges.targets[b]);
  });
  EdgeArrays sorted;
  sorted.weighted = edges.weighted;
  sorted.sources.reserve(edges.size());
  sorted.targets.reserve(edges.size());
  for (std::uint32_t i : order) {
    sorted.sources.push_back(edges.sources[i]);
    sorted.targets.push_back(edges.targets[i]);
    if (edges.weighted) sorted.weights.push_back(edges.weights[i]);
  }
  edges = std::move(sorted);
  std::sort(keys.begin(), keys.end());
}

// Sends every edge to the machine that `destination(i)` names; what comes in is in the order of (machine, its
// order).
template <typename Destination>
EdgeArrays move_edges(Machine& me, const EdgeArrays& edges, Destination destination) {
  Outbox out = me.outbox();
  for (std::size_t i = 0; i < edges.size(); ++i) {
    auto& buffer = out.to(destination(i));
    buffer.put(edges.sources[i]);
    buffer.put(edges.targets[i]);
    if (edges.weighted) buffer.put(edges.weights[i]);
  }
  const Inbox in = me.exchange(std::move(out));
  EdgeArrays result;
  result.weighted = edges.weighted;
  std::size_t total = 0;
  for (int s = 0; s < in.machines(); ++s) total += in.bytes_from(s).size() / (edges.weighted ? 16 : 8);
  result.sources.reserve(total);
  result.targets.reserve(total);
  if (edges.weighted) result.weights.reserve(total);
  for (int s = 0; s < in.machines(); ++s) {
    for (cluster::Reader reader = in.from(s); !reader.empty();) {
      result.sources.push_back(reader.get<VertexId>());
      result.targets.push_back(reader.get<VertexId>());
      if (edges.weighted) result.weights.push_back(reader.get<double>());
    }
  }
  return result;
}

// Step 2 of `tdo`: all edges are at their target's owner; those whose target is to travel go to their
// source's owner. When that saves few values against moving sources only (a road network), nothing moves: one
// direction of routes then needs no exchange in any round.
EdgeArrays place_by_contention(Machine& me, const Owners& owners, bool one_sided, EdgeArrays edges) {
  constexpr double kWorthwhile = 0.8;
  const auto machines = static_cast<std::size_t>(me.machines());
  std::vector<std::uint64_t> keys(edges.size());
  for (std::size_t i = 0; i < edges.size(); ++i)
    keys[i] = static_cast<std::uint64_t>(owners.owner(edges.sources[i])) << 32 | edges.sources[i];
  sort_by(edges, keys);
  std::vector<Side> sides(edges.size(), Side::target);
  struct Links {
    std::uint64_t one_sided, covered;
  } links{0, 0};
  std::vector<std::uint64_t> counts(2 * machines,
                                    0);  // fixed edges by machine; free edges of my blocks by source owner
  std::vector<VertexId> sources, targets;
  for (std::size_t begin = 0, end; begin < edges.size(); begin = end) {
    const auto a = static_cast<std::size_t>(keys[begin] >> 32);
    for (end = begin; end < edges.size() && static_cast<std::size_t>(keys[end] >> 32) == a; ++end) {
    }
    if (a == static_cast<std::size_t>(me.id())) {
      counts[a] += end - begin;
      continue;
    }
    sources.assign(edges.sources.begin() + static_cast<std::ptrdiff_t>(begin),
                   edges.sources.begin() + static_cast<std::ptrdiff_t>(end));
    targets.clear();
    for (std::size_t i = begin; i < end; ++i) targets.push_back(owners.index(edges.targets[i]));
    const auto block = cover_block(sources, targets, owners.count(me.id()));
    std::copy(block.begin(), block.end(), sides.begin() + static_cast<std::ptrdiff_t>(begin));
    std::vector<bool> seen(owners.count(me.id()), false);
    bool counted = false;
    for (std::size_t i = 0; i < sources.size(); ++i) {
      if (i == 0 || sources[i] != sources[i - 1]) {
        ++links.one_sided;
        counted = false;
      }
      ++counts[block[i] == Side::either   ? machines + a
               : block[i] == Side::source ? a
                                          : static_cast<std::size_t>(me.id())];
      if (block[i] == Side::source) {
        links.covered += !seen[targets[i]];
        seen[targets[i]] = true;
      } else {
        links.covered += !counted;
        counted = true;
      }
    }
  }
  links = me.allreduce(links, [](Links x, Links y) {
    return Links{x.one_sided + y.one_sided, x.covered + y.covered};
  });
  if (one_sided && static_cast<double>(links.covered) > kWorthwhile * static_cast<double>(links.one_sided))
    return edges;

  std::vector<double> fixed(machines, 0);
  std::vector<std::uint64_t> free_edges(machines * machines, 0);
  const auto all = me.allgather_bytes(std::as_bytes(std::span(counts)));
  for (std::size_t b = 0; b < machines; ++b) {
    cluster::Reader reader(all[b]);
    for (std::size_t a = 0; a < machines; ++a) fixed[a] += static_cast<double>(reader.get<std::uint64_t>());
    for (std::size_t a = 0; a < machines; ++a) free_edges[b * machines + a] = reader.get<std::uint64_t>();
  }
  const auto shares = share_free_edges(std::move(fixed), free_edges);
  std::vector<std::uint64_t> left(
      shares.begin() + static_cast<std::ptrdiff_t>(machines * static_cast<std::size_t>(me.id())),
      shares.begin() + static_cast<std::ptrdiff_t>(machines * static_cast<std::size_t>(me.id() + 1)));
  return move_edges(me, edges, [&](std::size_t i) {
    const auto a = static_cast<std::size_t>(keys[i] >> 32);
    if (sides[i] == Side::target || (sides[i] == Side::either && left[a] == 0)) return me.id();
    if (sides[i] == Side::either) --left[a];
    return static_cast<int>(a);
  });
}

// Step 3: machines above the bound hand edges, by whole sources as far as it goes, to machines below the
// mean. Every machine computes the same plan from the gathered counts.
EdgeArrays balance_edges(Machine& me, double bound, EdgeArrays edges) {
  const auto counts = me.allgather(static_cast<std::uint64_t>(edges.size()));
  const std::uint64_t total = std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
  const double mean = static_cast<double>(total) / static_cast<double>(counts.size());
  const auto ceiling = static_cast<std::uint64_t>(mean * (1 + (bound - 1) / 2)) + 1;
  if (static_cast<double>(*std::max_element(counts.begin(), counts.end())) <= bound * mean + 1) return edges;
  std::vector<std::uint64_t> now = counts;
  std::vector<std::pair<int, std::uint64_t>> mine;  // (receiver, how many edges of mine)
  int receiver = 0;
  for (int giver = 0; giver < me.machines(); ++giver) {
    while (now[static_cast<std::size_t>(giver)] > ceiling) {
      while (receiver < me.machines() &&
             now[static_cast<std::size_t>(receiver)] >= static_cast<std::uint64_t>(mean))
        ++receiver;
      if (receiver == me.machines()) break;
      auto &from = now[static_cast<std::size_t>(giver)], &to = now[static_cast<std::size_t>(receiver)];
      const std::uint64_t moved = std::min(from - ceiling, static_cast<std::uint64_t>(mean) + 1 - to);
      from -= moved;
      to += moved;
      if (giver == me.id()) mine.emplace_back(receiver, moved);
    }
  }
  // Sources with most edges here first: each costs one mirror at the receiver, however many edges go along.
  absl::flat_hash_map<VertexId, std::uint32_t> degree;
  for (VertexId u : edges.sources) ++degree[u];
  std::vector<std::uint32_t> order(edges.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](std::uint32_t x, std::uint32_t y) {
    const auto dx = degree[edges.sources[x]], dy = degree[edges.sources[y]];
    return std::tuple(dy, edges.sources[x], edges.targets[x], x) <
           std::tuple(dx, edges.sources[y], edges.targets[y], y);
  });
  std::vector<int> destination(edges.size(), me.id());
  std::size_t next = 0;
  for (const auto& [to, count] : mine) {
    for (std::uint64_t i = 0; i < count && next < order.size(); ++i) destination[order[next++]] = to;
  }
  return move_edges(me, edges, [&](std::size_t i) { return destination[i]; });
}

}  // namespace

int formula_place(const Owners& owners, Partition partition, VertexId u, VertexId v) {
  switch (partition) {
    case Partition::oec:
      return owners.owner(u);
    case Partition::iec:
    case Partition::tdo:
      return owners.owner(v);
    case Partition::cvc:
    case Partition::spmv: {
      const int columns = grid_columns(owners.machines());
      return owners.owner(u) / columns * columns + owners.owner(v) % columns;
    }
    case Partition::hash_vertex_cut:
      return static_cast<int>(mix64(std::uint64_t{u} << 32 | v) %
                              static_cast<std::uint64_t>(owners.machines()));
  }
  return 0;
}

std::vector<Side> cover_block(const std::vector<VertexId>& sources, const std::vector<VertexId>& targets,
                              std::uint64_t target_count) {
  // A smallest vertex cover of a bipartite graph from a largest matching (Koenig); the matching by Hopcroft
  // and Karp.
  constexpr std::uint32_t kNone = ~std::uint32_t{0};
  const std::size_t m = sources.size();
  std::vector<std::size_t> first;  // of each source's run of edges
  for (std::size_t i = 0; i < m; ++i) {
    if (i == 0 || sources[i] != sources[i - 1]) first.push_back(i);
  }
  const std::size_t count = first.size();
  first.push_back(m);
  std::vector<std::uint32_t> match_source(count, kNone), match_target(target_count, kNone), level(count),
      queue, stack;
  std::vector<std::size_t> next(count);
  for (std::uint32_t s = 0; s < count; ++s) {
    for (std::size_t i = first[s]; i < first[s + 1] && match_source[s] == kNone; ++i) {
      if (match_target[targets[i]] != kNone) continue;
      match_source[s] = targets[i];
      match_target[targets[i]] = s;
    }
  }
  // Levels of sources along alternating paths from the unmatched ones; whether an unmatched target is among
  // them.
  auto layer = [&] {
    bool open = false;
    queue.clear();
    for (std::uint32_t s = 0; s < count; ++s) {
      level[s] = match_source[s] == kNone ? 0 : kNone;
      if (level[s] == 0) queue.push_back(s);
      next[s] = first[s];
    }
    for (std::size_t head = 0; head < queue.size(); ++head) {
      const std::uint32_t s = queue[head];
      for (std::size_t i = first[s]; i < first[s + 1]; ++i) {
        const std::uint32_t other = match_target[targets[i]];
        if (other == kNone) {
          open = true;
        } else if (level[other] == kNone) {
          level[other] = level[s] + 1;
          queue.push_back(other);
        }
      }
    }
    return open;
  };
  while (layer()) {
    for (std::uint32_t root = 0; root < count; ++root) {
      if (match_source[root] != kNone) continue;
      stack.assign(1, root);
      while (!stack.empty()) {
        const std::uint32_t s = stack.back();
        if (next[s] == first[s + 1]) {
          stack.pop_back();
          continue;
        }
        std::uint32_t target = targets[next[s]++];
        const std::uint32_t other = match_target[target];
        if (other != kNone) {
          if (level[other] == level[s] + 1) stack.push_back(other);
          continue;
        }
        for (; !stack.empty(); stack.pop_back()) {
          std::swap(match_source[stack.back()], target);
          match_target[match_source[stack.back()]] = stack.back();
        }
      }
    }
  }
  // After the last layering, sources with a level are reached from unmatched ones. The cover: sources that
  // are not reached, and targets next to those that are.
  std::vector<bool> target_covered(target_count, false);
  for (std::uint32_t s = 0; s < count; ++s) {
    for (std::size_t i = first[s]; i < first[s + 1] && level[s] != kNone; ++i)
      target_covered[targets[i]] = true;
  }
  std::vector<Side> sides(m, Side::source);
  for (std::uint32_t s = 0; s < count; ++s) {
    for (std::size_t i = first[s]; i < first[s + 1] && level[s] == kNone; ++i)
      sides[i] = target_covered[targets[i]] ? Side::either : Side::target;
  }
  return sides;
}

std::vector<std::uint64_t> share_free_edges(std::vector<double> fixed,
                                            const std::vector<std::uint64_t>& free_edges) {
  const std::size_t machines = fixed.size();
  // Each block in turn moves edges to the emptier of its two machines; the loads settle within a few sweeps.
  constexpr int kSweeps = 50;
  std::vector<double> at_source(free_edges.size(), 0);
  for (std::size_t b = 0; b < machines; ++b) {
    for (std::size_t a = 0; a < machines; ++a) fixed[b] += static_cast<double>(free_edges[b * machines + a]);
  }
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    for (std::size_t b = 0; b < machines; ++b) {
      for (std::size_t a = 0; a < machines; ++a) {
        double& moved = at_source[b * machines + a];
        const double all = static_cast<double>(free_edges[b * machines + a]);
        const double step = std::clamp((fixed[b] - fixed[a]) / 2, -moved, all - moved);
        moved += step;
        fixed[b] -= step;
        fixed[a] += step;
      }
    }
  }
  return std::vector<std::uint64_t>(at_source.begin(), at_source.end());
}

EdgeArrays place_edges(Machine& me, const Owners& owners, const DistOptions& options, EdgeArrays edges) {
  Partition partition = options.partition;
  if (partition == Partition::tdo && !options.place_by_contention) partition = Partition::oec;
  edges = move_edges(me, edges, [&](std::size_t i) {
    return formula_place(owners, partition, edges.sources[i], edges.targets[i]);
  });
  if (partition == Partition::tdo)
    edges = place_by_contention(me, owners, options.direct_rounds, std::move(edges));
  if (options.partition == Partition::tdo && options.balance > 0)
    edges = balance_edges(me, options.balance, std::move(edges));
  return edges;
}

}  // namespace ballast::graph
