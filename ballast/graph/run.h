// One job from start to end: machines, ingestion, an algorithm, the gathered result and what it cost. The
// verbs, the benchmark and the tests all go through here, so every engine does exactly the same work.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ballast/base/json.h"
#include "ballast/cluster/cluster.h"
#include "ballast/graph/algorithms/algorithms.h"
#include "ballast/graph/dist/edge_source.h"
#include "ballast/graph/dist/options.h"
#include "ballast/graph/result.h"
#include "ballast/orch/options.h"

namespace ballast::graph {

/// The parameters of the algorithms. Vertices by position, not by name.
struct AlgorithmOptions {
  VertexId source = 0;                 ///< bfs, sssp
  std::vector<VertexId> sources = {};  ///< bc; empty: `source`
  double delta = 0;                    ///< sssp: width of buckets; 0: plain relaxation
  RankOptions rank = {};               ///< pr
  int iterations = 10;                 ///< cdlp
  std::uint64_t seed = 1;              ///< mis
  ProgressOptions progress = {};       ///< checkpoints of pr, cdlp and bc
};

struct Job {
  std::string algorithm = "bfs";
  DistOptions engine = {};
  cluster::Options cluster = {};
  AlgorithmOptions parameters = {};
  /// Rounds as orchestration stages of this method (bfs, cc, pr) in place of the engine's replayed routes.
  std::optional<orch::Options> stages = {};
  /// How often the algorithm runs on the one ingested graph; its time is the median of all but the first, its
  /// counters are those of the last.
  int repeats = 1;
};

struct JobReport {
  Result result;                  ///< in the first process only
  std::vector<VertexId> parents;  ///< bfs, in the first process
  DistGraph::Layout layout;
  RoundCounts counts;                ///< summed over machines
  std::uint64_t graph_edges = 0;     ///< directed
  double ingest_s = 0, run_s = 0;    ///< measured, of the slowest machine
  std::uint64_t ingest_busiest = 0;  ///< counted: bytes of the busiest machine while ingesting
  std::uint64_t busiest_bytes = 0;   ///< counted: bytes of the busiest machine in the algorithm
  std::uint64_t total_bytes = 0;     ///< counted: all machines, sent, in the algorithm
  std::uint64_t supersteps = 0;      ///< of the algorithm
  std::uint64_t stage_tasks = 0;     ///< with stages: tasks run
  double stage_imbalance = 0;        ///< with stages: worst round, tasks of the busiest machine over the mean
  std::vector<cluster::Account> accounts;
  bool is_first = true;

  Json to_json() const;
};

/// Whether the algorithm begins at a vertex.
bool needs_source(const std::string& algorithm);

/// cdlp and cc answer with vertices' positions as labels; with the file's names they are what its user knows.
void use_names(Result& result, const EdgeList& list);

/// Runs the job. Throws InvalidInput for an algorithm or parameter that cannot be.
JobReport run_job(const EdgeSource& source, const Job& job);

/// The same answer from the sequential algorithms, on one core.
Result run_sequential(const std::string& algorithm, const EdgeList& list, const AlgorithmOptions& parameters);

}  // namespace ballast::graph
