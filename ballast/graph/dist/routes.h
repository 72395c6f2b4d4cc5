// The trees by which a vertex's value reaches its mirrors (source trees) and contributions come back to it
// (destination trees), memoised: both ends of a link know the same list of vertices, so messages carry
// positions in it, never ids.
//
// A tree's root is the owner; its other nodes are exactly the machines that mirror the vertex. With at most F
// mirrors (or F = 0) all hang from the owner; else node i's parent is node (i - 1) / F. A link at depth d
// belongs to hop d - 1: spreading runs hops 0, 1, ..., collecting runs them backwards.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "ballast/cluster/machine.h"
#include "ballast/graph/dist/owners.h"

namespace ballast::graph {

/// A vertex's number on one machine: owned vertices first, then mirrors by (owner, number at the owner).
using LocalId = std::uint32_t;

/// Where a value goes next: the machine and the position in the list of that link.
struct Stop {
  int machine;
  std::uint32_t position;
};

struct Hop {
  /// down[m]: my vertices whose child in the tree is machine m, in the order of positions.
  std::vector<std::vector<LocalId>> down;
  /// up[m]: my mirrors whose parent is machine m, in the order of positions.
  std::vector<std::vector<LocalId>> up;
  /// The same by vertex: children of local vertex v are stops[first[v]] .. stops[first[v + 1]].
  std::vector<std::uint32_t> first;
  std::vector<Stop> stops;
};

struct Routes {
  std::vector<Hop> hops;
  /// For each mirror (local id - owned): the hop of its link to its parent, and the link; hop -1: not in
  /// these trees.
  std::vector<std::int32_t> parent_hop;
  std::vector<Stop> parent;
  std::uint64_t links = 0;  ///< of this machine's owned vertices: values that a full round moves
};

/// What an owner knows: for each of its vertices, the machines that mirror it.
struct MirrorLists {
  std::vector<std::uint32_t> first;  ///< owned + 1
  std::vector<int> machines;
};

/// How trees are laid: fan-out (0: direct links), and whether levels that no tree has are left out (C4).
struct TreeOptions {
  int fanout = 0;
  bool trim = true;
};

/// Builds the trees. `local_of(owner, index)` gives the local id of a vertex mirrored or owned here.
/// Collective.
template <typename LocalOf>
Routes build_routes(cluster::Machine& me, const MirrorLists& mirrors, std::uint64_t locals,
                    std::uint64_t owned, const TreeOptions& trees, LocalOf local_of);

/// Levels of a tree of P nodes.
int full_depth(int machines, int fanout);

/// The machines in the order of tree nodes 1..k: rotated by the vertex, so that relays differ between
/// vertices.
std::vector<int> tree_order(std::vector<int> machines, VertexId vertex);

template <typename LocalOf>
Routes build_routes(cluster::Machine& me, const MirrorLists& mirrors, std::uint64_t locals,
                    std::uint64_t owned, const TreeOptions& trees, LocalOf local_of) {
  const int fanout = trees.fanout;
  struct Link {
    std::int32_t hop;
    std::int32_t other;  // for the child its parent, for the parent its child
    VertexId index;
    std::uint32_t is_child;
  };
  Routes routes;
  const int machines = me.machines();
  cluster::Outbox out = me.outbox();
  std::int32_t deepest = 0;
  for (VertexId v = 0; v < owned; ++v) {
    const std::uint32_t begin = mirrors.first[v], end = mirrors.first[v + 1];
    const auto k = static_cast<int>(end - begin);
    routes.links += static_cast<std::uint64_t>(k);
    const bool tree = fanout > 1 && k > fanout;
    std::vector<int> nodes(mirrors.machines.begin() + begin, mirrors.machines.begin() + end);
    if (tree) nodes = tree_order(std::move(nodes), v);
    for (int i = 1; i <= k; ++i) {
      std::int32_t depth = 1;
      for (int p = i; tree && (p = (p - 1) / fanout) != 0;) ++depth;
      const int above = tree ? (i - 1) / fanout : 0;
      const int parent = above == 0 ? me.id() : nodes[static_cast<std::size_t>(above - 1)];
      const int child = nodes[static_cast<std::size_t>(i - 1)];
      out.to(parent).put(Link{depth - 1, child, v, 0});
      out.to(child).put(Link{depth - 1, parent, v, 1});
      deepest = std::max(deepest, depth);
    }
  }
  const cluster::Inbox in = me.exchange(std::move(out));
  deepest = me.allreduce(deepest, [](std::int32_t a, std::int32_t b) { return std::max(a, b); });
  if (!trees.trim) deepest = std::max(deepest, full_depth(machines, fanout));
  const auto count = static_cast<std::size_t>(machines);
  routes.hops.resize(static_cast<std::size_t>(deepest));
  for (Hop& hop : routes.hops) {
    hop.down.resize(count);
    hop.up.resize(count);
  }
  routes.parent_hop.assign(locals - owned, -1);
  routes.parent.assign(locals - owned, Stop{0, 0});
  // Links arrive by (owner, index) at both ends: the same order, hence the same positions.
  std::vector<std::vector<std::pair<LocalId, Stop>>> children(routes.hops.size());
  for (int owner = 0; owner < machines; ++owner) {
    for (cluster::Reader reader = in.from(owner); !reader.empty();) {
      const auto link = reader.get<Link>();
      const LocalId local = local_of(owner, link.index);
      Hop& hop = routes.hops[static_cast<std::size_t>(link.hop)];
      auto& list = (link.is_child ? hop.up : hop.down)[static_cast<std::size_t>(link.other)];
      const Stop stop{link.other, static_cast<std::uint32_t>(list.size())};
      list.push_back(local);
      if (link.is_child) {
        routes.parent_hop[local - owned] = link.hop;
        routes.parent[local - owned] = stop;
      } else {
        children[static_cast<std::size_t>(link.hop)].emplace_back(local, stop);
      }
    }
  }
  for (std::size_t h = 0; h < routes.hops.size(); ++h) {
    Hop& hop = routes.hops[h];
    hop.first.assign(locals + 1, 0);
    for (const auto& [local, stop] : children[h]) ++hop.first[local + 1];
    for (std::size_t v = 0; v < locals; ++v) hop.first[v + 1] += hop.first[v];
    hop.stops.resize(children[h].size());
    std::vector<std::uint32_t> next(hop.first.begin(), hop.first.end() - 1);
    for (const auto& [local, stop] : children[h]) hop.stops[next[local]++] = stop;
  }
  return routes;
}

}  // namespace ballast::graph
