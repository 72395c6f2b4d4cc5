// Every benchmark in every implementation: the graph starts in a child process, answers over DDS, and the
// answer passes its functional check; a check that is given a wrong answer fails.
#include <gtest/gtest.h>

#include "ballast/robot/benchmarks/session.h"

namespace ballast::robot {
namespace {

class EveryBenchmark : public ::testing::TestWithParam<std::string> {};

TEST_P(EveryBenchmark, AnswersRightAndIsCaughtWhenWrong) {
  const auto& benchmark = find_benchmark(GetParam());
  const ros::PrivateDomain domain;
  for (const auto& slot : benchmark.slots) {
    SessionOptions options{.slot = slot, .iterations = 0, .size = Size::test};
    options.context.domain_id = domain.id();
    const auto result = run_session(benchmark, options);
    EXPECT_TRUE(result.check.passed) << benchmark.id << " " << slot << ": " << result.check.what << " "
                                     << result.check.value << " (limit " << result.check.limit << ")";
  }
  // No answer is a wrong answer.
  EXPECT_FALSE(benchmark.check(benchmark.input(Size::test, 1), benchmark.slots[0], {}, {}).passed);
}

std::vector<std::string> ids() {
  std::vector<std::string> result;
  for (const auto& benchmark : benchmarks()) result.push_back(benchmark.id);
  return result;
}

INSTANTIATE_TEST_SUITE_P(Ids, EveryBenchmark, ::testing::ValuesIn(ids()),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace ballast::robot
