// Connected components by hooking and pointer jumping (FastSV: Zhang, Azad, Hu, "FastSV: a distributed-memory
// connected component algorithm with fast convergence", SIAM PP 2020). Every vertex v keeps a parent f(v) <=
// v. A round:
//   1. every vertex learns the smallest grandparent among its neighbours (one edgeMap);
//   2. hooking: that value is merged by minimum into the parent of v, and into v itself;
//   3. jumping: f(v) = min(f(v), f(f(v))), and the new grandparents are read.
// Parents are hot items: steps 2 and 3 are stages that combine requests and updates for one vertex on each
// machine.
#include <algorithm>

#include "ballast/graph/algorithms/algorithms.h"
#include "ballast/graph/dist/remote.h"
#include "ballast/graph/union_find.h"

namespace ballast::graph {
namespace {

VertexId least(VertexId a, VertexId b) {
  return a < b ? a : b;
}

std::vector<VertexId> own_ids(const DistGraph& g) {
  std::vector<VertexId> ids(g.owned());
  for (LocalId v = 0; v < g.owned(); ++v) ids[v] = g.global(v);
  return ids;
}

// Step 0 (technique C6, taken to its fix-point): what the edges of this machine join, it joins alone. The
// smallest id of a local component is a valid parent of its members, wherever it is owned. After the first
// two edges of each row most vertices share one set, whose members need no look at their other edges: an edge
// that leaves it is met from its other end (Sutton et al., "Optimizing parallel graph connectivity", IPDPS
// 2018).
std::vector<VertexId> local_minima(const DistGraph& g) {
  constexpr std::uint64_t kFirst = 2;
  constexpr LocalId kSample = 1024;
  UnionFind sets(g.locals());
  const auto join_row = [&](const Rows& rows, LocalId u, std::uint64_t from, std::uint64_t to) {
    rows.scan(u, std::min(rows.begin(u) + from, rows.end(u)), std::min(to, rows.end(u)),
              [&](LocalId v, std::uint64_t) {
                sets.join(u, v);
                return true;
              });
  };
  const LocalId locals = g.locals();
  for (LocalId u = 0; u < locals; ++u) join_row(g.out(), u, 0, g.out().begin(u) + kFirst);
  absl::flat_hash_map<LocalId, std::uint32_t> seen;
  LocalId giant = 0;
  for (LocalId i = 0; i < std::min(locals, kSample); ++i) {
    const LocalId root =
        sets.find(static_cast<LocalId>(std::uint64_t{i} * locals / std::min(locals, kSample)));
    const std::uint32_t times = ++seen[root];
    if (times > seen[giant]) giant = root;
  }
  if (locals > 0) giant = sets.find(giant);
  const bool all_rows_twice = g.machine().machines() == 1;  // then every edge is met from both its ends
  for (LocalId u = 0; u < locals; ++u) {
    if (sets.find(u) == giant) continue;
    join_row(g.out(), u, kFirst, g.out().end(u));
    if (!all_rows_twice) join_row(g.in(), u, 0, g.in().end(u));
  }
  std::vector<VertexId> smallest(g.locals(), kNoVertex), parent(g.owned());
  for (LocalId v = 0; v < g.locals(); ++v) {
    VertexId& least_id = smallest[sets.find(v)];
    least_id = least(least_id, g.global(v));
  }
  for (LocalId v = 0; v < g.owned(); ++v) parent[v] = smallest[sets.find(v)];
  return parent;
}

}  // namespace

Components connected_components(const DistGraph& g) {
  cluster::Machine& me = g.machine();
  me.begin_stage("cc");
  Components result;
  std::vector<VertexId>& parent = result.labels;
  const bool locally = g.options().local_rounds > 0;
  parent = locally ? local_minima(g) : own_ids(g);
  if (locally && me.machines() == 1) return result;
  std::vector<VertexId> grandparent = remote_get(g, parent, parent), heard(g.owned());
  EdgeMap<VertexId, VertexId> over(g);
  VertexSubset active = VertexSubset::all(g);
  const Edges edges{.source = [&](LocalId v) { return grandparent[v]; },
                    .along = [](const Origin<VertexId>& u, double) { return u.value; },
                    .merge = least,
                    .cond = [](LocalId) { return true; },
                    .apply =
                        [&](LocalId v, VertexId value) {
                          heard[v] = value;
                          return value < grandparent[v];
                        }};
  while (!active.empty()) {
    ++result.jump_rounds;
    const VertexSubset hooked = over(active, edges);
    // Hooking: the parents of those that heard something smaller, and they themselves.
    std::vector<VertexId> roots, values;
    for (LocalId v : hooked.members()) {
      roots.push_back(parent[v]);
      values.push_back(heard[v]);
    }
    remote_merge(g, roots, values, least,
                 [&](LocalId v, VertexId value) { parent[v] = least(parent[v], value); });
    for (LocalId v : hooked.members()) parent[v] = least(parent[v], heard[v]);
    for (LocalId v = 0; v < g.owned(); ++v) parent[v] = least(parent[v], grandparent[v]);
    // Jumping; whose grandparent fell is active in the next round.
    const std::vector<VertexId> now = remote_get(g, parent, parent);
    std::vector<LocalId> fell;
    for (LocalId v = 0; v < g.owned(); ++v) {
      if (now[v] != grandparent[v]) fell.push_back(v);
      grandparent[v] = now[v];
    }
    active = VertexSubset::of(g, std::move(fell));
  }
  result.counts = over.counts();
  return result;
}

}  // namespace ballast::graph
