#include "ballast/graph/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <mutex>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/graph/algorithms/staged.h"
#include "ballast/graph/sequential/sequential.h"

namespace ballast::graph {
namespace {

template <typename T>
std::vector<std::int64_t> as_integers(const std::vector<T>& values) {
  return std::vector<std::int64_t>(values.begin(), values.end());
}

std::vector<std::int64_t> ldbc_levels(const std::vector<std::uint32_t>& levels) {
  std::vector<std::int64_t> result;
  result.reserve(levels.size());
  for (std::uint32_t level : levels) result.push_back(level == kUnreached ? kLdbcUnreached : level);
  return result;
}

// What one machine hands back: the result is whole at the first machine only.
struct Piece {
  Result result;
  std::vector<VertexId> parents;
  RoundCounts counts;
};

Piece run_here(const DistGraph& g, const std::string& algorithm, const AlgorithmOptions& parameters) {
  Piece piece;
  piece.result.algorithm = algorithm;
  if (algorithm == "bfs") {
    const BfsTree tree = bfs(g, parameters.source);
    piece.counts = tree.counts;
    g.machine().begin_stage("gather");
    piece.result.integers = ldbc_levels(gather(g, tree.levels));
    piece.parents = gather(g, tree.parents);
  } else if (algorithm == "cc") {
    const Components components = connected_components(g);
    piece.counts = components.counts;
    g.machine().begin_stage("gather");
    piece.result.integers = as_integers(gather(g, components.labels));
  } else if (algorithm == "pr") {
    const Ranks ranks = pagerank(g, parameters.rank);
    piece.counts = ranks.counts;
    g.machine().begin_stage("gather");
    piece.result.reals = gather(g, ranks.ranks);
  }
  return piece;
}

// The same answers by orchestration stages.
Piece run_stages(cluster::Machine& me, const EdgeSource& source, const Job& job, Staged& staged) {
  staged = run_staged(me, source, job.algorithm, *job.stages, job.parameters.source, job.parameters.rank);
  me.begin_stage("gather");
  Piece piece;
  piece.result.algorithm = job.algorithm;
  piece.counts.rounds = staged.rounds;
  if (job.algorithm == "bfs") {
    piece.result.integers = ldbc_levels(gather_ranges(me, staged.levels));
    piece.parents = gather_ranges(me, staged.parents);
  }
  if (job.algorithm == "cc") piece.result.integers = as_integers(gather_ranges(me, staged.labels));
  if (job.algorithm == "pr") piece.result.reals = gather_ranges(me, staged.ranks);
  return piece;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

const std::vector<std::string>& distributed_algorithms() {
  static const std::vector<std::string> names{"bfs", "cc", "pr"};
  return names;
}

Json JobReport::to_json() const {
  if (stage_tasks > 0) {
    return {{"stage_tasks", stage_tasks},        {"work_of_busiest_over_mean", stage_imbalance},
            {"run_seconds_measured", run_s},     {"rounds", counts.rounds},
            {"supersteps", supersteps},          {"busiest_machine_bytes_counted", busiest_bytes},
            {"total_bytes_counted", total_bytes}};
  }
  return {{"edges_directed", graph_edges},
          {"edge_balance", layout.edge_balance},
          {"replication", layout.replication},
          {"source_links", layout.source_links},
          {"target_links", layout.target_links},
          {"memory_of_busiest_bytes", layout.bytes},
          {"ingest_seconds_measured", ingest_s},
          {"run_seconds_measured", run_s},
          {"rounds", counts.rounds},
          {"dense_rounds", counts.dense_rounds},
          {"edges_visited", counts.edges_visited},
          {"supersteps", supersteps},
          {"busiest_machine_bytes_counted", busiest_bytes},
          {"total_bytes_counted", total_bytes},
          {"ingest_busiest_machine_bytes_counted", ingest_busiest}};
}

JobReport run_job(const EdgeSource& source, const Job& job) {
  cli::require_one_of("algorithm", job.algorithm, distributed_algorithms());
  const bool rooted = job.algorithm == "bfs" || job.algorithm == "sssp";
  if (rooted && job.parameters.source >= source.vertices())
    throw InvalidInput("--source", std::to_string(job.parameters.source),
                       fmt::format("a vertex of the graph, which has {}", source.vertices()));
  cluster::Cluster cluster = cluster::Cluster::open(job.cluster);
  JobReport report;
  report.is_first = cluster.is_first();
  std::mutex mutex;
  cluster.run([&](cluster::Machine& me) {
    const auto start = std::chrono::steady_clock::now();
    std::optional<DistGraph> g;
    if (!job.stages) g.emplace(me, source, job.engine, job.algorithm == "cc");
    me.barrier();
    const double ingest = seconds_since(start);
    const auto layout = g ? g->layout() : DistGraph::Layout{};
    const auto begin = std::chrono::steady_clock::now();
    Staged staged;
    Piece piece = g ? run_here(*g, job.algorithm, job.parameters) : run_stages(me, source, job, staged);
    const double run = seconds_since(begin);
    const auto totals = me.allgather(piece.counts);
    const std::lock_guard lock(mutex);
    report.ingest_s = std::max(report.ingest_s, ingest);
    report.run_s = std::max(report.run_s, run);
    if (me.id() != me.transport().first_local()) return;
    report.layout = layout;
    report.stage_tasks = staged.tasks;
    report.stage_imbalance = staged.imbalance;
    if (g) report.graph_edges = g->edges();
    report.counts = {};
    for (const RoundCounts& counts : totals) {
      report.counts.rounds = counts.rounds;
      report.counts.dense_rounds = counts.dense_rounds;
      report.counts.edges_visited += counts.edges_visited;
      report.counts.values_spread += counts.values_spread;
      report.counts.values_collected += counts.values_collected;
    }
    if (me.is_first()) {
      report.result = std::move(piece.result);
      report.parents = std::move(piece.parents);
    }
  });
  report.accounts.assign(cluster.accounts().begin(), cluster.accounts().end());
  // Stage 1 is the ingestion, the last one gathers; what lies between is the algorithm.
  for (const cluster::Account& account : report.accounts) {
    std::uint64_t busy = 0, ingest = 0, steps = 0;
    const auto last = static_cast<std::uint32_t>(account.stages.size());
    for (const auto& s : account.supersteps) {
      if (s.stage == 1) ingest += s.h();
      if (s.stage == 1 || s.stage == last) continue;
      busy += s.h();
      report.total_bytes += s.wire_out();
      ++steps;
    }
    report.ingest_busiest = std::max(report.ingest_busiest, ingest);
    report.busiest_bytes = std::max(report.busiest_bytes, busy);
    report.supersteps = steps;
  }
  return report;
}

Result run_sequential(const std::string& algorithm, const EdgeList& list,
                      const AlgorithmOptions& parameters) {
  const Graph graph = build(list);
  Result result;
  result.algorithm = algorithm;
  if (algorithm == "bfs") result.integers = ldbc_levels(sequential::bfs(graph, parameters.source).levels);
  if (algorithm == "cc") result.integers = as_integers(sequential::connected_components(graph));
  if (algorithm == "pr") {
    result.reals = sequential::pagerank(graph, {.damping = parameters.rank.damping,
                                                .iterations = parameters.rank.iterations,
                                                .tolerance = parameters.rank.tolerance})
                       .ranks;
  }
  return result;
}

}  // namespace ballast::graph
