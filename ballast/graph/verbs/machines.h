// The flags that every distributed verb shares: machines and transport, layout and switches of the
// techniques.
#pragma once

#include <string>

#include "ballast/base/cli.h"
#include "ballast/cluster/cluster.h"
#include "ballast/graph/dist/options.h"

namespace ballast::graph {

struct MachineOptions {
  cluster::Options cluster;
  CLI::Option *machines = nullptr, *transport = nullptr;  ///< to know whether they were given
  std::string fault_script;
};
void add_machines(CLI::App& app, MachineOptions& options);
/// The options for Cluster::open; throws InvalidInput.
cluster::Options cluster_options(const MachineOptions& options, std::uint64_t seed);

/// The engine and the off switches of its techniques.
struct EngineOptions {
  std::string partition = "tdo";
  std::string owners = "chunk";
  int fanout = 0;
  double dense_threshold = 20, balance = 1.05;
  int local_rounds = 4, threads = 1, ring_chunks = 1;
  std::string reorder = "none";
  bool compress = false;
  std::vector<std::string> off;  ///< names of switches
};
/// A technique that --off leaves out.
struct Switch {
  std::string name;
  bool DistOptions::*value;
};
const std::vector<Switch>& switches();

void add_engine(CLI::App& app, EngineOptions& options);
DistOptions dist_options(const EngineOptions& options, std::uint64_t seed);

}  // namespace ballast::graph
