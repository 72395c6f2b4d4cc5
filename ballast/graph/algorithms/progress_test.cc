// Long runs that are cut short, and PageRank that sends changes only.
#include "ballast/graph/algorithms/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ballast/graph/generate.h"
#include "ballast/graph/run.h"
#include "ballast/graph/test_support.h"

namespace ballast::graph {
namespace {

class Progressing : public ::testing::TestWithParam<const char*> {};

TEST_P(Progressing, AKilledRunEndsWithTheBitsOfAnUndisturbedOne) {
  const std::string algorithm = GetParam();
  const EdgeList list = Generator({.kind = "kron", .scale = 8}).all();
  const testing::Scratch scratch;
  Job job{.algorithm = algorithm, .cluster = {.machines = 3}};
  job.parameters.rank.iterations = 9;
  job.parameters.iterations = 9;
  job.parameters.sources = {1, 2, 3, 4, 5};
  const JobReport undisturbed = run_job(*source_of(list), job);
  job.parameters.progress = {.folder = scratch.file("state"), .every = 2};
  // In the middle: a superstep that lies behind the first checkpoint.
  const auto superstep = undisturbed.supersteps * 2 / 3;
  job.cluster.faults =
      cluster::FaultScript::parse("kill 1 stage=" + algorithm + " superstep=" + std::to_string(superstep));
  EXPECT_THROW(run_job(*source_of(list), job), Unavailable);
  job.cluster.faults = {};
  job.parameters.progress.resume = true;
  const JobReport resumed = run_job(*source_of(list), job);
  EXPECT_EQ(resumed.result.reals, undisturbed.result.reals);
  EXPECT_EQ(resumed.result.integers, undisturbed.result.integers);
  EXPECT_LT(resumed.supersteps, undisturbed.supersteps) << "it did not start anew";
  // Another graph is refused with the reason.
  const EdgeList other = Generator({.kind = "kron", .scale = 7}).all();
  EXPECT_THROW(run_job(*source_of(other), job), InvalidInput);
}

INSTANTIATE_TEST_SUITE_P(Algorithms, Progressing, ::testing::Values("pr", "cdlp", "bc"));

TEST(Progressing, IsForLongRunsOnly) {
  const EdgeList list = Generator({.kind = "path", .scale = 4}).all();
  Job job{.algorithm = "bfs", .cluster = {.machines = 2}};
  job.parameters.progress.folder = "anywhere";
  EXPECT_THROW(run_job(*source_of(list), job), InvalidInput);
  job.algorithm = "pr";
  job.parameters.progress.every = 0;
  EXPECT_THROW(run_job(*source_of(list), job), InvalidInput);
}

TEST(DeltaPageRank, SendsLessAndIsOffByNoMoreThanItSays) {
  const EdgeList list = Generator({.kind = "kron", .scale = 10}).all();
  for (const char* partition : {"tdo", "oec"}) {
    Job job{.algorithm = "pr", .cluster = {.machines = 4}};
    job.engine.partition = partition_from_string(partition);
    job.parameters.rank.iterations = 40;
    const JobReport plain = run_job(*source_of(list), job);
    const auto off_by = [&](double send_above, std::uint64_t* visited) {
      job.parameters.rank.send_above = send_above;
      const JobReport report = run_job(*source_of(list), job);
      *visited = report.counts.edges_visited;
      double sum = 0;
      for (std::size_t v = 0; v < plain.result.reals.size(); ++v)
        sum += std::abs(report.result.reals[v] - plain.result.reals[v]);
      return sum;
    };
    std::uint64_t exact = 0, loose = 0;
    EXPECT_LE(off_by(0, &exact), 1e-12);
    const double allowed = 1e-3;
    EXPECT_LE(off_by(allowed, &loose), allowed * 0.85 / 0.15);
    EXPECT_LT(loose * 2, plain.counts.edges_visited);
  }
}

}  // namespace
}  // namespace ballast::graph
