// The tests named DISABLED_MpiJob are the bodies of MPI jobs: the other tests start them under mpirun, in
// this same program, and compare what they counted with the same work over threads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mpi.h>
#include <unistd.h>

#include <cstdlib>
#include <numeric>

#include "ballast/base/file.h"
#include "ballast/base/random.h"
#include "ballast/cluster/cluster.h"
#include "ballast/cluster/mpi_job.h"

// MPI's profiling layer: every send of the transport passes here, and is counted apart from our own
// accounting.
namespace {
std::uint64_t g_sent_bytes = 0;
}
extern "C" int MPI_Isend(const void* data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm,
                         MPI_Request* request) {
  int size = 0;
  PMPI_Type_size(type, &size);
  g_sent_bytes += static_cast<std::uint64_t>(count) * static_cast<std::uint64_t>(size);
  return PMPI_Isend(data, count, type, to, tag, comm, request);
}

namespace ballast::cluster {
namespace {

constexpr std::uint64_t kSeed = 77;

// Rounds of random traffic: dense, sparse, one pair only, and one message of several pieces; then
// collectives.
void traffic(Machine& me) {
  const int machines = me.machines();
  for (int round = 0; round < 12; ++round) {
    if (round % 4 == 0) me.begin_stage("traffic");
    const auto size = [&](int s, int d) -> std::size_t {
      Random random(kSeed, mix64(static_cast<std::uint64_t>(round * 10'000 + s * 100 + d)));
      if (round == 5) return s == 0 && d == machines - 1 ? 3'500'001 : 0;
      if (round % 3 == 1) return random.below(8) == 0 ? random.below(3000) : 0;
      return random.below(3000);
    };
    const auto content = [&](int s, int d, std::size_t i) {
      return static_cast<std::byte>(s * 31 + d * 7 + round + static_cast<int>(i % 251));
    };
    Outbox out = me.outbox();
    for (int d = 0; d < machines; ++d) {
      const std::size_t n = size(me.id(), d);
      std::byte* bytes = out.to(d).extend(n);
      for (std::size_t i = 0; i < n; ++i) bytes[i] = content(me.id(), d, i);
    }
    const Inbox in = me.exchange(std::move(out));
    for (int s = 0; s < machines; ++s) {
      const auto bytes = in.bytes_from(s);
      ASSERT_EQ(bytes.size(), size(s, me.id())) << "round " << round << " from " << s;
      for (std::size_t i = 0; i < bytes.size(); ++i) ASSERT_EQ(bytes[i], content(s, me.id(), i));
    }
  }
  // Streams of many small chunks, and of none.
  for (int round = 0; round < 3; ++round) {
    std::vector<std::uint64_t> sums(static_cast<std::size_t>(machines), 0);
    const auto n = [&](int s, int d) { return static_cast<std::uint64_t>((s * 7 + d * 3 + round) % 5) * 60; };
    me.stream(
        [&](Stream& out) {
          for (std::uint64_t i = 0; i < 240; ++i) {
            for (int d = 0; d < machines; ++d) {
              if (i < n(me.id(), d)) out.to(d).put(i + 1);
            }
          }
        },
        [&](int source, Reader reader) {
          while (!reader.empty()) sums[static_cast<std::size_t>(source)] += reader.get<std::uint64_t>();
        },
        {.chunk_bytes = 200});
    for (int s = 0; s < machines; ++s) {
      const std::uint64_t count = n(s, me.id());
      ASSERT_EQ(sums[static_cast<std::size_t>(s)], count * (count + 1) / 2);
    }
  }
  const auto value = [](int m) { return std::ldexp(1.0 + m, m * 7 % 50 - 25); };
  double sum = value(0);
  for (int m = 1; m < machines; ++m) sum += value(m);
  EXPECT_EQ(me.allreduce(value(me.id()), std::plus<>()), sum);
  EXPECT_EQ(me.exscan(std::uint64_t{1}, std::uint64_t{0}, std::plus<>()),
            static_cast<std::uint64_t>(me.id()));
  EXPECT_EQ(me.broadcast(me.id() * 3, machines - 1), (machines - 1) * 3);
  me.barrier();
}

// Counters only: times differ from run to run.
std::string counters(std::span<const Account> accounts) {
  std::vector<Account> copy(accounts.begin(), accounts.end());
  std::string text;
  for (auto& account : copy) {
    for (auto& s : account.supersteps) s.cpu_ns = s.wall_ns = s.wait_ns = 0;
    text += std::to_string(account.collectives) + " " + std::to_string(account.collective_bytes) + "\n";
  }
  return text + to_csv(copy);
}

Options mpi_options() {
  const char* per_rank = std::getenv("BALLAST_TEST_PER_RANK");
  return {.machines = 0,
          .transport = "mpi",
          .machines_per_rank = per_rank == nullptr ? 1 : std::atoi(per_rank),
          .faults = FaultScript::parse(std::getenv("BALLAST_TEST_FAULTS") ? std::getenv("BALLAST_TEST_FAULTS")
                                                                          : "")};
}

TEST(DISABLED_MpiJob, Traffic) {
  auto cluster = Cluster::open(mpi_options());
  for (int run = 0; run < 2; ++run) cluster.run(traffic);
  if (mpi_options().machines_per_rank == 1) {
    const auto total = cluster.accounts()[cluster.is_first() ? 0 : 1].total();
    if (cluster.machines() == 2) {
      EXPECT_EQ(g_sent_bytes, 2 * total.wire_out());
    }
    EXPECT_GT(g_sent_bytes, 0u);
  }
  if (cluster.is_first()) write_file(std::getenv("BALLAST_TEST_OUT"), counters(cluster.accounts()));
}

TEST(DISABLED_MpiJob, Fault) {
  auto cluster = Cluster::open(mpi_options());
  try {
    cluster.run(traffic);
    FAIL() << "nobody was lost";
  } catch (const Unavailable& error) {
    if (cluster.is_first()) write_file(std::getenv("BALLAST_TEST_OUT"), error.what());
  }
  EXPECT_NO_THROW(cluster.run(traffic));
}

// One rank throws while the others fill and take.
TEST(DISABLED_MpiJob, FailingStream) {
  auto cluster = Cluster::open(mpi_options());
  try {
    cluster.run([](Machine& me) {
      me.begin_stage("failing");
      me.stream(
          [&](Stream& out) {
            for (int i = 0; i < 2000; ++i) {
              out.to(i % me.machines()).put(std::uint64_t{7});
              if (me.id() == 1 && i == 1000) throw InvalidInput("rank 1 has had enough");
            }
          },
          [](int, Reader) {}, {.chunk_bytes = 64});
    });
    FAIL() << "nobody was lost";
  } catch (const std::exception& error) {
    if (cluster.is_first()) write_file(std::getenv("BALLAST_TEST_OUT"), error.what());
  }
  EXPECT_NO_THROW(cluster.run(traffic));
}

MpiJob mpirun(int ranks, int per_rank, const std::string& test, const std::string& faults = "") {
  return run_mpi_job(
      ranks, test,
      "BALLAST_TEST_PER_RANK=" + std::to_string(per_rank) + " BALLAST_TEST_FAULTS='" + faults + "'");
}

class Mpi : public testing::Test {
 protected:
  void SetUp() override {
    if (!mpirun_is_there()) GTEST_SKIP() << "mpirun is not installed (openmpi-bin)";
  }
};

TEST_F(Mpi, CountersAreThoseOfThreadsToTheByte) {
  for (const auto& [ranks, per_rank] : {std::pair{1, 3}, {2, 1}, {2, 4}, {3, 2}, {5, 1}}) {
    const MpiJob job = mpirun(ranks, per_rank, "Traffic");
    ASSERT_EQ(job.code, 0) << job.log;
    auto threads = Cluster::open({.machines = ranks * per_rank});
    threads.run(traffic);
    EXPECT_EQ(job.result, counters(threads.accounts())) << ranks << " ranks of " << per_rank;
  }
}

TEST_F(Mpi, ALostMachineIsNamedInEveryRankAndTheClusterRunsAgain) {
  for (int machine : {0, 3}) {  // the thread that makes the MPI calls, and one that does not
    const MpiJob job = mpirun(2, 2, "Fault", "kill " + std::to_string(machine) + " superstep=2");
    ASSERT_EQ(job.code, 0) << job.log;
    EXPECT_EQ(job.result, "machine " + std::to_string(machine) +
                              " was lost in stage 1, superstep 2: killed by the fault script");
  }
}

TEST_F(Mpi, ARankThatFailsInTheMiddleOfAStreamIsNamedAndTheClusterRunsAgain) {
  for (int ranks : {2, 4}) {
    const MpiJob job = mpirun(ranks, 1, "FailingStream");
    ASSERT_EQ(job.code, 0) << job.log;
    EXPECT_THAT(job.result, testing::HasSubstr("machine 1 was lost in stage 1, superstep 0: rank 1 has had"));
  }
}

TEST_F(Mpi, DamagedFramesAreFound) {
  const MpiJob job = mpirun(2, 1, "Fault", "corrupt 0 to=1 superstep=0");
  ASSERT_EQ(job.code, 0) << job.log;
  EXPECT_THAT(job.result, testing::HasSubstr("from machine 0 to machine 1"));
}

TEST(DISABLED_MpiJob, ThreadsUnderALauncher) {
  try {
    Cluster::open({.machines = 2});
    FAIL() << "two clusters beside each other";
  } catch (const InvalidInput& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("2 processes"));
  }
  Cluster::open({.machines = 2, .independent = true}).run(traffic);
}

TEST_F(Mpi, ThreadClustersUnderALauncherAreRefusedUnlessMeant) {
  const MpiJob job = run_mpi_job(2, "ThreadsUnderALauncher");
  EXPECT_EQ(job.code, 0) << job.log;
}

TEST_F(Mpi, AKilledProcessEndsTheJobWithAnError) {
  const MpiJob job = mpirun(2, 1, "Fault", "die 1 superstep=1");
  EXPECT_NE(job.code, 0);
  EXPECT_THAT(job.log, testing::ContainsRegex("rank 1"));
}

}  // namespace
}  // namespace ballast::cluster
