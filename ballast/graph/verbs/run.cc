#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/random.h"
#include "ballast/base/units.h"
#include "ballast/graph/run.h"
#include "ballast/graph/verbs/input.h"
#include "ballast/graph/verbs/machines.h"
#include "ballast/graph/verbs/verbs.h"

namespace ballast::graph {
namespace {

struct RunVerb {
  std::string algorithm;
  InputOptions input;
  MachineOptions machines;
  EngineOptions engine;
  std::uint64_t source = 0;
  bool source_given = false;
  std::uint64_t source_count = 1;  // bc
  double delta = 0;
  RankOptions rank;
  ProgressOptions progress;
  std::string variant = "ldbc", output, account_file, stages, stage_fanout = "flat";
  bool verify = false, stream = false;
  int repeats = 1;
};

// The position of the vertex that the user names; without one, the vertex with most out-edges.
VertexId source_vertex(const RunVerb& options, const EdgeList& list) {
  if (!options.source_given) {
    std::vector<std::uint32_t> degree(list.vertices, 0);
    for (const Edge& e : list.edges) {
      ++degree[e.source];
      if (!list.directed) ++degree[e.target];
    }
    return static_cast<VertexId>(std::max_element(degree.begin(), degree.end()) - degree.begin());
  }
  if (list.names.empty()) {
    if (options.source >= list.vertices)
      throw InvalidInput("--source", std::to_string(options.source),
                         fmt::format("a vertex of the graph, which has {}", list.vertices));
    return static_cast<VertexId>(options.source);
  }
  for (VertexId v = 0; v < list.vertices; ++v) {
    if (list.names[v] == options.source) return v;
  }
  throw InvalidInput("--source", std::to_string(options.source), "the id of a vertex in the file");
}

std::string summary_of(const Result& result) {
  if (result.size() == 0) return "no vertices";
  if (result.algorithm == "bfs") {
    std::int64_t reached = 0, deepest = 0;
    for (std::int64_t level : result.integers) {
      if (level == kLdbcUnreached) continue;
      ++reached;
      deepest = std::max(deepest, level);
    }
    return fmt::format("{} of {} vertices reached, {} levels", reached, result.size(), deepest);
  }
  if (result.algorithm == "cc" || result.algorithm == "cdlp") {
    std::vector<std::int64_t> labels = result.integers;
    std::sort(labels.begin(), labels.end());
    const auto count = std::unique(labels.begin(), labels.end()) - labels.begin();
    return fmt::format("{} {}", count, result.algorithm == "cc" ? "components" : "communities");
  }
  if (result.algorithm == "tc") return fmt::format("{} triangles", result.integers[0]);
  if (result.algorithm == "kcore")
    return fmt::format("largest core number {}",
                       *std::max_element(result.integers.begin(), result.integers.end()));
  if (result.algorithm == "mis")
    return fmt::format("{} vertices in the set",
                       std::accumulate(result.integers.begin(), result.integers.end(), std::int64_t{0}));
  if (result.algorithm == "sssp") {
    double farthest = 0;
    std::uint64_t reached = 0;
    for (double d : result.reals) {
      if (d == std::numeric_limits<double>::infinity()) continue;
      ++reached;
      farthest = std::max(farthest, d);
    }
    return fmt::format("{} of {} vertices reached, the farthest at {:.6g}", reached, result.size(), farthest);
  }
  const auto most = std::max_element(result.reals.begin(), result.reals.end());
  return fmt::format("largest value {:.6g} at vertex {}", *most, most - result.reals.begin());
}

void run_verb(const RunVerb& options, const cli::Common& common) {
  cli::require_one_of("ALGORITHM", options.algorithm, algorithms());
  cli::require_one_of("--variant", options.variant, {"ldbc", "gap"});
  Job job{.algorithm = options.algorithm,
          .engine = dist_options(options.engine, common.seed),
          .cluster = cluster_options(options.machines, common.seed)};
  if (options.stream && (options.verify || (needs_source(options.algorithm) && !options.source_given)))
    throw InvalidInput(
        "--stream reads no graph as a whole: give --source to bfs, sssp and bc, and leave out --verify");
  std::unique_ptr<EdgeSource> source;
  EdgeList list;
  if (options.stream) {
    source = open_slices(options.input, common.seed);
    list.vertices = source->vertices();
    list.directed = source->directed();
  } else {
    list = open_graph(options.input, common.seed);
    source = source_of(list);
  }
  job.parameters.rank = options.rank;
  if (options.variant == "gap" && job.parameters.rank.tolerance == 0) job.parameters.rank.tolerance = 1e-4;
  const bool rooted = needs_source(options.algorithm);
  if (rooted && list.vertices == 0)
    throw InvalidInput(fmt::format("{}: the graph has no vertex to start from", options.input.graph));
  if (rooted) job.parameters.source = source_vertex(options, list);
  if (options.algorithm == "sssp") {
    constexpr int kSlices = 64;
    for (int i = 0; i < (options.stream ? kSlices : 0); ++i)
      require_nonnegative_weights(source->part(i, kSlices), options.input.graph);
    require_nonnegative_weights(list, options.input.graph);
  }
  if (options.algorithm == "bc" && options.source_count > 1) {
    // The first is the named one; the rest are drawn.
    Random random(common.seed, 0x6263);
    job.parameters.sources = {job.parameters.source};
    while (job.parameters.sources.size() < std::min<std::uint64_t>(options.source_count, list.vertices)) {
      const auto v = static_cast<VertexId>(random.below(list.vertices));
      if (std::find(job.parameters.sources.begin(), job.parameters.sources.end(), v) ==
          job.parameters.sources.end())
        job.parameters.sources.push_back(v);
    }
  }
  job.parameters.delta = options.delta;
  job.parameters.iterations = options.rank.iterations;
  job.parameters.seed = common.seed;
  job.parameters.progress = options.progress;
  job.repeats = options.repeats;
  if (options.progress.resume && options.progress.folder.empty())
    throw InvalidInput("--resume goes on from a checkpoint: give --checkpoint FOLDER too");
  if (!options.stages.empty())
    job.stages =
        orch::Options{.method = orch::method_from_string(options.stages), .fanout = options.stage_fanout};
  JobReport report = run_job(*source, job);
  if (!report.is_first) return;

  Json json{{"algorithm", options.algorithm},
            {"graph", options.input.graph},
            {"vertices", list.vertices},
            {"edges", options.stream ? report.graph_edges : list.edges.size()},
            {"machines", report.accounts.size()},
            {"transport", job.cluster.transport},
            {"engine", options.stages.empty() ? options.engine.partition : "stages:" + options.stages}};
  if (rooted) json["source"] = list.name(job.parameters.source);
  json.update(report.to_json());
  Table table(fmt::format("{} on {}: {}", options.algorithm, options.input.graph, summary_of(report.result)),
              {"figure", "value", "basis"});
  table.row({"machines", std::to_string(report.accounts.size()), "counted"});
  if (job.stages) {
    table.row({"tasks, as stages of " + options.stages, std::to_string(report.stage_tasks), "counted"});
    table.row(
        {"tasks of the busiest machine / mean", fmt::format("{:.3f}", report.stage_imbalance), "counted"});
    table.row({"rounds", std::to_string(report.counts.rounds), "counted"});
  } else {
    table.row({"edges of the fullest machine / mean", fmt::format("{:.3f}", report.layout.edge_balance),
               "counted"});
    table.row({"copies of a vertex", fmt::format("{:.3f}", report.layout.replication), "counted"});
    table.row({"rounds (dense)", fmt::format("{} ({})", report.counts.rounds, report.counts.dense_rounds),
               "counted"});
    table.row({"edges visited", std::to_string(report.counts.edges_visited), "counted"});
  }
  table.row({"supersteps", std::to_string(report.supersteps), "counted"});
  table.row({"bytes of the busiest machine", to_string(Bytes{report.busiest_bytes}), "counted"});
  table.row({"bytes of all machines", to_string(Bytes{report.total_bytes}), "counted"});
  table.row({"ingestion", format_seconds(report.ingest_s), "measured"});
  table.row({"run", format_seconds(report.run_s), "measured"});
  bool right = true;
  if (options.verify) {
    const Result expected = run_sequential(options.algorithm, list, job.parameters);
    const Verdict verdict = compare(options.algorithm, named(expected, list), named(report.result, list));
    std::string problem = verdict.first;
    if (problem.empty() && options.algorithm == "bfs") {
      std::vector<std::uint32_t> levels;
      for (std::int64_t level : report.result.integers)
        levels.push_back(level == kLdbcUnreached ? kUnreached : static_cast<std::uint32_t>(level));
      problem = check_bfs(build(list), job.parameters.source, report.parents, levels);
    }
    right = problem.empty();
    json["verified"] = right;
    table.row({"checked against one core", right ? "all right" : "WRONG: " + problem, "counted"});
  }
  use_names(report.result, list);
  if (!options.output.empty()) write_result(report.result, list, options.output);
  if (!options.account_file.empty()) write_file(options.account_file, cluster::to_csv(report.accounts));
  if (common.for_people()) table.print(stdout);
  common.write_json(json);
  if (!common.report_file.empty()) {
    Report page("Ballast graph: " + options.algorithm + " on " + options.input.graph);
    page.section("run")
        .table(table)
        .table(cluster::superstep_table(report.accounts, "Supersteps (counted)"))
        .command(common.command_line);
    common.write_report(page);
  }
  if (!right) throw cli::Exit{static_cast<int>(ExitCode::failed)};
}

}  // namespace

void add_run(cli::Program& program) {
  auto options = std::make_shared<RunVerb>();
  auto verb = program.verb("run", "run an algorithm on a graph over P machines",
                           {"ballast graph run bfs collection:pgp-strong-2009 --machines 8 --verify",
                            "ballast graph run pr kron:16 --partition oec -o ranks.txt",
                            "ballast graph run pr kron:14 --machines 16 --stages td-orch",
                            "mpirun -n 2 ballast graph run cc kron:16 --machines-per-rank 2"});
  verb->add_option("ALGORITHM", options->algorithm, "bfs, sssp, bc, cc, pr, cdlp, tc, lcc, kcore or mis")
      ->required();
  add_input(verb.app(), options->input);
  auto* source = verb->add_option("--source", options->source,
                                  "bfs, sssp, bc: vertex id (default: the one with most out-edges)");
  verb->add_option("--sources", options->source_count, "bc: how many, the further ones drawn by the seed")
      ->capture_default_str();
  verb->add_option("--delta", options->delta,
                   "sssp: delta-stepping with buckets of this width; 0: plain relaxation");
  verb->add_option("--damping", options->rank.damping, "pr")->capture_default_str();
  verb->add_option("--iterations", options->rank.iterations,
                   "pr, cdlp: exactly these; pr with a tolerance: at most")
      ->capture_default_str();
  verb->add_option("--tolerance", options->rank.tolerance, "pr: stop at this L1 change");
  verb->add_option("--variant", options->variant, "pr: ldbc (fixed iterations) or gap (tolerance 1e-4)")
      ->capture_default_str();
  verb->add_option("--delta-pr", options->rank.send_above,
                   "pr: vertices send changes only, and only those above this / edges")
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--checkpoint", options->progress.folder, "pr, cdlp, bc: save the state of the run here")
      ->type_name("FOLDER");
  verb->add_option("--checkpoint-every", options->progress.every, "rounds (bc: sources) between checkpoints")
      ->capture_default_str();
  verb->add_flag("--resume", options->progress.resume, "go on from the last checkpoint");
  verb->add_flag("--verify", options->verify, "check the result against the sequential algorithm");
  verb->add_flag("--stream", options->stream,
                 "each machine reads or makes its slice only (.bgr and generated graphs)");
  verb->add_option("--repeats", options->repeats,
                   "runs on the one ingested graph; the time is the median of all but the first")
      ->capture_default_str();
  verb->add_option("-o,--output", options->output, "write `vertex value` lines");
  verb->add_option("--account", options->account_file,
                   "write bytes and times of every machine and superstep as CSV");
  verb->add_option(
      "--stages", options->stages,
      "run rounds as orchestration stages: td-orch, push, pull, pull-dedup, sort, hot-replicate");
  verb->add_option("--stage-fanout", options->stage_fanout, "of the stages' forest: flat, theory or a number")
      ->capture_default_str();
  add_machines(verb.app(), options->machines);
  add_engine(verb.app(), options->engine);
  verb.run([options, source](const cli::Common& common) {
    options->source_given = source->count() > 0;
    run_verb(*options, common);
  });
}

}  // namespace ballast::graph
