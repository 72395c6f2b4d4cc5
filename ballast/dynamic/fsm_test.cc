#include "ballast/dynamic/fsm.h"

#include <gtest/gtest.h>

#include <deque>

#include "ballast/base/errors.h"
#include "ballast/dynamic/workloads.h"

namespace ballast::dynamic {
namespace {

/// Mini-batches of a workload: two to learn from, two to choose by, two unseen.
struct Data {
  explicit Data(const std::string& name, int instances = 16) {
    for (std::uint64_t g = 0; g < 6; ++g) {
      graphs.push_back(make_workload(name, instances, 3, g * static_cast<std::uint64_t>(instances)));
      structures.emplace_back(graphs.back());
    }
  }
  std::vector<const Structure*> from(std::size_t first) const {
    return {&structures[first], &structures[first + 1]};
  }
  std::deque<Graph> graphs;
  std::deque<Structure> structures;
};

// On trees the learned machine reaches the lower bound on unseen data, where the heuristics do not.
TEST(Fsm, ReachesTheBoundOnTrees) {
  const Data data("tree");
  LearnOptions options;
  options.iterations = 200;
  const Learned learned = learn_best(data.from(0), data.from(2), options);
  for (const Structure* unseen : data.from(4)) {
    FsmPolicy policy(learned.table);
    const Schedule batches = schedule(*unseen, policy);
    EXPECT_EQ(check_schedule(unseen->graph, batches), "");
    EXPECT_EQ(batches.size(), unseen->lower_bound);
    EXPECT_GT(schedule_by_name(*unseen, "agenda").size(), unseen->lower_bound);
  }
}

TEST(Fsm, SameSeedSameTable) {
  const Data data("lattice", 4);
  LearnOptions options;
  options.iterations = 60;
  const auto once = learn(data.from(0), data.from(2), Encoding::sort, options),
             again = learn(data.from(0), data.from(2), Encoding::sort, options);
  EXPECT_EQ(once.table.to_json(), again.table.to_json());
}

TEST(Fsm, FilesRoundTripAndOtherModelsAreRefused) {
  const Data data("tree", 4);
  LearnOptions options;
  options.iterations = 50;
  const FsmTable table = learn(data.from(0), data.from(2), Encoding::max, options).table;
  const auto& types = data.graphs[0].types();
  EXPECT_EQ(FsmTable::from_json(table.to_json(), types, "p").to_json(), table.to_json());
  EXPECT_THROW(FsmTable::from_json(table.to_json(), {"other"}, "p"), InvalidInput);
  Json broken = table.to_json();
  broken.erase("table");
  EXPECT_THROW(FsmTable::from_json(broken, types, "p"), InvalidInput);
  Json stray = table.to_json();
  stray["table"][0]["action"] = 99;
  EXPECT_THROW(FsmTable::from_json(stray, types, "p"), InvalidInput);
  EXPECT_THROW(FsmTable::from_json(Json::parse("[1]"), types, "p"), InvalidInput);
}

// A machine that knows nothing still runs everything, by its fall-back, and says how often it was asked in
// vain.
TEST(Fsm, UnseenStatesFallBackToAgenda) {
  const Data data("lattice", 2);
  const FsmTable empty{Encoding::base, data.graphs[0].types(), {}};
  FsmPolicy policy(empty);
  const Schedule batches = schedule(data.structures[0], policy);
  EXPECT_EQ(check_schedule(data.graphs[0], batches), "");
  EXPECT_EQ(policy.misses(), policy.decisions());
  EXPECT_EQ(batches.size(), schedule_by_name(data.structures[0], "agenda").size());
}

}  // namespace
}  // namespace ballast::dynamic
