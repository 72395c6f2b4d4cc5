#include "ballast/graph/algorithms/staged.h"

#include <cmath>

#include "ballast/base/cli.h"

namespace ballast::graph {
namespace {

using cluster::Machine;

std::uint64_t sum(std::uint64_t a, std::uint64_t b) {
  return a + b;
}

/// Out-degrees, themselves counted by a stage: every edge adds one to its source.
struct CountDegree {
  using Key = VertexId;
  using Context = orch::None;
  using Item = std::uint32_t;
  using Update = std::uint32_t;
  using Reply = orch::None;
  static Reply run(const Context&, const Item&, orch::Emit<CountDegree>& out) {
    out.self(1);
    return {};
  }
  static Update merge(Update a, Update b) { return a + b; }
  static void apply(Item& item, Update u) { item += u; }
};

/// An edge of bfs fires in the round after its source was reached; its reply says that it need not be asked
/// again.
struct Visit {
  using Key = VertexId;
  struct Context {
    VertexId target;
    std::uint32_t level;  // of the target, if this edge is on a shortest path
  };
  struct Item {
    std::uint32_t level = kUnreached;
    VertexId parent = kNoVertex;
  };
  struct Update {
    std::uint32_t level;
    VertexId parent;
  };
  using Reply = std::uint8_t;  // 1: the source is reached, the edge is done
  static Reply run(const Context& c, const Item& source, orch::Emit<Visit>& out) {
    if (source.level == kUnreached) return 0;
    out.to(c.target, {c.level, out.key()});
    return 1;
  }
  static Update merge(Update a, Update b) { return a.parent < b.parent ? a : b; }
  static void apply(Item& item, Update u) {
    if (item.level == kUnreached) item = {u.level, u.parent};
  }
};

/// Minimum labels along edges; only labels that fell in the last round travel on.
struct Propagate {
  using Key = VertexId;
  struct Context {
    VertexId target;
    std::uint32_t round;
  };
  struct Item {
    VertexId label = 0;
    std::uint32_t fell = 0;  // the round in which the label fell; 0: it is the vertex's own
  };
  struct Update {
    VertexId label;
    std::uint32_t round;
  };
  using Reply = orch::None;
  static Reply run(const Context& c, const Item& source, orch::Emit<Propagate>& out) {
    if (source.fell + 1 == c.round) out.to(c.target, {source.label, c.round});
    return {};
  }
  static Update merge(Update a, Update b) { return a.label < b.label ? a : b; }
  static void apply(Item& item, Update u) {
    if (u.label < item.label) item = {u.label, u.round};
  }
};

/// A rank's share flows along every edge.
struct Flow {
  using Key = VertexId;
  using Context = VertexId;  // the target
  struct Item {
    double share = 0;  // rank / out-degree
    double sum = 0;    // of the shares that came in
  };
  using Update = double;
  using Reply = orch::None;
  static Reply run(const Context& target, const Item& source, orch::Emit<Flow>& out) {
    out.to(target, source.share);
    return {};
  }
  static Update merge(Update a, Update b) { return a + b; }
  static void apply(Item& item, Update u) { item.sum += u; }
};

std::vector<Edge> directed_part(const Machine& me, const EdgeSource& source, bool both) {
  std::vector<Edge> edges = source.part(me.id(), me.machines()).edges;
  const std::size_t count = edges.size();
  for (std::size_t i = 0; i < count && both; ++i) {
    if (edges[i].source != edges[i].target) edges.push_back({edges[i].target, edges[i].source});
  }
  return edges;
}

// One stage; its tasks and balance are noted.
template <typename C>
void round(Machine& me, orch::ArrayStore<C>& store, orch::Batch<C>& batch, const orch::Options& options,
           Staged& result) {
  cli::stop_if_interrupted();
  const orch::StageReport report = orch::run(me, store, batch, options);
  ++result.rounds;
  result.tasks += report.total().executed;
  result.imbalance = std::max(result.imbalance, report.imbalance());
}

void staged_bfs(Machine& me, std::vector<Edge> edges, std::uint64_t n, VertexId source,
                const orch::Options& options, Staged& result) {
  orch::ArrayStore<Visit> store(me, n);
  if (store.find(source) != nullptr) store.make(source) = {0, source};
  auto reached = [&] {
    std::uint64_t count = 0;
    for (const Visit::Item& item : store.local()) count += item.level != kUnreached;
    return me.allreduce(count, sum);
  };
  std::uint64_t before = 0, now = reached();
  for (std::uint32_t level = 1; now != before; ++level) {
    orch::Batch<Visit> batch;
    batch.reserve(edges.size());
    for (const Edge& e : edges) batch.add(e.source, {e.target, level});
    round(me, store, batch, options, result);
    std::size_t kept = 0;
    for (std::size_t i = 0; i < edges.size(); ++i) {
      if (batch.reply(i) == 0) edges[kept++] = edges[i];
    }
    edges.resize(kept);
    before = now;
    now = reached();
  }
  result.first = store.first();
  for (const Visit::Item& item : store.local()) {
    result.levels.push_back(item.level);
    result.parents.push_back(item.parent);
  }
}

void staged_cc(Machine& me, const std::vector<Edge>& edges, std::uint64_t n, const orch::Options& options,
               Staged& result) {
  orch::ArrayStore<Propagate> store(me, n);
  for (std::size_t i = 0; i < store.local().size(); ++i)
    store.local()[i].label = static_cast<VertexId>(store.first() + i);
  std::uint64_t fell = n;
  for (std::uint32_t number = 1; fell > 0; ++number) {
    orch::Batch<Propagate> batch;
    batch.reserve(edges.size());
    for (const Edge& e : edges) batch.add(e.source, {e.target, number});
    round(me, store, batch, options, result);
    fell = 0;
    for (const Propagate::Item& item : store.local()) fell += item.fell == number;
    fell = me.allreduce(fell, sum);
  }
  result.first = store.first();
  for (const Propagate::Item& item : store.local()) result.labels.push_back(item.label);
}

void staged_pr(Machine& me, const std::vector<Edge>& edges, std::uint64_t n, const RankOptions& rank,
               const orch::Options& options, Staged& result) {
  orch::ArrayStore<CountDegree> degrees(me, n);
  {
    orch::Batch<CountDegree> batch;
    for (const Edge& e : edges) batch.add(e.source, {});
    orch::run(me, degrees, batch, options);
  }
  orch::ArrayStore<Flow> store(me, n);
  auto add = [](double a, double b) { return a + b; };
  const double size = static_cast<double>(n);
  result.first = store.first();
  result.ranks.assign(store.local().size(), 1 / size);
  orch::Batch<Flow> batch;
  batch.reserve(edges.size());
  for (const Edge& e : edges) batch.add(e.source, e.target);
  for (int i = 0; i < rank.iterations && n > 0; ++i) {
    double sinks = 0, change = 0;
    for (std::size_t v = 0; v < store.local().size(); ++v) {
      const std::uint32_t degree = degrees.local()[v];
      if (degree == 0) sinks += result.ranks[v];
      store.local()[v] = {degree == 0 ? 0 : result.ranks[v] / degree, 0};
    }
    sinks = me.allreduce(sinks, add);
    round(me, store, batch, options, result);
    const double base = (1 - rank.damping) / size + rank.damping * sinks / size;
    for (std::size_t v = 0; v < store.local().size(); ++v) {
      const double next = base + rank.damping * store.local()[v].sum;
      change += std::abs(next - result.ranks[v]);
      result.ranks[v] = next;
    }
    if (rank.tolerance > 0 && me.allreduce(change, add) < rank.tolerance) break;
  }
}

}  // namespace

Staged run_staged(Machine& me, const EdgeSource& source, const std::string& algorithm,
                  const orch::Options& options, VertexId bfs_source, const RankOptions& rank) {
  cli::require_one_of("algorithm in stages", algorithm, {"bfs", "cc", "pr"});
  me.begin_stage("read");
  const std::uint64_t n = source.vertices();
  const std::vector<Edge> edges = directed_part(me, source, algorithm == "cc" || !source.directed());
  Staged result;
  if (algorithm == "bfs") staged_bfs(me, edges, n, bfs_source, options, result);
  if (algorithm == "cc") staged_cc(me, edges, n, options, result);
  if (algorithm == "pr") staged_pr(me, edges, n, rank, options, result);
  return result;
}

}  // namespace ballast::graph
