// The local half of edgeMap (techniques L1-L4, L7): from the values of active vertices to one merged
// contribution for each target, over the rows of one machine, on its threads.
//
// Sparse: active sources walk their out-edges. Dense: targets scan their in-edges. Either may be limited to
// inner or outer ends (rows.h), so that what needs no message is computed first. Results do not depend on the
// number of threads: blocks of targets are disjoint; a sparse loop on several threads sorts contributions by
// ranges of targets and merges each range in the order of its sources; the sum of a row longer than
// kLongRow is always the sum of the sums of its pieces.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "ballast/graph/dist/bits.h"
#include "ballast/graph/dist/dist_graph.h"

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
  all,   ///< every contribution counts
  once,  ///< a vertex that has changed takes contributions of later rounds no more
  any    ///< as `once`, and one contribution is as good as all
};

/// What the rounds of one EdgeMap did, on this machine.
struct RoundCounts {
  std::uint64_t rounds = 0, dense_rounds = 0;
  std::uint64_t edges_visited = 0;  ///< adjacency entries looked at
  std::uint64_t values_spread = 0, values_collected = 0;
};

template <typename Spread, typename Update>
class Compute {
 protected:
  Compute(const DistGraph& g, Policy policy)
      : g_(g),
        policy_(policy),
        tracks_done_(policy == Policy::any ? g.options().skip_done
                                           : policy == Policy::once && g.options().finished_bits),
        values_(std::is_empty_v<Spread> ? 0 : g.locals()),
        updates_(g.locals()),
        active_(g.locals()),
        touched_(g.locals()),
        done_(policy == Policy::all ? 0 : g.locals()) {
    first_touch(values_);
    first_touch(updates_);
  }

  /// Targets from..to-1, or only sources numbered from..to-1.
  struct Range {
    LocalId from, to;
  };

  void activate(LocalId v, const Spread& value) {
    if constexpr (!std::is_empty_v<Spread>) values_[v] = value;
    if (everyone_) return;  // no one asks who is active
    if (active_.insert(v)) actives_.push_back(v);
  }
  void clear_active() {
    for (LocalId v : actives_) active_.reset(v);
    actives_.clear();
    everyone_ = false;
  }

  template <typename E>
  void contribute(LocalId v, const Update& update, const E& edges) {
    merge_into(v, update, edges, touches_);
  }

  template <typename E>
  void sparse(const E& edges, std::span<const LocalId> actives, Part part) {
    std::uint64_t entries = 0;
    for (LocalId u : actives) entries += g_.out().degree(u, part);
    counts_.edges_visited += entries;
    if (entries == 0) return;
    if (!g_.options().unique_touches) {
      sparse_by_sorting(edges, actives, part);
    } else if (g_.workers().threads() > 1 && entries >= kWorthThreads) {
      sparse_on_threads(edges, actives, part, entries);
    } else {
      for (LocalId u : actives) {
        scan_sparse(edges, u, g_.out().begin(u, part), g_.out().end(u, part),
                    [&](LocalId v, const Update& update) { contribute(v, update, edges); });
      }
    }
  }

  /// Of the targets in `targets`, over the sources in `sources` only.
  template <typename E>
  void dense(const E& edges, Range targets, Part part, Range sources) {
    if (part == Part::outer && g_.in().outer_entries() == 0) return;
    const auto work = [&](Range block, std::vector<LocalId>& touches, std::uint64_t& visited) {
      for (LocalId v = block.from; v < block.to; ++v) scan_dense(edges, v, part, sources, touches, visited);
    };
    const std::uint64_t entries = g_.in().offsets()[targets.to] - g_.in().offsets()[targets.from];
    if (g_.workers().threads() == 1 || entries < kWorthThreads) {
      work(targets, touches_, counts_.edges_visited);
      return;
    }
    const std::vector<LocalId> bounds = blocks(targets);
    std::vector<std::vector<LocalId>> touches(bounds.size() - 1);
    std::vector<std::uint64_t> visited(bounds.size() - 1, 0);
    g_.workers().run(touches.size(), [&](std::size_t b) {
      work({bounds[b], bounds[b + 1]}, touches[b], visited[b]);
    });
    for (std::size_t b = 0; b < touches.size(); ++b) {
      touches_.insert(touches_.end(), touches[b].begin(), touches[b].end());
      counts_.edges_visited += visited[b];
    }
  }

  /// Puts the touched vertices in rising order: a short list by sorting, a long one from its bits (L3).
  void order_touches() {
    if (!g_.options().bitmaps || touches_.size() <= g_.locals() / 64) {
      std::sort(touches_.begin(), touches_.end());
      return;
    }
    touches_.clear();
    touched_.for_each(g_.locals(), [&](std::size_t v) { touches_.push_back(static_cast<LocalId>(v)); });
  }

  const DistGraph& g_;
  const Policy policy_;
  const bool tracks_done_;  // mirrors know which of them are settled
  Untidy<Spread> values_;   // of active vertices
  Untidy<Update> updates_;  // of touched vertices
  Bits active_, touched_, done_;
  bool everyone_ = false;  // all vertices are active, and the round is dense
  std::vector<LocalId> actives_, touches_;
  RoundCounts counts_;

 private:
  static constexpr std::uint64_t kLongRow = 1 << 14, kBlockEdges = 1 << 12, kWorthThreads = 1 << 14;

  template <typename T>
  void first_touch(Untidy<T>& values) {
    constexpr std::size_t kBlock = 1 << 12;
    const auto fill = [&](std::size_t b) {
      std::fill(values.begin() + static_cast<std::ptrdiff_t>(b * kBlock),
                values.begin() + static_cast<std::ptrdiff_t>(std::min(values.size(), (b + 1) * kBlock)), T{});
    };
    const std::size_t count = (values.size() + kBlock - 1) / kBlock;
    if (g_.options().first_touch) {
      g_.workers().run(count, fill);
    } else {
      for (std::size_t b = 0; b < count; ++b) fill(b);
    }
  }

  Origin<Spread> origin(LocalId v) const {
    if constexpr (std::is_empty_v<Spread>)
      return {g_.global(v), Spread{}};
    else
      return {g_.global(v), values_[v]};
  }

  template <typename E>
  bool wanted(LocalId v, const E& edges) const {
    if (v < g_.owned()) return edges.cond(v);
    return !tracks_done_ || !done_.test(v);
  }

  template <typename E>
  void merge_into(LocalId v, const Update& update, const E& edges, std::vector<LocalId>& touches) {
    if (touched_.insert(v)) {
      updates_[v] = update;
      touches.push_back(v);
    } else {
      updates_[v] = edges.merge(updates_[v], update);
    }
  }

  template <typename E, typename Use>
  void scan_sparse(const E& edges, LocalId u, std::uint64_t begin, std::uint64_t end, Use use) const {
    const auto from = origin(u);
    const Rows& out = g_.out();
    if (!out.coded()) {
      const LocalId* ends = out.plain().data();
      for (std::uint64_t i = begin; i < end; ++i) {
        if (wanted(ends[i], edges)) use(ends[i], edges.along(from, out.weight(i)));
      }
      return;
    }
    out.scan(u, begin, end, [&](LocalId v, std::uint64_t i) {
      if (wanted(v, edges)) use(v, edges.along(from, out.weight(i)));
      return true;
    });
  }

  template <typename E>
  void scan_dense(const E& edges, LocalId v, Part part, Range sources, std::vector<LocalId>& touches,
                  std::uint64_t& visited) {
    const Rows& in = g_.in();
    std::uint64_t begin = in.begin(v, part), end = in.end(v, part);
    if (begin == end || !wanted(v, edges)) return;
    const bool stop_early = policy_ == Policy::any && g_.options().early_exit;
    if (stop_early && touched_.test(v)) return;
    if (in.coded()) {
      Update sum{};
      bool found = false;
      in.scan(v, begin, end, [&](LocalId u, std::uint64_t i) {
        if (u < sources.from) return true;
        if (u >= sources.to) return false;
        ++visited;
        if (!everyone_ && !active_.test(u)) return true;
        const Update update = edges.along(origin(u), in.weight(i));
        sum = found ? edges.merge(sum, update) : update;
        found = true;
        return !stop_early;
      });
      if (found) merge_into(v, sum, edges, touches);
      return;
    }
    const LocalId* ends = in.plain().data();
    if (sources.from > 0)
      begin = static_cast<std::uint64_t>(std::lower_bound(ends + begin, ends + end, sources.from) - ends);
    if (sources.to < g_.locals())
      end = static_cast<std::uint64_t>(std::lower_bound(ends + begin, ends + end, sources.to) - ends);
    for (std::uint64_t stop; begin < end; begin = stop) {
      stop = std::min(end, begin + kLongRow);
      std::uint64_t i = begin;
      if (!everyone_) {
        while (i < stop && !active_.test(ends[i])) ++i;
      }
      if (i == stop) {
        visited += stop - begin;
        continue;
      }
      Update sum = edges.along(origin(ends[i]), in.weight(i));
      if (stop_early) {
        visited += i + 1 - begin;
        merge_into(v, sum, edges, touches);
        return;
      }
      if (everyone_) {
        for (++i; i < stop; ++i) sum = edges.merge(sum, edges.along(origin(ends[i]), in.weight(i)));
      } else {
        for (++i; i < stop; ++i) {
          if (active_.test(ends[i])) sum = edges.merge(sum, edges.along(origin(ends[i]), in.weight(i)));
        }
      }
      visited += stop - begin;
      merge_into(v, sum, edges, touches);
    }
  }

  // Bounds of blocks of targets with about equal edges, or equal targets. No two blocks share a word of bits.
  std::vector<LocalId> blocks(Range targets) const {
    const auto& offsets = g_.in().offsets();
    const std::uint64_t entries = offsets[targets.to] - offsets[targets.from];
    const std::uint64_t count = std::max<std::uint64_t>(1, entries / kBlockEdges);
    std::vector<LocalId> bounds{targets.from};
    for (std::uint64_t b = 1; b < count; ++b) {
      std::uint64_t bound = targets.from + (targets.to - targets.from) * b / count;
      if (g_.options().balanced_blocks)
        bound = static_cast<std::uint64_t>(
            std::lower_bound(offsets.begin(), offsets.end(), offsets[targets.from] + entries * b / count) -
            offsets.begin());
      bound = bound / 64 * 64;
      if (bound > bounds.back() && bound < targets.to) bounds.push_back(static_cast<LocalId>(bound));
    }
    bounds.push_back(targets.to);
    return bounds;
  }

  // L4 off: every contribution is kept, and equal targets meet by sorting.
  template <typename E>
  void sparse_by_sorting(const E& edges, std::span<const LocalId> actives, Part part) {
    std::vector<std::pair<LocalId, Update>> all;
    for (LocalId u : actives) {
      scan_sparse(edges, u, g_.out().begin(u, part), g_.out().end(u, part),
                  [&](LocalId v, const Update& update) { all.emplace_back(v, update); });
    }
    std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    for (const auto& [v, update] : all) contribute(v, update, edges);
  }

  template <typename E>
  void sparse_on_threads(const E& edges, std::span<const LocalId> actives, Part part, std::uint64_t entries) {
    // Chunks of the actives with about equal edges (long rows are cut), or with equal actives.
    struct Piece {
      LocalId source;
      std::uint64_t begin, end;
    };
    const Rows& out = g_.out();
    const bool balanced = g_.options().balanced_blocks;
    const auto chunks = static_cast<std::size_t>(4 * g_.workers().threads());
    const std::uint64_t most = std::max<std::uint64_t>(1, entries / chunks + 1);
    std::vector<std::vector<Piece>> work(1);
    std::uint64_t filled = 0;
    for (std::size_t k = 0; k < actives.size(); ++k) {
      std::uint64_t begin = out.begin(actives[k], part);
      const std::uint64_t end = out.end(actives[k], part);
      if (!balanced && k * chunks / actives.size() + 1 > work.size()) work.emplace_back();
      while (begin < end) {
        const std::uint64_t stop = balanced && !out.coded() ? std::min(end, begin + most - filled) : end;
        work.back().push_back({actives[k], begin, stop});
        filled += stop - begin;
        begin = stop;
        if (balanced && filled >= most) {
          work.emplace_back();
          filled = 0;
        }
      }
    }
    // Contributions by range of targets, so that each range is merged by one thread in the order of sources.
    int shift = 6;
    while ((std::uint64_t{g_.locals()} >> shift) >= chunks) ++shift;
    const std::size_t ranges = (g_.locals() >> shift) + 1;
    std::vector<std::vector<std::pair<LocalId, Update>>> found(work.size() * ranges);
    g_.workers().run(work.size(), [&](std::size_t w) {
      for (const Piece& piece : work[w]) {
        scan_sparse(edges, piece.source, piece.begin, piece.end, [&](LocalId v, const Update& update) {
          found[w * ranges + (v >> shift)].emplace_back(v, update);
        });
      }
    });
    std::vector<std::vector<LocalId>> touches(ranges);
    g_.workers().run(ranges, [&](std::size_t r) {
      for (std::size_t w = 0; w < work.size(); ++w) {
        for (const auto& [v, update] : found[w * ranges + r]) merge_into(v, update, edges, touches[r]);
      }
    });
    for (const auto& some : touches) touches_.insert(touches_.end(), some.begin(), some.end());
  }
};

}  // namespace ballast::graph
