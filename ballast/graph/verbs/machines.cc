#include "ballast/graph/verbs/machines.h"

#include <cstdlib>

#include "ballast/base/errors.h"

namespace ballast::graph {

namespace {

// How many processes mpirun (Open MPI, or another that speaks PMI) has started; 1 without it.
int ranks_started() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) {
    if (const char* size = std::getenv(name)) return std::atoi(size);
  }
  return 1;
}

}  // namespace

void add_machines(CLI::App& app, MachineOptions& options) {
  options.machines = app.add_option("--machines", options.cluster.machines,
                                    "logical machines P (under mpirun: ranks x --machines-per-rank)")
                         ->capture_default_str()
                         ->group("Machines");
  options.transport = app.add_option("--transport", options.cluster.transport,
                                     "threads, mpi or shaped (under mpirun mpi, else threads)")
                          ->capture_default_str()
                          ->group("Machines");
  app.add_option("--machines-per-rank", options.cluster.machines_per_rank, "under mpirun")
      ->capture_default_str()
      ->group("Machines");
  app.add_option("--faults", options.fault_script, "fault script, such as 'kill 1 superstep=3'")
      ->group("Machines");
}

cluster::Options cluster_options(const MachineOptions& options, std::uint64_t seed) {
  cluster::Options result = options.cluster;
  if (options.transport != nullptr && options.transport->count() == 0 && ranks_started() > 1)
    result.transport = "mpi";
  if (options.machines != nullptr && options.machines->count() == 0 && result.transport == "mpi")
    result.machines = 0;
  if (result.transport != "mpi" && result.machines < 1)
    throw InvalidInput("--machines", std::to_string(result.machines), "at least 1");
  result.seed = seed;
  if (!options.fault_script.empty()) result.faults = cluster::FaultScript::parse(options.fault_script);
  return result;
}

void add_engine(CLI::App& app, EngineOptions& options) {
  app.add_option("--partition", options.partition, "tdo, oec, iec, cvc, hash-vertex-cut or spmv")
      ->capture_default_str()
      ->group("Engine");
  app.add_option("--owners", options.owners, "chunk (ranges of ids, balanced by edges) or hash")
      ->capture_default_str()
      ->group("Engine");
  app.add_option("--fanout", options.fanout, "of source and destination trees; 0: direct links")
      ->capture_default_str()
      ->group("Engine");
  app.add_option("--dense-threshold", options.dense_threshold,
                 "a round is dense above edges / this; 0: never")
      ->capture_default_str()
      ->group("Engine");
  app.add_option("--balance", options.balance,
                 "tdo: most edges of a machine over the mean; 0: no balance pass")
      ->capture_default_str()
      ->group("Engine");
  app.add_option("--local-rounds", options.local_rounds, "local relaxations before an exchange")
      ->capture_default_str()
      ->group("Engine");
  app.add_option("--threads", options.threads, "threads of one machine")
      ->capture_default_str()
      ->group("Engine");
  app.add_option("--reorder", options.reorder, "numbers within a machine: none (as in the file) or degree")
      ->capture_default_str()
      ->group("Engine");
  app.add_flag("--compress", options.compress, "byte-coded adjacency: less memory, more work")
      ->group("Engine");
  app.add_option("--ring-chunks", options.ring_chunks,
                 "1 or 2: parts in which a round of all vertices is sent, in the order of a ring")
      ->capture_default_str()
      ->group("Engine");
  std::string names;
  for (const Switch& one : switches()) names += (names.empty() ? "" : ", ") + one.name;
  app.add_option("--off", options.off, "techniques to leave out: " + names)->delimiter(',')->group("Engine");
}

const std::vector<Switch>& switches() {
  static const std::vector<Switch> all{
      {"contention", &DistOptions::place_by_contention},  {"position-codes", &DistOptions::code_positions},
      {"value-codes", &DistOptions::code_values},         {"finished-bits", &DistOptions::finished_bits},
      {"early-exit", &DistOptions::early_exit},           {"done-bits", &DistOptions::skip_done},
      {"balanced-blocks", &DistOptions::balanced_blocks}, {"bitmaps", &DistOptions::bitmaps},
      {"unique-touches", &DistOptions::unique_touches},   {"first-touch", &DistOptions::first_touch},
      {"own-part-first", &DistOptions::own_part_first},   {"fused-reduce", &DistOptions::fuse_reduce},
      {"trimmed-trees", &DistOptions::trim_trees},        {"direct-rounds", &DistOptions::direct_rounds}};
  return all;
}

DistOptions dist_options(const EngineOptions& options, std::uint64_t seed) {
  DistOptions result = engine_options(options.partition);
  cli::require_one_of("--owners", options.owners, {"chunk", "hash"});
  result.hashed_owners = options.owners == "hash";
  if (options.fanout < 0 || options.fanout == 1)
    throw InvalidInput("--fanout", std::to_string(options.fanout), "0 (direct links) or at least 2");
  if (options.dense_threshold < 0)
    throw InvalidInput("--dense-threshold", std::to_string(options.dense_threshold), "at least 0");
  if (options.balance != 0 && options.balance < 1)
    throw InvalidInput("--balance", std::to_string(options.balance), "0 or at least 1");
  result.fanout = options.fanout;
  result.dense_threshold = options.dense_threshold;
  result.balance = options.balance;
  if (result.partition == Partition::tdo) result.local_rounds = options.local_rounds;
  if (options.threads < 1) throw InvalidInput("--threads", std::to_string(options.threads), "at least 1");
  if (options.ring_chunks < 1 || options.ring_chunks > 2)
    throw InvalidInput("--ring-chunks", std::to_string(options.ring_chunks), "1 or 2");
  cli::require_one_of("--reorder", options.reorder, {"none", "degree"});
  result.threads = options.threads;
  result.ring_chunks = options.ring_chunks;
  result.by_degree = options.reorder == "degree";
  result.compress = options.compress;
  std::vector<std::string> names;
  for (const Switch& one : switches()) names.push_back(one.name);
  for (const std::string& name : options.off) {
    cli::require_one_of("--off", name, names);
    for (const Switch& one : switches()) {
      if (one.name == name) result.*one.value = false;
    }
  }
  result.seed = seed;
  return result;
}

}  // namespace ballast::graph
