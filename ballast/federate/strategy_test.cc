#include "ballast/federate/strategy.h"

#include <gtest/gtest.h>

#include <set>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"

namespace ballast::federate {
namespace {

ScoreStat stat(double error, std::uint64_t n = 1000) {
  return {.n = n,
          .loss_sum = error * static_cast<double>(n),
          .loss_sq_sum = 0,
          .correct = static_cast<std::uint64_t>(static_cast<double>(n) * (1 - error) + 0.5)};
}

// Scores drawn at random over many steps: whatever happens, every batch keeps one owner that exists, serving
// slots are trained, and merges leave no trace of the slots that they removed.
TEST(FedDrift, EveryBatchHasOneOwnerAfterAnyMergeSequence) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Random random(seed);
    const int clients = 2 + static_cast<int>(random.below(8));
    StrategySpec spec{.name = seed % 3 == 0   ? "feddrift_eager"
                              : seed % 3 == 1 ? "feddrift"
                                              : "feddrift_c",
                      .drift = {}};
    spec.drift.delta = 0.1;
    spec.drift.seed = seed;
    spec.drift.max_models = seed % 2 == 0 ? 4 : 0;
    const auto strategy = make_strategy(spec, ConceptPattern::stationary(clients, 12));
    for (int step = 0; step < 12; ++step) {
      const auto slots =
          strategy->begin_step({step, std::vector<std::uint64_t>(static_cast<std::size_t>(clients), 100)});
      ScoreTable scores(static_cast<std::size_t>(clients), std::vector<ScoreStat>(slots.size()));
      for (auto& row : scores) {
        for (auto& s : row) s = stat(random.uniform(0, 0.6));
      }
      strategy->on_scores(scores);
      const auto compared = strategy->cross_eval();
      if (!compared.empty()) {
        std::vector<std::vector<ScoreStat>> matrix(compared.size(), std::vector<ScoreStat>(compared.size()));
        for (auto& row : matrix) {
          for (auto& s : row) s = stat(random.uniform(0, 0.3));
        }
        strategy->on_cross_eval(matrix);
      }
      strategy->take_model_ops();
      if (strategy->wishes().trained_scores) {
        strategy->on_trained_scores(ScoreTable(static_cast<std::size_t>(clients), {stat(0.1)}));
      }
      const auto trained = strategy->training_slots();
      const std::set<SlotId> live(trained.begin(), trained.end());
      for (ClientId c = 0; c < clients; ++c) {
        EXPECT_TRUE(live.count(strategy->serving_slot(c)))
            << "seed " << seed << " step " << step << " client " << c;
        std::set<int> owned;
        for (SlotId slot = 0; slot < 64; ++slot) {
          for (const auto& batch : strategy->train_batches(slot, c)) {
            EXPECT_TRUE(owned.insert(batch.step).second) << "two owners, seed " << seed;
          }
        }
        EXPECT_TRUE(owned.count(step)) << "the newest batch has no owner, seed " << seed;
      }
    }
  }
}

// Two clients drift to two different concepts at once: FedDrift keeps them apart, Eager mixes them.
TEST(FedDrift, IsolatesWhatEagerMixes) {
  for (const std::string name : {"feddrift", "feddrift_eager"}) {
    StrategySpec spec{.name = name, .drift = {}};
    const auto strategy = make_strategy(spec, ConceptPattern::stationary(3, 3));
    strategy->begin_step({0, {100, 100, 100}});
    strategy->on_scores({});
    strategy->on_trained_scores({{stat(0.05)}, {stat(0.05)}, {stat(0.05)}});
    strategy->begin_step({1, {100, 100, 100}});
    strategy->on_scores({{stat(0.05)}, {stat(0.9)}, {stat(0.9)}});
    EXPECT_EQ(strategy->serving_slot(0), 0);
    EXPECT_EQ(strategy->serving_slot(1) == strategy->serving_slot(2), name == "feddrift_eager");
    EXPECT_NE(strategy->serving_slot(1), 0);
  }
}

TEST(FedDrift, MergesWhatTurnsOutToBeOneConcept) {
  StrategySpec spec{.name = "feddrift", .drift = {}};
  const auto strategy = make_strategy(spec, ConceptPattern::stationary(3, 3));
  strategy->begin_step({0, {100, 100, 100}});
  strategy->on_scores({});
  strategy->on_trained_scores({{stat(0.05)}, {stat(0.05)}, {stat(0.05)}});
  strategy->begin_step({1, {100, 100, 100}});
  strategy->on_scores({{stat(0.05)}, {stat(0.9)}, {stat(0.9)}});
  const auto active = strategy->begin_step({2, {100, 100, 100}});
  ASSERT_EQ(active, (std::vector<SlotId>{0, 1, 2}));
  // Both new models do well on both new clients' data.
  strategy->on_scores({{stat(0.05), stat(0.9), stat(0.9)},
                       {stat(0.9), stat(0.05), stat(0.06)},
                       {stat(0.9), stat(0.06), stat(0.05)}});
  ASSERT_EQ(strategy->cross_eval(), active);
  strategy->take_model_ops();
  strategy->on_cross_eval({{stat(0.05), stat(0.9), stat(0.9)},
                           {stat(0.9), stat(0.05), stat(0.06)},
                           {stat(0.9), stat(0.06), stat(0.05)}});
  const auto ops = strategy->take_model_ops();
  ASSERT_EQ(ops.size(), 1u);
  EXPECT_EQ(ops[0].slot, 1);
  EXPECT_EQ(ops[0].sources, (std::vector<SlotId>{1, 2}));
  EXPECT_EQ(ops[0].weights, (std::vector<double>{200, 200}));  // steps 1 and 2 of one client each
  EXPECT_EQ(strategy->serving_slot(1), 1);
  EXPECT_EQ(strategy->serving_slot(2), 1);
}

// With three slots in all, a drift evicts the idle one in the middle of a step: clients that come after it
// must still get the model that their scores name, and never the evicted one.
TEST(FedDrift, EvictionInAStepLeavesOtherClientsTheirModels) {
  StrategySpec spec{.name = "feddrift", .drift = {}};
  spec.drift.max_models = 3;
  const auto strategy = make_strategy(spec, ConceptPattern::stationary(4, 4));
  const auto step = [&](int number, const ScoreTable& scores) {
    strategy->begin_step({number, {100, 100, 100, 100}});
    strategy->on_scores(scores);
  };
  const auto row = [](double a, double b, double c) {
    return std::vector<ScoreStat>{stat(a), stat(b), stat(c)};
  };
  step(0, {});
  strategy->on_trained_scores({{stat(0.05)}, {stat(0.05)}, {stat(0.05)}, {stat(0.05)}});
  step(1, {{stat(0.9)}, {stat(0.9)}, {stat(0.05)}, {stat(0.05)}});
  ASSERT_EQ(strategy->serving_slot(0), 1);
  ASSERT_EQ(strategy->serving_slot(1), 2);
  for (int settled : {2, 3}) {  // baselines come down, and slot 0 falls idle
    step(settled, {row(0.9, 0.05, 0.9), row(0.9, 0.9, 0.05), row(0.9, 0.05, 0.9), row(0.9, 0.05, 0.9)});
  }
  step(4, {row(0.9, 0.7, 0.8), row(0.9, 0.05, 0.9), row(0.9, 0.9, 0.05), row(0.02, 0.05, 0.9)});
  EXPECT_EQ(strategy->serving_slot(0), 0);  // the evicted slot, opened anew
  EXPECT_EQ(strategy->serving_slot(1), 1);
  EXPECT_EQ(strategy->serving_slot(2), 2);
  EXPECT_EQ(strategy->serving_slot(3), 1);
}

TEST(Strategies, UnknownNamesAndOptionsAreRefused) {
  const auto pattern = ConceptPattern::stationary(2, 2);
  EXPECT_THROW(make_strategy({.name = "feddrif", .drift = {}}, pattern), InvalidInput);
  StrategySpec negative;
  negative.drift.delta = -1;
  EXPECT_THROW(make_strategy(negative, pattern), InvalidInput);
  StrategySpec isolation;
  isolation.drift.isolation_steps = 0;
  EXPECT_THROW(make_strategy(isolation, pattern), InvalidInput);
}

}  // namespace
}  // namespace ballast::federate
