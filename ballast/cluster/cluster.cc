#include "ballast/cluster/cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <mutex>

#include "ballast/base/cli.h"

namespace ballast::cluster {
namespace {

// Of the MPI job that a launcher has started this process for; 1: none.
int launched_ranks() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) {
    if (const char* size = std::getenv(name)) return std::max(1, std::atoi(size));
  }
  return 1;
}

std::unique_ptr<Transport> make_bare_transport(const Options& options) {
  cli::require_one_of("--transport", options.transport, {"threads", "mpi", "shaped"});
  if (options.transport == "mpi") {
    if (options.machines_per_rank < 1 || options.machines_per_rank > 4096)
      throw InvalidInput("--machines-per-rank", std::to_string(options.machines_per_rank), "1 to 4096");
    auto transport = make_mpi_transport(options.machines_per_rank, options.stage_timeout_s);
    if (options.machines != 0 && options.machines != transport->machines()) {
      throw InvalidInput("--machines", std::to_string(options.machines),
                         fmt::format("{} here: ranks times --machines-per-rank", transport->machines()));
    }
    return transport;
  }
  if (const int ranks = launched_ranks(); ranks > 1 && !options.independent) {
    throw InvalidInput("--transport", options.transport,
                       fmt::format("mpi here, because mpirun has started {} processes; with threads each of "
                                   "them would be a cluster of its own",
                                   ranks));
  }
  if (options.machines < 1 || options.machines > 4096)
    throw InvalidInput("--machines", std::to_string(options.machines), "1 to 4096");
  return make_thread_transport(options.machines, options.stage_timeout_s);
}

std::unique_ptr<Transport> make_transport(const Options& options) {
  auto transport = make_bare_transport(options);
  if (options.transport != "shaped" && options.net.empty()) return transport;
  return make_shaped_transport(std::move(transport),
                               find_profile(options.net.empty() ? "slow" : options.net));
}

std::string reason_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const MachineLost& lost) {
    return lost.reason();
  } catch (const std::exception& known) {
    return known.what();
  } catch (...) {
    return "unknown exception";
  }
}

}  // namespace

Cluster::Cluster(Options options, std::unique_ptr<Transport> transport)
    : options_(std::move(options)), transport_(std::move(transport)) {}
Cluster::Cluster(Cluster&&) noexcept = default;
Cluster& Cluster::operator=(Cluster&&) noexcept = default;
Cluster::~Cluster() = default;

Cluster Cluster::open(Options options) {
  if (options.stage_timeout_s <= 0)
    throw InvalidInput("--stage-timeout", std::to_string(options.stage_timeout_s), "seconds above 0");
  auto transport = make_transport(options);
  options.machines = transport->machines();
  for (const auto& fault : options.faults.faults) {
    if (fault.machine >= options.machines || fault.to >= options.machines)
      throw InvalidInput(fmt::format("the fault script names a machine that is not there; accepted: 0 to {}",
                                     options.machines - 1));
  }
  return Cluster(std::move(options), std::move(transport));
}

void Cluster::run(int machines, const std::function<void(Machine&)>& body) {
  open({.machines = machines}).run(body);
}

int Cluster::machines() const {
  return transport_->machines();
}

std::string Cluster::transport() const {
  return transport_->name();
}

bool Cluster::is_first() const {
  return transport_->first_local() == 0;
}

void Cluster::run(const std::function<void(Machine&)>& body) {
  std::mutex mutex;
  std::exception_ptr first_failure;
  accounts_.assign(static_cast<std::size_t>(machines()), Account{});
  const bool all_here = transport_->local_machines() == machines();
  transport_->run([&](int id) {
    MachineSettings settings{.seed = options_.seed,
                             .checksum = options_.checksum.value_or(options_.transport == "mpi" ||
                                                                    !options_.faults.faults.empty()),
                             .inbox_limit_bytes = options_.inbox_limit_bytes,
                             .faults = {}};
    for (const auto& fault : options_.faults.faults) {
      if (fault.machine == id) settings.faults.push_back(fault);
    }
    Machine machine(id, *transport_, std::move(settings));
    try {
      body(machine);
      if (!all_here) {
        Buffer mine;
        machine.account().encode(mine);
        std::vector<std::vector<std::byte>> all;
        transport_->allgather(id, machine.where(), mine.bytes(), all);
        if (id == transport_->first_local()) {
          for (std::size_t m = 0; m < all.size(); ++m) {
            Reader reader(all[m]);
            accounts_[m] = Account::decode(reader);
          }
        }
      }
      transport_->leave(id);
    } catch (...) {
      const auto error = std::current_exception();
      {
        const std::lock_guard lock(mutex);
        if (!first_failure) first_failure = error;
      }
      transport_->fail(id, machine.where(), reason_of(error));
    }
    if (all_here) accounts_[static_cast<std::size_t>(id)] = std::move(machine.account());
  });
  // A fault strikes once: a second run is undisturbed.
  options_.faults.faults.clear();
  if (first_failure) std::rethrow_exception(first_failure);
}

}  // namespace ballast::cluster
