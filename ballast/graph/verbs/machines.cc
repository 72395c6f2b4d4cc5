#include "ballast/graph/verbs/machines.h"

#include "ballast/base/errors.h"

namespace ballast::graph {

void add_machines(CLI::App& app, MachineOptions& options) {
  app.add_option("--machines", options.cluster.machines, "logical machines P")
      ->capture_default_str()
      ->group("Machines");
  app.add_option("--transport", options.cluster.transport, "threads, mpi or shaped")
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
  app.add_option("--off", options.off,
                 "techniques to leave out: contention, position-codes, value-codes, early-exit, done-bits, "
                 "fused-reduce")
      ->delimiter(',')
      ->group("Engine");
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
  for (const std::string& name : options.off) {
    cli::require_one_of(
        "--off", name,
        {"contention", "position-codes", "value-codes", "early-exit", "done-bits", "fused-reduce"});
    if (name == "contention") result.place_by_contention = false;
    if (name == "position-codes") result.code_positions = false;
    if (name == "value-codes") result.code_values = false;
    if (name == "early-exit") result.early_exit = false;
    if (name == "done-bits") result.skip_done = false;
    if (name == "fused-reduce") result.fuse_reduce = false;
  }
  result.seed = seed;
  return result;
}

}  // namespace ballast::graph
