// `cluster`: P logical machines, message exchange, collectives, exact accounting. The header to include.
//
//   auto cluster = cluster::Cluster::open({.machines = 16});        // threads; or .transport = "mpi",
//   "shaped" cluster.run([&](cluster::Machine& me) { ... });                 // SPMD std::uint64_t bytes =
//   busiest_machine_bytes(cluster.accounts());
//
// Under MPI (`mpirun -n 2 program`, .transport = "mpi", .machines_per_rank = 4) the same program runs on 2 x
// 4 machines, and its counters are the same to the byte.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ballast/cluster/account.h"
#include "ballast/cluster/checkpoint.h"
#include "ballast/cluster/cost_model.h"
#include "ballast/cluster/fault.h"
#include "ballast/cluster/machine.h"
#include "ballast/cluster/message.h"
#include "ballast/cluster/transport.h"

namespace ballast::cluster {

struct Options {
  int machines = 4;                   ///< P; under MPI 0 or ranks x machines_per_rank
  std::string transport = "threads";  ///< threads, mpi; shaped: threads on an emulated network
  std::string net = {};  ///< a profile (cost_model.h) that any transport is slowed to; empty: none
  int machines_per_rank = 1;
  std::uint64_t seed = 1;
  double stage_timeout_s = 60;          ///< how long an exchange waits for a machine before it gives up
  std::uint64_t inbox_limit_bytes = 0;  ///< 0: none
  std::optional<bool> checksum = {};    ///< nullopt: where bytes really travel (not between plain threads)
  FaultScript faults = {};
  /// Threads although mpirun has started several such processes: each is a cluster of its own.
  bool independent = false;
};

class Cluster {
 public:
  /// Throws InvalidInput for a flag that cannot be, Unavailable for a transport that is not there.
  static Cluster open(Options options);
  /// Machines as threads, for one run.
  static void run(int machines, const std::function<void(Machine&)>& body);

  Cluster(Cluster&&) noexcept;
  Cluster& operator=(Cluster&&) noexcept;
  ~Cluster();

  /// Runs `body` on every machine. When one fails, the others leave their exchange with MachineLost and the
  /// first failure is thrown here; the cluster can run again.
  void run(const std::function<void(Machine&)>& body);

  int machines() const;
  std::string transport() const;
  /// True in the one process that prints and writes files (rank 0 under MPI).
  bool is_first() const;
  /// What every machine did in the last run (in every process, for all machines).
  std::span<const Account> accounts() const { return accounts_; }

 private:
  Cluster(Options options, std::unique_ptr<Transport> transport);
  Options options_;
  std::unique_ptr<Transport> transport_;
  std::vector<Account> accounts_;
};

}  // namespace ballast::cluster
