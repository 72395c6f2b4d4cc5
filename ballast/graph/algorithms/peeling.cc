// Core numbers and maximal independent sets: rounds in which some vertices are settled and tell their
// neighbours.
#include <algorithm>
#include <limits>

#include "ballast/graph/algorithms/adjacency.h"
#include "ballast/graph/algorithms/algorithms.h"
#include "ballast/graph/sequential/sequential.h"

namespace ballast::graph {
namespace {

// Sends one word about each settled vertex's neighbours to their owners: use(owned neighbour, how many
// settled).
template <typename Use>
void tell_neighbours(const DistGraph& g, const Csr& rows, const std::vector<LocalId>& settled, Use use) {
  cluster::Machine& me = g.machine();
  absl::flat_hash_map<VertexId, std::uint32_t> count;
  for (LocalId v : settled) {
    for (VertexId u : rows.neighbours(v)) ++count[u];
  }
  std::vector<std::pair<VertexId, std::uint32_t>> sorted(count.begin(), count.end());
  std::sort(sorted.begin(), sorted.end());
  cluster::Outbox out = me.outbox();
  for (const auto& [u, times] : sorted) {
    auto& buffer = out.to(g.owners().owner(u));
    buffer.put(g.owners().index(u));
    buffer.put_varint(times);
  }
  const cluster::Inbox in = me.exchange(std::move(out));
  for (int m = 0; m < me.machines(); ++m) {
    for (cluster::Reader reader = in.from(m); !reader.empty();) {
      const LocalId u = g.at(reader.get<VertexId>());
      use(u, static_cast<std::uint32_t>(reader.get_varint()));
    }
  }
}

}  // namespace

Cores core_numbers(const DistGraph& g) {
  cluster::Machine& me = g.machine();
  me.begin_stage("kcore");
  const Csr rows = gather_adjacency(g);
  constexpr std::uint32_t kLeft = std::numeric_limits<std::uint32_t>::max();
  Cores result;
  result.numbers.assign(g.owned(), kLeft);
  std::vector<std::uint32_t> degree(g.owned());
  for (LocalId v = 0; v < g.owned(); ++v) degree[v] = static_cast<std::uint32_t>(rows.degree(v));
  auto smaller = [](std::uint32_t a, std::uint32_t b) { return std::min(a, b); };
  for (std::uint32_t k = 0;;) {
    // The next bucket with anything in it.
    std::uint32_t least = kLeft;
    for (LocalId v = 0; v < g.owned(); ++v) {
      if (result.numbers[v] == kLeft) least = std::min(least, degree[v]);
    }
    least = me.allreduce(least, smaller);
    if (least == kLeft) break;
    k = std::max(k, least);
    ++result.rounds;
    std::vector<LocalId> peeled;
    for (LocalId v = 0; v < g.owned(); ++v) {
      if (result.numbers[v] != kLeft || degree[v] > k) continue;
      result.numbers[v] = k;
      peeled.push_back(v);
    }
    tell_neighbours(g, rows, peeled,
                    [&](LocalId u, std::uint32_t times) { degree[u] -= std::min(degree[u], times); });
  }
  return result;
}

IndependentSet independent_set(const DistGraph& g, std::uint64_t seed) {
  cluster::Machine& me = g.machine();
  me.begin_stage("mis");
  const Csr rows = gather_adjacency(g);
  IndependentSet result;
  result.members.assign(g.owned(), 0);
  auto before = [&](VertexId a, VertexId b) {
    return std::pair(sequential::independent_set_priority(a, seed), a) <
           std::pair(sequential::independent_set_priority(b, seed), b);
  };
  // A vertex is settled when no neighbour of higher priority is open; each owner counts those.
  std::vector<std::uint32_t> ahead(g.owned(), 0);
  std::vector<std::uint8_t> open(g.owned(), 1);
  Csr behind;  // neighbours of lower priority
  for (LocalId v = 0; v < g.owned(); ++v) {
    for (VertexId u : rows.neighbours(v)) {
      if (before(u, g.global(v)))
        ++ahead[v];
      else
        behind.targets.push_back(u);
    }
    behind.offsets.push_back(behind.targets.size());
  }
  for (std::uint64_t left = g.vertices(); left > 0;) {
    ++result.rounds;
    std::vector<LocalId> joined, gone;
    for (LocalId v = 0; v < g.owned(); ++v) {
      if (!open[v] || ahead[v] > 0) continue;
      result.members[v] = 1;
      open[v] = 0;
      joined.push_back(v);
    }
    tell_neighbours(g, rows, joined, [&](LocalId u, std::uint32_t) {
      if (!open[u]) return;
      open[u] = 0;
      gone.push_back(u);
    });
    // Those that left free the ones behind them; so do members, whose neighbours are all gone anyway.
    tell_neighbours(g, behind, gone, [&](LocalId u, std::uint32_t times) { ahead[u] -= times; });
    const std::uint64_t settled = joined.size() + gone.size();
    left -= me.allreduce(settled, [](std::uint64_t a, std::uint64_t b) { return a + b; });
  }
  return result;
}

}  // namespace ballast::graph
