// A store that is written in stages and kept in checkpoints, while machines and MPI ranks die in the middle
// of a stage: what is restored and goes on ends with the bytes of an undisturbed run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "ballast/base/random.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/cluster/cluster.h"
#include "ballast/cluster/mpi_job.h"
#include "ballast/kv/store.h"

namespace ballast::kv {
namespace {

using cluster::Machine;

// Six stages of increments, a checkpoint after every second one; only the fifth is of td-orch, so that a
// script can name it. Goes on from the checkpoint that lies in `folder`; returns the bytes of all parts (in
// the first process).
std::string play(cluster::Options options, const std::string& folder) {
  constexpr std::uint64_t kStages = 6;
  auto cluster = cluster::Cluster::open(std::move(options));
  std::string all;
  cluster.run([&](Machine& me) {
    Store store(me);
    const cluster::Checkpoint checkpoint(folder);
    std::uint64_t stage = 0;
    if (const auto saved = checkpoint.load(me)) {
      stage = saved->stage;
      store.from_bytes(saved->state);
    }
    for (; stage < kStages; ++stage) {
      orch::Batch<Access> batch;
      Random random(stage, static_cast<std::uint64_t>(me.id()));
      for (int i = 0; i < 100; ++i)
        batch.add("key" + std::to_string(random.below(20)), add(static_cast<std::int64_t>(random.below(9))));
      orch::run(me, store, batch,
                {.method = stage == 4 ? orch::Method::td_orch : orch::Method::push, .fanout = "2"});
      const std::string state = store.to_bytes();
      if (stage % 2 == 1)
        checkpoint.save(me, stage + 1, std::as_bytes(std::span(state.data(), state.size())));
    }
    const std::string state = store.to_bytes();
    const auto parts = me.allgather_bytes(std::as_bytes(std::span(state.data(), state.size())));
    for (const auto& part : parts) {
      if (me.is_first()) all.append(reinterpret_cast<const char*>(part.data()), part.size());
    }
  });
  return all;
}

TEST(Checkpoint, RestoresAfterAMachineWasKilledInTheMiddleOfAStage) {
  const TemporaryFolder folder;
  const std::string undisturbed = play({.machines = 4}, folder.file("a"));
  try {
    play({.machines = 4, .faults = cluster::FaultScript::parse("kill 2 stage=td-orch superstep=1")},
         folder.file("b"));
    FAIL() << "nobody was killed";
  } catch (const cluster::MachineLost& lost) {
    EXPECT_EQ(lost.machine(), 2);
    EXPECT_EQ(lost.superstep(), 1u);
  }
  EXPECT_FALSE(undisturbed.empty());
  EXPECT_EQ(play({.machines = 4}, folder.file("b")), undisturbed);
}

// The body of the jobs below.
TEST(DISABLED_MpiJob, Plays) {
  const char* faults = std::getenv("BALLAST_TEST_FAULTS");
  std::string result;
  try {
    result = play({.machines = 0,
                   .transport = "mpi",
                   .faults = cluster::FaultScript::parse(faults == nullptr ? "" : faults)},
                  std::getenv("BALLAST_TEST_STATE"));
  } catch (const cluster::MachineLost& lost) {
    result = lost.what();
  }
  if (std::atoi(std::getenv("OMPI_COMM_WORLD_RANK")) == 0)
    write_file(std::getenv("BALLAST_TEST_OUT"), result);
}

class Mpi : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    if (!cluster::built_with_mpi()) GTEST_SKIP() << "built without MPI";
    if (!cluster::mpirun_is_there()) GTEST_SKIP() << "mpirun is not installed (openmpi-bin)";
  }
};

TEST_P(Mpi, ARankThatDiesInTheMiddleOfAStageEndsTheJobAndTheCheckpointGoesOn) {
  const TemporaryFolder folder;
  const std::string undisturbed = play({.machines = GetParam()}, folder.file("a"));
  const std::string state = "BALLAST_TEST_STATE=" + folder.file("b");
  // The process is gone: Open MPI ends the job and names the rank.
  const auto died = cluster::run_mpi_job(GetParam(), "Plays",
                                         state + " BALLAST_TEST_FAULTS='die 1 stage=td-orch superstep=1'");
  EXPECT_NE(died.code, 0);
  EXPECT_THAT(died.log, testing::HasSubstr("rank 1"));
  EXPECT_EQ(died.result, "");
  const auto resumed = cluster::run_mpi_job(GetParam(), "Plays", state);
  ASSERT_EQ(resumed.code, 0) << resumed.log;
  EXPECT_EQ(resumed.result, undisturbed);
}

TEST_P(Mpi, ARankThatFailsInTheMiddleOfAStageIsNamedInTheOthersAndTheCheckpointGoesOn) {
  const TemporaryFolder folder;
  const std::string undisturbed = play({.machines = GetParam()}, folder.file("a"));
  const std::string state = "BALLAST_TEST_STATE=" + folder.file("b");
  const auto failed = cluster::run_mpi_job(GetParam(), "Plays",
                                           state + " BALLAST_TEST_FAULTS='kill 1 stage=td-orch superstep=1'");
  ASSERT_EQ(failed.code, 0) << failed.log;
  EXPECT_THAT(failed.result, testing::StartsWith("machine 1 was lost"));
  EXPECT_THAT(failed.result, testing::HasSubstr("superstep 1"));
  const auto resumed = cluster::run_mpi_job(GetParam(), "Plays", state);
  ASSERT_EQ(resumed.code, 0) << resumed.log;
  EXPECT_EQ(resumed.result, undisturbed);
}

INSTANTIATE_TEST_SUITE_P(Ranks, Mpi, testing::Values(2, 4));

}  // namespace
}  // namespace ballast::kv
