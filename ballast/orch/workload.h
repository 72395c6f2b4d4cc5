// The workload of `orch bench` and of the tour: reads of items of a given size under Zipf-distributed keys.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ballast/cluster/cluster.h"
#include "ballast/orch/options.h"
#include "ballast/orch/report.h"

namespace ballast::orch {

/// One cell of the grid.
struct Cell {
  double theta = 0.99;            ///< exponent of the key distribution
  std::uint32_t item_bytes = 64;  ///< B, at least 8
  int machines = 16;
  std::uint64_t tasks = 50'000;  ///< of each machine
  std::uint64_t keys = 1'000'000;
  bool write = false;       ///< every task also adds to its item
  bool scatter = false;     ///< with write: to another key, drawn by the same law
  bool rank_order = false;  ///< key = rank, dealt to machines in turn; else hashed
  /// Items are made when they are first asked for: for runs that are counted, not timed.
  bool made_on_demand = false;
};

struct Outcome {
  std::string method;
  StageReport report;
  double seconds = 0;        ///< wall time of the stage on its slowest machine, reporting left out
  double cpu_seconds = 0;    ///< summed over machines
  std::uint64_t answer = 0;  ///< a digest of all replies: equal for all methods
};

/// "td-orch", "td-orch:4", "td-orch:flat", "push", ...: a method, with its fan-out behind a colon.
Options options_from_name(const std::string& name, const Options& base = {});

/// Runs the cell once with each method, on the same tasks. The cluster has cell.machines machines. Throws
/// StageFailed if the answers differ.
std::vector<Outcome> run_cell(cluster::Cluster& cluster, const Cell& cell,
                              const std::vector<std::string>& methods, const Options& base,
                              std::uint64_t seed, int rounds = 1);

}  // namespace ballast::orch
