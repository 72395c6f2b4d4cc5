// edgeMap: one round over the out-edges of a vertex subset (Ligra, Shun and Blelloch, PPoPP 2013; as an
// orchestration stage with replayed routes in TDO-GP).
//
//   EdgeMap<Nothing, VertexId> over(g);                     // what travels along source trees and to targets
//   frontier = over(frontier, Edges{
//       .source = [&](LocalId) { return Nothing{}; },                     // at the owner of an active vertex
//       .along  = [&](Origin<Nothing> u, double) { return u.id; },        // for one edge: its contribution
//       .merge  = [](VertexId a, VertexId b) { return std::min(a, b); },  // associative and commutative
//       .cond   = [&](LocalId v) { return parent[v] == kNoVertex; },      // at the owner: of interest still?
//       .apply  = [&](LocalId v, VertexId p) { parent[v] = p; return true; }});   // at the owner; changed?
//
// A round in two steps: values of active vertices go down the source trees to the machines that hold their
// edges (spread); contributions climb the destination trees, merged where they meet (collect); owners apply.
//
// A direct round (C5), where every edge lies with its source's or its target's owner: contributions to
// foreign targets come from own sources alone, so they leave together with the values that foreign edges
// need, and one exchange makes the round. What needs no message is computed while it is on its way (C2), and
// a round of all vertices may be sent in parts, in the order of a ring (C1).
//
// The returned subset is the vertices for which apply said "changed". Collective. How large the frontier is
// in the whole graph rides on the next round's exchange (C3). After a dense round of a search, the next one
// is in two steps and tells mirrors which targets are settled (G4): nothing is computed or sent for those.
//
// `along` and `cond` may be called on several threads at once. With doubles and sums, results are the same
// bits for equal (P, partition, fan-out), whatever the number of threads.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "ballast/graph/dist/coding.h"
#include "ballast/graph/dist/compute.h"
#include "ballast/graph/dist/vertex_subset.h"

namespace ballast::graph {

template <typename Spread, typename Update>
class EdgeMap : private Compute<Spread, Update> {
  using Base = Compute<Spread, Update>;
  using Base::active_, Base::actives_, Base::counts_, Base::done_, Base::everyone_, Base::g_, Base::policy_,
      Base::touched_, Base::touches_, Base::tracks_done_, Base::updates_, Base::values_;
  using typename Base::Range;

 public:
  explicit EdgeMap(const DistGraph& g, Policy policy = Policy::all) : Base(g, policy) {
    positions_.resize(static_cast<std::size_t>(g.machine().machines()));
  }

  template <typename E>
  VertexSubset operator()(const VertexSubset& frontier, const E& edges) {
    Size size{frontier.size(), frontier.out_edges()};
    if (!frontier.is_pending() && size.vertices == 0) return {};
    everyone_ = !frontier.is_pending() && size.vertices == g_.vertices() && is_dense(size);
    for (LocalId v : frontier.members()) this->activate(v, edges.source(v));
    const bool settled = tracks_done_ && g_.options().finished_bits && last_dense_;
    const bool direct = g_.one_hop() && g_.options().direct_rounds && !settled;
    size = direct ? direct_round(frontier, size, edges) : two_steps(frontier, size, edges);
    this->clear_active();
    if (size.vertices == 0) return {};
    last_dense_ = is_dense(size);
    ++counts_.rounds;
    counts_.dense_rounds += last_dense_;
    return finish(edges);
  }

  const RoundCounts& counts() const { return counts_; }
  /// Forgets which vertices are settled: before another search.
  void restart() {
    done_.clear();
    last_dense_ = false;
  }

 private:
  /// Of a frontier in the whole graph.
  struct Size {
    std::uint64_t vertices = 0, edges = 0;
    static Size add(Size a, Size b) { return {a.vertices + b.vertices, a.edges + b.edges}; }
  };
  /// What a message holds; its first byte.
  static constexpr std::uint8_t kSizes = 1, kSpread = 2, kSettled = 4, kCollected = 8;

  CodingOptions coding() const { return {g_.options().code_positions, g_.options().code_values}; }
  bool is_dense(Size size) const {
    const double threshold = g_.options().dense_threshold;
    return g_.options().always_dense ||
           (threshold > 0 &&
            static_cast<double>(size.vertices + size.edges) * threshold > static_cast<double>(g_.edges()));
  }
  /// The same rule over the edges of this machine that one step may look at.
  bool is_dense_here(std::span<const LocalId> actives, Part part, std::uint64_t entries) const {
    const double threshold = g_.options().dense_threshold;
    if (everyone_ || g_.options().always_dense || threshold <= 0)
      return everyone_ || g_.options().always_dense;
    std::uint64_t edges = actives.size();
    for (LocalId u : actives) edges += g_.out().degree(u, part);
    return static_cast<double>(edges) * threshold > static_cast<double>(entries);
  }
  Range all_sources() const { return {0, g_.locals()}; }

  // ---- one exchange -------------------------------------------------------------------------------------

  template <typename E>
  Size direct_round(const VertexSubset& frontier, Size size, const E& edges) {
    cluster::Machine& me = g_.machine();
    const int machines = me.machines();
    const LocalId owned = g_.owned(), locals = g_.locals();
    const DistOptions& options = g_.options();
    const std::span<const LocalId> own = actives_;
    const auto own_count = static_cast<std::ptrdiff_t>(actives_.size());

    // Contributions to foreign targets.
    if (machines > 1) {
      if (is_dense_here(own, Part::outer, g_.out().outer_entries())) {
        this->dense(edges, {owned, locals}, Part::inner, all_sources());
      } else {
        this->sparse(edges, own, Part::outer);
      }
    }
    cluster::Outbox first = me.outbox(), second = me.outbox();
    const bool riding = frontier.is_pending() && machines > 1;
    const int chunks =
        everyone_ && options.own_part_first && machines > 2 ? std::min(options.ring_chunks, 2) : 1;
    const int near = chunks == 2 ? machines / 2 : machines - 1;  // machines of the first part of the ring
    write_messages(riding ? &size : nullptr, [&](int m) -> cluster::Buffer& {
      return ((m - me.id() + machines) % machines <= near ? first : second).to(m);
    });
    me.add_cpu_ns(g_.workers().take_cpu_ns());

    const auto own_part = [&] {
      const std::span<const LocalId> members(actives_.data(), static_cast<std::size_t>(own_count));
      if (is_dense_here(members, Part::inner, g_.out().entries() - g_.out().outer_entries())) {
        this->dense(edges, {0, owned}, Part::inner, all_sources());
      } else {
        this->sparse(edges, members, Part::inner);
      }
    };
    std::vector<cluster::Reader> collected(static_cast<std::size_t>(machines));
    cluster::Inbox in, rest;
    if (machines == 1) {
      own_part();
    } else if (options.own_part_first && g_.in().entries() >= kWorthOverlap) {
      g_.workers().beside(own_part, [&] { in = me.exchange(std::move(first)); });
    } else {
      in = me.exchange(std::move(first));
      own_part();
    }
    if (machines > 1) size = read_messages(in, riding, size, collected);
    if (size.vertices == 0) return size;

    // Foreign sources of owned targets.
    const std::span<const LocalId> came(actives_.data() + own_count,
                                        actives_.size() - static_cast<std::size_t>(own_count));
    const auto foreign_part = [&](Range sources) {
      if (is_dense(size)) {
        this->dense(edges, {0, owned}, Part::outer, sources);
      } else {
        this->sparse(edges, came, Part::inner);
      }
    };
    if (chunks == 2) {
      const LocalId bound = g_.ring_end(near);
      g_.workers().beside(
          [&] {
            foreign_part({owned, bound});
          },
          [&] { rest = me.exchange(std::move(second)); });
      read_messages(rest, false, size, collected);
      foreign_part({bound, locals});
    } else if (machines > 1) {
      foreign_part({owned, locals});
    }
    if (!g_.target_routes().hops.empty()) {
      const Hop& hop = g_.target_routes().hops[0];
      for (int m = 0; m < machines; ++m)
        take_collected(collected[static_cast<std::size_t>(m)], hop.down[static_cast<std::size_t>(m)], edges);
    }
    me.add_cpu_ns(g_.workers().take_cpu_ns());
    return size;
  }

  /// The messages of a direct round: sizes, values of active vertices, contributions. Mirrors are untouched
  /// after that.
  template <typename To>
  void write_messages(const Size* sizes, To to) {
    const int machines = g_.machine().machines();
    const auto &down = g_.source_routes().hops, &up = g_.target_routes().hops;
    std::vector<std::vector<std::uint32_t>> gathered(static_cast<std::size_t>(machines));
    this->order_touches();
    for (LocalId v : touches_) {
      touched_.reset(v);
      if (policy_ == Policy::any) done_.set(v);
      const Stop& stop = g_.target_routes().parent[v - g_.owned()];
      gathered[static_cast<std::size_t>(stop.machine)].push_back(stop.position);
    }
    touches_.clear();
    if (!down.empty()) choose_positions(down[0]);
    for (int m = 0; m < machines; ++m) {
      const auto at = static_cast<std::size_t>(m);
      if (m == g_.machine().id()) continue;
      if (sizes == nullptr && positions_[at].empty() && gathered[at].empty()) continue;
      cluster::Buffer& out = to(m);
      out.put(static_cast<std::uint8_t>((sizes != nullptr ? kSizes : 0) |
                                        (positions_[at].empty() ? 0 : kSpread) |
                                        (gathered[at].empty() ? 0 : kCollected)));
      if (sizes != nullptr) {
        out.put_varint(sizes->vertices);
        out.put_varint(sizes->edges);
      }
      if (!down.empty()) put_spread(out, down[0].down[at], positions_[at]);
      if (!up.empty()) put_collected(out, up[0].up[at], gathered[at]);
    }
  }

  /// Activates the mirrors whose values came; contributions are left in `collected`.
  Size read_messages(const cluster::Inbox& in, bool riding, Size size,
                     std::vector<cluster::Reader>& collected) {
    const int machines = in.machines(), me = g_.machine().id();
    for (int back = 1; back < machines; ++back) {  // in the order of mirrors' numbers
      const int m = (me - back + machines) % machines;
      cluster::Reader reader = in.from(m);
      if (reader.empty()) continue;
      const auto holds = reader.get<std::uint8_t>();
      if (riding && (holds & kSizes) != 0) {
        size.vertices += reader.get_varint();
        size.edges += reader.get_varint();
      }
      if ((holds & kSpread) != 0) take_spread(reader, g_.source_routes().hops.at(0), m);
      if ((holds & kCollected) != 0) collected[static_cast<std::size_t>(m)] = reader;
    }
    return size;
  }

  // ---- two steps ----------------------------------------------------------------------------------------

  template <typename E>
  Size two_steps(const VertexSubset& frontier, Size size, const E& edges) {
    size = spread(frontier, size);
    if (size.vertices == 0) return size;
    if (is_dense(size)) {
      this->dense(edges, {0, g_.locals()}, Part::inner, all_sources());
      this->dense(edges, {0, g_.locals()}, Part::outer, all_sources());
    } else {
      this->sparse(edges, actives_, Part::both);
    }
    collect(edges);
    return size;
  }

  // Returns the size of the frontier. What a pending one lacks rides on the first exchange; without source
  // trees it takes an allreduce.
  Size spread(const VertexSubset& frontier, Size size) {
    cluster::Machine& me = g_.machine();
    const auto machines = static_cast<std::size_t>(me.machines());
    const Routes& routes = g_.source_routes();
    const bool telling = tracks_done_ && g_.options().finished_bits && g_.one_hop();
    const std::size_t hops = std::max(routes.hops.size(), std::size_t{telling && has_targets()});
    const bool riding = frontier.is_pending() && hops > 0;
    if (frontier.is_pending() && !riding) size = me.allreduce(size, Size::add);
    const Size mine = size;
    for (std::size_t h = 0; h < hops && (size.vertices > 0 || riding); ++h) {
      const bool routed = h < routes.hops.size();
      if (routed) choose_positions(routes.hops[h]);
      std::vector<std::vector<std::uint32_t>> settled(machines);
      if (telling) choose_settled(frontier, settled);
      cluster::Outbox out = me.outbox();
      for (std::size_t m = 0; m < machines; ++m) {
        const bool sizes = riding && h == 0 && static_cast<int>(m) != me.id();
        if (!sizes && positions_[m].empty() && settled[m].empty()) continue;
        cluster::Buffer& buffer = out.to(static_cast<int>(m));
        buffer.put(static_cast<std::uint8_t>((sizes ? kSizes : 0) | (positions_[m].empty() ? 0 : kSpread) |
                                             (settled[m].empty() ? 0 : kSettled)));
        if (sizes) {
          buffer.put_varint(mine.vertices);
          buffer.put_varint(mine.edges);
        }
        if (routed) put_spread(buffer, routes.hops[h].down[m], positions_[m]);
        if (!settled[m].empty())
          encode<Nothing>(buffer, static_cast<std::uint32_t>(g_.target_routes().hops[0].down[m].size()),
                          settled[m], {}, coding());
      }
      const cluster::Inbox in = me.exchange(std::move(out));
      const int count = in.machines();
      for (int back = 0; back < count; ++back) {
        const int m = (me.id() - back + count) % count;
        cluster::Reader reader = in.from(m);
        if (reader.empty()) continue;
        const auto holds = reader.get<std::uint8_t>();
        if ((holds & kSizes) != 0) {
          size.vertices += reader.get_varint();
          size.edges += reader.get_varint();
        }
        if ((holds & kSpread) != 0) take_spread(reader, routes.hops.at(h), m);
        if ((holds & kSettled) != 0) {
          const auto& list = g_.target_routes().hops.at(0).up[static_cast<std::size_t>(m)];
          decode<Nothing>(reader, static_cast<std::uint32_t>(list.size()),
                          [&](std::uint32_t position, Nothing) { done_.set(list[position]); });
        }
      }
      if (size.vertices == 0) break;
    }
    return size;
  }

  bool has_targets() const { return !g_.target_routes().hops.empty(); }

  // G4: members of the frontier are settled; mirrors that are targets only hear it here.
  void choose_settled(const VertexSubset& frontier, std::vector<std::vector<std::uint32_t>>& settled) const {
    if (!has_targets()) return;
    const Hop& hop = g_.target_routes().hops[0];
    for (LocalId v : frontier.members()) {
      for (std::uint32_t i = hop.first[v]; i < hop.first[v + 1]; ++i) {
        if (g_.silent_targets()[i])
          settled[static_cast<std::size_t>(hop.stops[i].machine)].push_back(hop.stops[i].position);
      }
    }
    for (auto& positions : settled) put_in_order(positions);
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
      this->order_touches();
      for (auto it = std::lower_bound(touches_.begin(), touches_.end(), owned); it != touches_.end(); ++it) {
        if (routes.parent_hop[*it - owned] != static_cast<std::int32_t>(h)) continue;
        const Stop& stop = routes.parent[*it - owned];
        positions_[static_cast<std::size_t>(stop.machine)].push_back(stop.position);
      }
      cluster::Outbox out = me.outbox();
      for (std::size_t m = 0; m < machines; ++m) {
        if (!positions_[m].empty()) put_collected(out.to(static_cast<int>(m)), hop.up[m], positions_[m]);
      }
      me.add_cpu_ns(g_.workers().take_cpu_ns());
      const cluster::Inbox in = me.exchange(std::move(out));
      for (std::size_t m = 0; m < machines; ++m) {
        cluster::Reader reader = in.from(static_cast<int>(m));
        take_collected(reader, hop.down[m], edges);
      }
    }
  }

  // ---- messages -----------------------------------------------------------------------------------------

  static void put_in_order(std::vector<std::uint32_t>& positions) {
    if (!std::is_sorted(positions.begin(), positions.end())) std::sort(positions.begin(), positions.end());
  }

  /// By machine, the positions of active vertices in the lists of one hop.
  void choose_positions(const Hop& hop) {
    if (everyone_) {
      for (std::size_t m = 0; m < positions_.size(); ++m) {
        positions_[m].resize(hop.down[m].size());
        for (std::uint32_t i = 0; i < positions_[m].size(); ++i) positions_[m][i] = i;
      }
      return;
    }
    for (LocalId v : actives_) {
      for (std::uint32_t i = hop.first[v]; i < hop.first[v + 1]; ++i)
        positions_[static_cast<std::size_t>(hop.stops[i].machine)].push_back(hop.stops[i].position);
    }
  }

  void put_spread(cluster::Buffer& out, const std::vector<LocalId>& list,
                  std::vector<std::uint32_t>& positions) {
    put_in_order(positions);
    send_.clear();
    if constexpr (!std::is_empty_v<Spread>) {
      for (std::uint32_t position : positions) send_.push_back(values_[list[position]]);
    }
    counts_.values_spread += positions.size();
    encode<Spread>(out, static_cast<std::uint32_t>(list.size()), positions, send_, coding());
    positions.clear();
  }
  void take_spread(cluster::Reader& reader, const Hop& hop, int from) {
    const auto& list = hop.up[static_cast<std::size_t>(from)];
    decode<Spread>(reader, static_cast<std::uint32_t>(list.size()),
                   [&](std::uint32_t position, const Spread& value) {
                     this->activate(list[position], value);
                     if (tracks_done_) done_.set(list[position]);  // its owner spreads it: it was reached
                   });
  }
  void put_collected(cluster::Buffer& out, const std::vector<LocalId>& list,
                     std::vector<std::uint32_t>& positions) {
    put_in_order(positions);
    collected_.clear();
    for (std::uint32_t position : positions) collected_.push_back(updates_[list[position]]);
    counts_.values_collected += positions.size();
    encode<Update>(out, static_cast<std::uint32_t>(list.size()), positions, collected_, coding());
    positions.clear();
  }
  template <typename E>
  void take_collected(cluster::Reader& reader, const std::vector<LocalId>& list, const E& edges) {
    decode<Update>(reader, static_cast<std::uint32_t>(list.size()),
                   [&](std::uint32_t position, const Update& update) {
                     this->contribute(list[position], update, edges);
                   });
  }

  template <typename E>
  VertexSubset finish(const E& edges) {
    std::vector<LocalId> changed;
    this->order_touches();
    for (LocalId v : touches_) {
      touched_.reset(v);
      if (v < g_.owned() && edges.cond(v) && edges.apply(v, updates_[v])) changed.push_back(v);
    }
    touches_.clear();
    if (g_.options().fuse_reduce) return VertexSubset::pending(g_, std::move(changed));
    return VertexSubset::of(g_, std::move(changed));
  }

  static constexpr std::uint64_t kWorthOverlap = 1 << 15;  // edges of this machine

  bool last_dense_ = false;
  std::vector<std::vector<std::uint32_t>> positions_;
  std::vector<Spread> send_;
  std::vector<Update> collected_;
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
