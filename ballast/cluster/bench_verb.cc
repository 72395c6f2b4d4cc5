// `ballast cluster bench`: the exchange over threads against memcpy, and over MPI against MPI_Alltoallv by
// hand.
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>

#include "ballast/base/bench.h"
#include "ballast/base/errors.h"
#include "ballast/cluster/cluster.h"
#include "ballast/cluster/hand_written.h"
#include "ballast/cluster/verbs.h"

namespace ballast::cluster {

double time_memcpy(std::size_t bytes, int repeats) {
  std::vector<char> from(bytes, 'a'), to(bytes, 'b');
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < repeats; ++i) {
    std::memcpy(to.data(), from.data(), bytes);
    asm volatile("" : : "r"(to.data()) : "memory");
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / repeats;
}

namespace {

struct BenchOptions {
  bool quick = false;
  std::string transport = "threads";
};

// Machines exchange one message of this size each way a superstep; what counts is from the sender's memory
// (`fill`: a copy into the outbox; else the outbox's buffers as they are) to the receiver's hand.
double time_exchange(Cluster& cluster, std::size_t bytes, int repeats, bool fill) {
  double seconds = 0;
  cluster.run([&](Machine& me) {
    const std::vector<std::byte> mine(bytes, std::byte{1});
    const auto round = [&] {
      Outbox out = me.outbox();
      for (int d = 0; d < me.machines(); ++d) {
        if (d == me.id()) continue;
        if (fill) {
          out.to(d).append(mine);
        } else {
          out.to(d).extend(bytes);
        }
      }
      const Inbox in = me.exchange(std::move(out));
      BALLAST_CHECK(in.bytes_from((me.id() + 1) % me.machines()).size() == bytes);
    };
    for (int i = 0; i < 3; ++i) round();
    me.barrier();
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < repeats; ++i) round();
    me.barrier();
    if (me.id() == 0)
      seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / repeats;
  });
  return seconds;
}

// Both sides of an MPI comparison in one job: the exchange and the hand-written collective take turns.
void bench_mpi(const cli::Common& common) {
  auto cluster = Cluster::open({.machines = 0, .transport = "mpi", .seed = common.seed, .checksum = false});
  auto checked = Cluster::open({.machines = 0, .transport = "mpi", .seed = common.seed});
  Bench bench("cluster", "mpi", common);
  for (std::size_t bytes : {std::size_t{64} << 10, std::size_t{1} << 20, std::size_t{4} << 20}) {
    Comparison comparison;
    const int repeats = bytes > (1u << 20) ? 5 : 20;
    for (int round = -1; round < 15; ++round) {
      const double hand = time_alltoallv(bytes, repeats),
                   plain = time_exchange(cluster, bytes, repeats, false),
                   with_checksum = time_exchange(checked, bytes, repeats, false);
      if (round < 0) continue;
      comparison.figures["exchange"].push_back(plain);
      comparison.figures["exchange with checksums"].push_back(with_checksum);
      comparison.figures["MPI_Alltoallv"].push_back(hand);
    }
    for (const char* ours : {"exchange", "exchange with checksums"}) {
      const bool plain = std::string(ours) == "exchange";
      bench.add(
          {.id = fmt::format("mpi.{}k{}", bytes >> 10, plain ? "" : ".checked"),
           .what = fmt::format("{} KiB from reused buffers to every rank: {} against MPI_Alltoallv by hand",
                               bytes >> 10, ours),
           .unit = "s",
           .better = Better::lower,
           .target = plain && bytes == (1u << 20) ? std::optional(1 / 1.3) : std::nullopt,
           .comparison = comparison,
           .ours_name = ours,
           .peer_name = "MPI_Alltoallv"});
    }
  }
  if (cluster.is_first()) bench.finish();
}

void bench_threads(const cli::Common& common) {
  Bench bench("cluster", "threads", common);
  auto cluster = Cluster::open({.machines = 2, .seed = common.seed});
  for (std::size_t bytes : {std::size_t{64} << 10, std::size_t{1} << 20, std::size_t{8} << 20}) {
    const int repeats = static_cast<int>(std::max<std::size_t>(4, (std::size_t{64} << 20) / bytes));
    const auto comparison =
        interleave({{"exchange", [&] { return time_exchange(cluster, bytes, repeats, true); }},
                    {"memcpy", [&] { return time_memcpy(bytes, repeats); }}},
                   {.rounds = 15, .max_seconds = 20});
    bench.add(
        {.id = fmt::format("threads.{}k", bytes >> 10),
         .what = fmt::format("{} KiB each way between two machines, against one memcpy of it", bytes >> 10),
         .unit = "s",
         .better = Better::lower,
         .target = bytes == (1u << 20) ? std::optional(0.6) : std::nullopt,
         .comparison = comparison,
         .ours_name = "exchange",
         .peer_name = "memcpy"});
  }
  if (!built_with_mpi()) {
    bench.add({.id = "mpi.1024k",
               .what = "exchange over 2 MPI ranks",
               .unit = "s",
               .peer = Peer{"MPI_Alltoallv", std::nullopt},
               .note = "built without MPI"});
  } else {
    bench.section().text(
        "For MPI: env OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun --oversubscribe "
        "--bind-to none "
        "-n 2 ballast-cluster bench --transport mpi");
  }
  bench.finish();
}

}  // namespace

void add_bench(cli::Program& program) {
  auto options = std::make_shared<BenchOptions>();
  auto verb =
      program.verb("bench", "the exchange against memcpy (threads) and MPI_Alltoallv (MPI)",
                   {"ballast cluster bench --quick", "mpirun -n 2 ballast-cluster bench --transport mpi"});
  verb->add_flag("--quick", options->quick, "the same figures: they take seconds");
  verb->add_option("--transport", options->transport, "threads or mpi")->capture_default_str();
  verb.run([options](const cli::Common& common) {
    cli::require_one_of("--transport", options->transport, {"threads", "mpi"});
    if (options->transport == "mpi") {
      if (!built_with_mpi())
        throw Unavailable("Ballast was built without MPI (install libopenmpi-dev and configure again)");
      return bench_mpi(common);
    }
    bench_threads(common);
  });
}

}  // namespace ballast::cluster
