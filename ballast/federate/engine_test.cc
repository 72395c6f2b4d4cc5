#include "ballast/federate/engine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "ballast/base/errors.h"

namespace ballast::federate {
namespace {

RunConfig smoke() {
  RunConfig config;
  config.rounds = 10;
  config.local_steps = 5;
  return config;
}

Federation small(const std::string& data, const ConceptPattern& pattern, std::uint64_t seed = 1) {
  return make_federation({.name = data, .samples = 100, .seed = seed}, pattern);
}

RunLog run_named(const Federation& federation, const std::string& name, const RunConfig& config,
                 double delta = 0.1) {
  StrategySpec spec{.name = name, .drift = {}};
  spec.drift.delta = delta;
  const auto strategy = make_strategy(spec, federation.pattern());
  return run(federation, *strategy, config);
}

// Oracle 1 of the method: a threshold that is never passed makes FedDrift one model on all data, bit for bit.
TEST(Engine, InfiniteDeltaIsOblivious) {
  const auto federation = small("circle", ConceptPattern::named("A").first_steps(4));
  const auto plain = run_named(federation, "oblivious", smoke());
  for (const char* name : {"feddrift", "feddrift_eager", "feddrift_c"}) {
    const auto log = run_named(federation, name, smoke(), std::numeric_limits<double>::infinity());
    EXPECT_EQ(log.parameters, plain.parameters) << name;
    EXPECT_EQ(log.accuracy(), plain.accuracy()) << name;
  }
}

TEST(Engine, OneConceptMakesOracleAndObliviousEqual) {
  const auto federation = small("sine", ConceptPattern::stationary(4, 3));
  EXPECT_EQ(run_named(federation, "oracle", smoke()).parameters,
            run_named(federation, "oblivious", smoke()).parameters);
}

TEST(Engine, OneClientIsPlainLocalTraining) {
  const auto federation = small("sine", ConceptPattern::stationary(1, 2));
  EXPECT_EQ(run_named(federation, "oblivious", smoke()).parameters,
            run_named(federation, "local", smoke()).parameters);
}

TEST(Engine, SameBitsForEveryNumberOfThreads) {
  const auto federation = small("sea", ConceptPattern::named("B").first_steps(4));
  RunConfig config = smoke();
  config.threads = 1;
  const auto one = run_named(federation, "feddrift", config, 0.04);
  for (int threads : {2, 5}) {
    config.threads = threads;
    const auto many = run_named(federation, "feddrift", config, 0.04);
    EXPECT_EQ(one.parameters, many.parameters);
    EXPECT_EQ(one.serving, many.serving);
  }
}

// SINE's second concept reverses all labels: a single model cannot serve both, and FedDrift must find the
// two.
TEST(Engine, FedDriftFindsTheConceptsOfSine) {
  const auto federation =
      make_federation({.name = "sine", .samples = 300, .seed = 2}, ConceptPattern::named("A"));
  RunConfig config;
  config.rounds = 20;
  config.local_steps = 20;
  const auto oracle = run_named(federation, "oracle", config),
             drift = run_named(federation, "feddrift", config, 0.2),
             single = run_named(federation, "oblivious", config);
  EXPECT_GT(drift.rand_index(), 0.95);
  EXPECT_GT(drift.accuracy(), single.accuracy() + 0.2);
  EXPECT_GT((drift.accuracy() - single.accuracy()) / (oracle.accuracy() - single.accuracy()), 0.9);
  EXPECT_GT(drift.ledger.total(), single.ledger.total());
}

TEST(Engine, BadBudgetsAreRefused) {
  const auto federation = small("sine", ConceptPattern::stationary(2, 1));
  RunConfig config = smoke();
  config.batch = 0;
  EXPECT_THROW(run_named(federation, "oblivious", config), InvalidInput);
}

}  // namespace
}  // namespace ballast::federate
