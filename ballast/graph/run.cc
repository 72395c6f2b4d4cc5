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

std::vector<VertexId> sources_of(const AlgorithmOptions& parameters) {
  return parameters.sources.empty() ? std::vector{parameters.source} : parameters.sources;
}

// What one machine hands back: the result is whole at the first machine only.
struct Piece {
  Result result;
  std::vector<VertexId> parents;
  RoundCounts counts;
  std::chrono::steady_clock::time_point finished;  // before gathering
};

// The edges that an algorithm walks, and a second graph with the same owners where it needs one.
struct Graphs {
  Graphs(cluster::Machine& me, const EdgeSource& source, const Job& job) {
    const std::string& a = job.algorithm;
    const bool both = a == "cc" || a == "cdlp" || a == "tc" || a == "lcc" || a == "kcore" || a == "mis";
    first.emplace(me, source, job.engine, both ? Orientation::both : Orientation::as_is);
    if (!source.directed()) return;
    if (a == "bc") second.emplace(me, source, job.engine, Orientation::reversed, &*first);
    if (a == "lcc") second.emplace(me, source, job.engine, Orientation::as_is, &*first);
  }
  const DistGraph& other() const { return second ? *second : *first; }
  std::optional<DistGraph> first, second;
};

Piece run_here(const Graphs& graphs, const std::string& algorithm, const AlgorithmOptions& parameters) {
  const DistGraph& g = *graphs.first;
  Piece piece;
  piece.result.algorithm = algorithm;
  auto end = [&] {
    g.machine().barrier();
    piece.finished = std::chrono::steady_clock::now();
    g.machine().begin_stage("gather");
  };
  if (algorithm == "bfs") {
    const BfsTree tree = bfs(g, parameters.source);
    piece.counts = tree.counts;
    end();
    piece.result.integers = ldbc_levels(gather(g, tree.levels));
    piece.parents = gather(g, tree.parents);
  } else if (algorithm == "sssp") {
    const Distances found = shortest_paths(g, parameters.source, parameters.delta);
    piece.counts = found.counts;
    end();
    piece.result.reals = gather(g, found.distances);
  } else if (algorithm == "bc") {
    const Betweenness found = betweenness(g, graphs.other(), sources_of(parameters), parameters.progress);
    piece.counts = found.counts;
    end();
    piece.result.reals = gather(g, found.scores);
  } else if (algorithm == "cc") {
    const Components components = connected_components(g);
    piece.counts = components.counts;
    end();
    piece.result.integers = as_integers(gather(g, components.labels));
  } else if (algorithm == "pr") {
    const Ranks ranks = pagerank(g, parameters.rank, parameters.progress);
    piece.counts = ranks.counts;
    end();
    piece.result.reals = gather(g, ranks.ranks);
  } else if (algorithm == "cdlp") {
    std::vector<std::uint64_t> names;
    for (LocalId v = 0; v < g.owned(); ++v) names.push_back(g.global(v));
    const Communities found =
        label_propagation(g, parameters.iterations, std::move(names), parameters.progress);
    piece.counts.rounds = found.rounds;
    end();
    piece.result.integers = as_integers(gather(g, found.labels));
  } else if (algorithm == "lcc" || algorithm == "tc") {
    const Clustering found = local_clustering(g, graphs.other());
    end();
    if (algorithm == "lcc")
      piece.result.reals = gather(g, found.coefficients);
    else
      piece.result.integers = {static_cast<std::int64_t>(found.triangles)};
  } else if (algorithm == "kcore") {
    const Cores found = core_numbers(g);
    piece.counts.rounds = found.rounds;
    end();
    piece.result.integers = as_integers(gather(g, found.numbers));
  } else if (algorithm == "mis") {
    const IndependentSet found = independent_set(g, parameters.seed);
    piece.counts.rounds = found.rounds;
    end();
    piece.result.integers = as_integers(gather(g, found.members));
  }
  return piece;
}

// The same answers by orchestration stages.
Piece run_stages(cluster::Machine& me, const EdgeSource& source, const Job& job, Staged& staged) {
  staged = run_staged(me, source, job.algorithm, *job.stages, job.parameters.source, job.parameters.rank);
  Piece piece;
  me.barrier();
  piece.finished = std::chrono::steady_clock::now();
  me.begin_stage("gather");
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

bool needs_source(const std::string& algorithm) {
  return algorithm == "bfs" || algorithm == "sssp" || algorithm == "bc";
}

void use_names(Result& result, const EdgeList& list) {
  if (list.names.empty() || (result.algorithm != "cdlp" && result.algorithm != "cc")) return;
  for (std::int64_t& label : result.integers)
    label = static_cast<std::int64_t>(list.names[static_cast<std::size_t>(label)]);
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
  cli::require_one_of("algorithm", job.algorithm, algorithms());
  if (needs_source(job.algorithm) && job.parameters.source >= source.vertices())
    throw InvalidInput("--source", std::to_string(job.parameters.source),
                       fmt::format("a vertex of the graph, which has {}", source.vertices()));
  const ProgressOptions& progress = job.parameters.progress;
  if (!progress.folder.empty()) {
    if (progress.every < 1)
      throw InvalidInput("--checkpoint-every", std::to_string(progress.every), "at least 1");
    if (job.stages || (job.algorithm != "pr" && job.algorithm != "cdlp" && job.algorithm != "bc"))
      throw InvalidInput("--checkpoint", job.algorithm + (job.stages ? " by stages" : ""),
                         "a long run: pr, cdlp or bc, without --stages");
  }
  if (job.repeats < 1) throw InvalidInput("--repeats", std::to_string(job.repeats), "at least 1");
  cluster::Cluster cluster = cluster::Cluster::open(job.cluster);
  JobReport report;
  report.is_first = cluster.is_first();
  std::mutex mutex;
  cluster.run([&](cluster::Machine& me) {
    const auto start = std::chrono::steady_clock::now();
    std::optional<Graphs> g;
    if (!job.stages) g.emplace(me, source, job);
    me.barrier();
    const double ingest = seconds_since(start);
    const auto layout = g ? g->first->layout() : DistGraph::Layout{};
    Staged staged;
    Piece piece;
    std::vector<double> times;
    for (int repeat = 0; repeat < job.repeats; ++repeat) {
      const auto begin = std::chrono::steady_clock::now();
      piece = g ? run_here(*g, job.algorithm, job.parameters) : run_stages(me, source, job, staged);
      times.push_back(std::chrono::duration<double>(piece.finished - begin).count());
    }
    if (times.size() > 1) times.erase(times.begin());
    std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2),
                     times.end());
    const double run = times[times.size() / 2];
    const auto totals = me.allgather(piece.counts);
    const std::lock_guard lock(mutex);
    report.ingest_s = std::max(report.ingest_s, ingest);
    report.run_s = std::max(report.run_s, run);
    if (me.id() != me.transport().first_local()) return;
    report.layout = layout;
    report.stage_tasks = staged.tasks;
    report.stage_imbalance = staged.imbalance;
    if (g) report.graph_edges = g->first->edges();
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
  // Stage 1 is the ingestion; of each run the last stage gathers, what lies before is the algorithm.
  for (const cluster::Account& account : report.accounts) {
    std::uint64_t busy = 0, ingest = 0, steps = 0;
    const auto last = static_cast<std::uint32_t>(account.stages.size());
    for (const auto& s : account.supersteps) {
      if (s.stage == 1) ingest += s.h();
      const std::uint32_t of_a_run = (last - 1) / static_cast<std::uint32_t>(job.repeats);
      if (s.stage == 1 || s.stage + of_a_run <= last || s.stage == last) continue;
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
  if (algorithm == "sssp") result.reals = sequential::shortest_paths(graph, parameters.source);
  if (algorithm == "bc") result.reals = sequential::betweenness(graph, sources_of(parameters));
  if (algorithm == "cc") result.integers = as_integers(sequential::connected_components(graph));
  if (algorithm == "pr") {
    result.reals = sequential::pagerank(graph, {.damping = parameters.rank.damping,
                                                .iterations = parameters.rank.iterations,
                                                .tolerance = parameters.rank.tolerance})
                       .ranks;
  }
  if (algorithm == "cdlp")
    result.integers = as_integers(sequential::label_propagation(graph, parameters.iterations));
  if (algorithm == "lcc") result.reals = sequential::local_clustering(graph);
  if (algorithm == "tc") result.integers = {static_cast<std::int64_t>(sequential::triangles(graph))};
  if (algorithm == "kcore") result.integers = as_integers(sequential::core_numbers(graph));
  if (algorithm == "mis") result.integers = as_integers(sequential::independent_set(graph, parameters.seed));
  return result;
}

}  // namespace ballast::graph
