// edgeMap: one round over the out-edges of a vertex subset (Ligra, Shun and Blelloch, PPoPP 2013; as an
// orchestration stage with replayed routes in TDO-GP).
//
//   EdgeMap<Nothing, VertexId> over(g);                     // what travels along source trees and to targets
//   frontier = over(frontier, Edges{
//       .source = [&](LocalId) { return Nothing{}; },                     // at the owner of an active vertex
//       .along  = [&](Origin<Nothing> u, double) { return u.id; },        // for one edge: its contribution
//       .merge  = [](VertexId a, VertexId b) { return std::min(a, b); },  // associative and commutative
//       .cond   = [&](LocalId v) { return parent[v] == kNoVertex; },      // at the owner: is v still of
//       interest? .apply  = [&](LocalId v, VertexId p) { parent[v] = p; return true; }});   // at the owner;
//       changed?
//
// 1. spread: values of active vertices go down the source trees to the machines that hold their edges;
// 2. compute: sparse (from active sources along out-edges) or dense (targets scan their in-edges), chosen for
// all
//    machines at once by the size of the frontier;
// 3. collect: contributions climb the destination trees, merged where they meet; owners apply.
// The returned subset is the vertices for which apply said "changed". Collective; two exchanges a tree
// level at most. How large the frontier is in the whole graph rides on the next round's first exchange (C3).
//
// With `Policy::any` one contribution is as good as all (BFS): dense scans stop at the first, and a mirror
// that contributed is not looked at again. With doubles and sums, results are the same bits for equal (P,
// partition, fan-out).
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "ballast/graph/dist/bits.h"
#include "ballast/graph/dist/coding.h"
#include "ballast/graph/dist/dist_graph.h"
#include "ballast/graph/dist/vertex_subset.h"

namespace ballast::graph {

/// The active end of an edge: its id in the graph and the value that its owner spread.
template <typename Spread>
struct Origin {
  VertexId id;
  Spread value;
};

template <typename Source, typename Along, typename Merge, typename Cond, typename Apply>
struct Edges {
  Source source;
  Along along;
  Merge merge;
  Cond cond;
  Apply apply;
};
template <typename S, typename A, typename M, typename C, typename P>
Edges(S, A, M, C, P) -> Edges<S, A, M, C, P>;

enum class Policy {
  all,  ///< every contribution counts
  any   ///< one contribution to a vertex is enough, once and for all
};

/// What the rounds of one EdgeMap did, on this machine.
struct RoundCounts {
  std::uint64_t rounds = 0, dense_rounds = 0;
  std::uint64_t edges_visited = 0;  ///< adjacency entries looked at
  std::uint64_t values_spread = 0, values_collected = 0;
};

template <typename Spread, typename Update>
class EdgeMap {
 public:
  explicit EdgeMap(const DistGraph& g, Policy policy = Policy::all)
      : g_(g),
        policy_(policy),
        values_(std::is_empty_v<Spread> ? 0 : g.locals()),
        updates_(g.locals()),
        active_(g.locals()),
        touched_(g.locals()),
        done_(policy == Policy::any ? g.locals() : 0) {}

  template <typename E>
  VertexSubset operator()(const VertexSubset& frontier, const E& edges) {
    const DistOptions& options = g_.options();
    const Size size = spread(frontier, edges);
    if (size.vertices == 0) {
      clear_active();
      return {};
    }
    const bool dense =
        options.always_dense || (options.dense_threshold > 0 &&
                                 static_cast<double>(size.vertices + size.edges) * options.dense_threshold >
                                     static_cast<double>(g_.edges()));
    ++counts_.rounds;
    counts_.dense_rounds += dense;
    if (dense) {
      compute_dense(edges, size.vertices == g_.vertices());
    } else {
      compute_sparse(edges);
    }
    clear_active();
    collect(edges);
    return finish(edges);
  }

  const RoundCounts& counts() const { return counts_; }
  /// Forgets which mirrors contributed (Policy::any): before another search.
  void restart() { done_.clear(); }

 private:
  /// Of a frontier in the whole graph.
  struct Size {
    std::uint64_t vertices = 0, edges = 0;
    static Size add(Size a, Size b) { return {a.vertices + b.vertices, a.edges + b.edges}; }
  };

  void clear_active() {
    for (LocalId v : actives_) active_.reset(v);
    actives_.clear();
  }
  void activate(LocalId v, const Spread& value) {
    if constexpr (!std::is_empty_v<Spread>) values_[v] = value;
    if (active_.insert(v)) actives_.push_back(v);
  }
  Origin<Spread> origin(LocalId v) const {
    if constexpr (std::is_empty_v<Spread>)
      return {g_.global(v), Spread{}};
    else
      return {g_.global(v), values_[v]};
  }
  CodingOptions coding() const { return {g_.options().code_positions, g_.options().code_values}; }

  // Returns the size of the frontier. What a pending one lacks rides on the first exchange; without source
  // trees it takes an allreduce.
  template <typename E>
  Size spread(const VertexSubset& frontier, const E& edges) {
    for (LocalId v : frontier.members()) activate(v, edges.source(v));
    cluster::Machine& me = g_.machine();
    const auto machines = static_cast<std::size_t>(me.machines());
    const Routes& routes = g_.source_routes();
    Size size{frontier.size(), frontier.out_edges()};
    const bool riding = frontier.is_pending() && !routes.hops.empty();
    if (frontier.is_pending() && !riding) size = me.allreduce(size, Size::add);
    const Size mine = size;
    stops_.resize(machines);
    for (std::size_t h = 0; h < routes.hops.size() && (size.vertices > 0 || riding); ++h) {
      const Hop& hop = routes.hops[h];
      // Positions of a link rise with local ids; relays receive in the order of sources, so theirs are put in
      // order.
      for (LocalId v : actives_) {
        for (std::uint32_t i = hop.first[v]; i < hop.first[v + 1]; ++i)
          stops_[static_cast<std::size_t>(hop.stops[i].machine)].push_back(hop.stops[i].position);
      }
      cluster::Outbox out = me.outbox();
      for (std::size_t m = 0; m < machines; ++m) {
        auto& positions = stops_[m];
        if (riding && h == 0 && static_cast<int>(m) != me.id()) {
          out.to(static_cast<int>(m)).put_varint(mine.vertices);
          out.to(static_cast<int>(m)).put_varint(mine.edges);
        }
        if (positions.empty()) continue;
        if (!std::is_sorted(positions.begin(), positions.end()))
          std::sort(positions.begin(), positions.end());
        send_.clear();
        if constexpr (!std::is_empty_v<Spread>) {
          for (std::uint32_t position : positions) send_.push_back(values_[hop.down[m][position]]);
        }
        counts_.values_spread += positions.size();
        encode<Spread>(out.to(static_cast<int>(m)), static_cast<std::uint32_t>(hop.down[m].size()), positions,
                       send_, coding());
        positions.clear();
      }
      const cluster::Inbox in = me.exchange(std::move(out));
      for (std::size_t m = 0; m < machines; ++m) {
        const auto& list = hop.up[m];
        cluster::Reader reader = in.from(static_cast<int>(m));
        if (riding && h == 0 && static_cast<int>(m) != me.id()) {
          size.vertices += reader.get_varint();
          size.edges += reader.get_varint();
        }
        decode<Spread>(reader, static_cast<std::uint32_t>(list.size()),
                       [&](std::uint32_t position, const Spread& value) {
                         activate(list[position], value);
                         if (policy_ == Policy::any)
                           done_.set(list[position]);  // it was reached: its owner spreads it
                       });
      }
      if (size.vertices == 0) break;
    }
    return size;
  }

  template <typename E>
  void contribute(LocalId v, const Update& update, const E& edges) {
    if (touched_.insert(v)) {
      updates_[v] = update;
      touches_.push_back(v);
    } else {
      updates_[v] = edges.merge(updates_[v], update);
    }
  }

  template <typename E>
  bool wanted(LocalId v, const E& edges) const {
    if (v < g_.owned()) return edges.cond(v);
    return policy_ == Policy::all || !g_.options().skip_done || !done_.test(v);
  }

  template <typename E>
  void compute_sparse(const E& edges) {
    const Csr& out = g_.out();
    for (LocalId u : actives_) {
      const auto from = origin(u);
      counts_.edges_visited += out.offsets[u + 1] - out.offsets[u];
      for (std::uint64_t i = out.offsets[u]; i < out.offsets[u + 1]; ++i) {
        const LocalId v = out.targets[i];
        if (wanted(v, edges)) contribute(v, edges.along(from, out.weight(i)), edges);
      }
    }
  }

  template <typename E>
  void compute_dense(const E& edges, bool everyone) {
    const Csr& in = g_.in();
    const bool stop_early = policy_ == Policy::any && g_.options().early_exit;
    for (LocalId v = 0; v < g_.locals(); ++v) {
      const std::uint64_t begin = in.offsets[v], end = in.offsets[v + 1];
      if (begin == end || !wanted(v, edges)) continue;
      std::uint64_t i = begin;
      if (!everyone) {
        while (i < end && !active_.test(in.targets[i])) ++i;
      }
      if (i == end) {
        counts_.edges_visited += end - begin;
        continue;
      }
      Update update = edges.along(origin(in.targets[i]), in.weight(i));
      for (++i; i < end && !stop_early; ++i) {
        if (everyone || active_.test(in.targets[i]))
          update = edges.merge(update, edges.along(origin(in.targets[i]), in.weight(i)));
      }
      counts_.edges_visited += i - begin;
      touched_.set(v);
      updates_[v] = update;
      touches_.push_back(v);
    }
  }

  template <typename E>
  void collect(const E& edges) {
    cluster::Machine& me = g_.machine();
    const auto machines = static_cast<std::size_t>(me.machines());
    const Routes& routes = g_.target_routes();
    const LocalId owned = g_.owned();
    if (policy_ == Policy::any) {
      for (LocalId v : touches_) {
        if (v >= owned) done_.set(v);
      }
    }
    for (std::size_t h = routes.hops.size(); h-- > 0;) {
      const Hop& hop = routes.hops[h];
      order_touches();
      for (auto it = std::lower_bound(touches_.begin(), touches_.end(), owned); it != touches_.end(); ++it) {
        if (routes.parent_hop[*it - owned] != static_cast<std::int32_t>(h)) continue;
        const Stop& stop = routes.parent[*it - owned];
        stops_[static_cast<std::size_t>(stop.machine)].push_back(stop.position);
      }
      cluster::Outbox out = me.outbox();
      for (std::size_t m = 0; m < machines; ++m) {
        auto& positions = stops_[m];
        if (positions.empty()) continue;
        collected_.clear();
        for (std::uint32_t position : positions) collected_.push_back(updates_[hop.up[m][position]]);
        counts_.values_collected += positions.size();
        encode<Update>(out.to(static_cast<int>(m)), static_cast<std::uint32_t>(hop.up[m].size()), positions,
                       collected_, coding());
        positions.clear();
      }
      const cluster::Inbox in = me.exchange(std::move(out));
      for (std::size_t m = 0; m < machines; ++m) {
        const auto& list = hop.down[m];
        decode<Update>(
            in.from(static_cast<int>(m)), static_cast<std::uint32_t>(list.size()),
            [&](std::uint32_t position, const Update& update) { contribute(list[position], update, edges); });
      }
    }
  }

  template <typename E>
  VertexSubset finish(const E& edges) {
    std::vector<LocalId> changed;
    order_touches();
    for (LocalId v : touches_) {
      touched_.reset(v);
      if (v < g_.owned() && edges.cond(v) && edges.apply(v, updates_[v])) changed.push_back(v);
    }
    touches_.clear();
    if (g_.options().fuse_reduce) return VertexSubset::pending(g_, std::move(changed));
    return VertexSubset::of(g_, std::move(changed));
  }

  void order_touches() {
    if (touches_.size() <= g_.locals() / 64) {
      std::sort(touches_.begin(), touches_.end());
      return;
    }
    touches_.clear();
    touched_.for_each(g_.locals(), [&](std::size_t v) { touches_.push_back(static_cast<LocalId>(v)); });
  }

  const DistGraph& g_;
  const Policy policy_;
  std::vector<Spread> values_;   // of active vertices
  std::vector<Update> updates_;  // of touched vertices
  Bits active_, touched_, done_;
  std::vector<LocalId> actives_, touches_;
  std::vector<std::vector<std::uint32_t>> stops_;
  std::vector<Spread> send_;
  std::vector<Update> collected_;
  RoundCounts counts_;
};

/// vertexMap: the owned members for which use(v) is true. Collective.
template <typename Use>
VertexSubset vertex_map(const DistGraph& g, const VertexSubset& subset, Use use) {
  std::vector<LocalId> kept;
  for (LocalId v : subset.members()) {
    if (use(v)) kept.push_back(v);
  }
  return VertexSubset::of(g, std::move(kept));
}

}  // namespace ballast::graph
