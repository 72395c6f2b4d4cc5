#include "ballast/federate/secure_round.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "ballast/base/errors.h"
#include "ballast/federate/client_runtime.h"
#include "ballast/federate/coordinator.h"

namespace ballast::federate {
namespace {

class Store : public ClientStore {
 public:
  explicit Store(const Samples& samples) : samples_(samples) {}
  const Samples* batch(int) override { return &samples_; }

 private:
  const Samples& samples_;
};

/// Clients in one process that fall silent from a phase on.
class Sites {
 public:
  explicit Sites(int clients, int samples = 60)
      : federation_(make_federation({.name = "sine", .samples = samples, .seed = 4},
                                    ConceptPattern::stationary(clients, 1))),
        shape_(config_.shape(2, 2)),
        start_(fresh_params(shape_, 1, 1)),
        trainer_(shape_) {
    config_.local_steps = 10;
    for (int c = 0; c < clients; ++c) stores_.emplace_back(federation_.batch(c, 0));
    for (int c = 0; c < clients; ++c)
      runtimes_.emplace_back(shape_, config_, stores_[static_cast<std::size_t>(c)]);
    for (int c = 0; c < clients; ++c) {
      ClientTask task;
      task.phase = Phase::train;
      task.client = c;
      task.trains = {{.slot = 0, .batches = {{0, 1.0}}}};
      tasks.push_back(task);
    }
  }
  void perform(const std::vector<ClientTask>& asked, const std::function<void(ClientResult&)>& sink) {
    for (const ClientTask& task : asked) {
      ClientResult result;
      result.client = task.client;
      const auto silent = silent_from.find(task.client);
      // The order of phases in a round: keys, share, train, open.
      const auto order = [](Phase phase) {
        return phase == Phase::secure_keys    ? 0
               : phase == Phase::secure_share ? 1
               : phase == Phase::train        ? 2
                                              : 3;
      };
      if (silent == silent_from.end() || order(task.phase) < order(silent->second))
        result = runtimes_[static_cast<std::size_t>(task.client)].perform(
            task, [&](SlotId) -> const Params& { return start_; }, trainer_);
      sink(result);
    }
  }
  /// The whole round; means by slot.
  std::map<SlotId, Params> round() {
    SecureRound secure(
        tasks, [&](const auto& asked, const auto& sink) { perform(asked, sink); },
        [&](SlotId, ClientId client, const TrainJob&) {
          return static_cast<double>(federation_.batch(client, 0).size());
        });
    perform(tasks, [&](ClientResult& result) {
      if (!result.absent) {
        for (const Trained& trained : result.trained) EXPECT_TRUE(trained.payload.empty());
        secure.take(result);
      }
    });
    auto means = secure.open();
    given_up = secure.given_up();
    return means;
  }
  /// The plain quantised sum of some clients' updates, as the exact answer.
  Params plain_mean(const std::set<int>& clients) {
    MaskedVector sum(shape_.size() + 1, 0);
    for (int c : clients) {
      ClientRuntime fresh(shape_, config_, stores_[static_cast<std::size_t>(c)]);
      ClientTask task;
      task.phase = Phase::train;
      task.client = c;
      task.trains = {{.slot = 0, .batches = {{0, 1.0}}}};
      const auto result = fresh.perform(
          task, [&](SlotId) -> const Params& { return start_; }, trainer_);
      Params params(shape_.size());
      std::memcpy(params.data(), result.trained.at(0).payload.data(), params.size() * sizeof(float));
      const auto samples = static_cast<double>(federation_.batch(c, 0).size());
      const MaskedVector values = quantise(params, samples, samples);
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += values[i];
    }
    return dequantise_mean(sum, clients.size());
  }
  std::vector<ClientTask> tasks;
  std::map<int, Phase> silent_from;
  std::vector<SlotId> given_up;

 private:
  RunConfig config_;
  Federation federation_;
  ModelShape shape_;
  Params start_;
  Trainer trainer_;
  std::vector<Store> stores_;
  std::vector<ClientRuntime> runtimes_;
};

// Oracle 14, inside a round: whoever falls silent in whichever exchange, the sum of those who came through is
// exact.
TEST(SecureRound, DropoutsInEveryExchangeLeaveTheExactSum) {
  for (const auto& [silent, survivors] : std::vector<std::pair<std::map<int, Phase>, std::set<int>>>{
           {{}, {0, 1, 2, 3, 4, 5, 6}},
           {{{2, Phase::secure_keys}}, {0, 1, 3, 4, 5, 6}},
           {{{6, Phase::secure_share}}, {0, 1, 2, 3, 4, 5}},
           {{{0, Phase::train}, {3, Phase::train}}, {1, 2, 4, 5, 6}},
           {{{1, Phase::secure_keys}, {5, Phase::train}}, {0, 2, 3, 4, 6}},
           {{{5, Phase::secure_open}, {6, Phase::secure_open}}, {0, 1, 2, 3, 4, 5, 6}}}) {
    Sites sites(7);
    sites.silent_from = silent;
    const auto means = sites.round();
    ASSERT_EQ(means.size(), 1u) << silent.size() << " silent";
    EXPECT_EQ(means.at(0), sites.plain_mean(survivors)) << silent.size() << " silent";
    EXPECT_TRUE(sites.given_up.empty());
  }
}

TEST(SecureRound, OneDropoutTooManyOpensNothing) {
  Sites sites(7);  // four shares open a secret, and nobody holds one of its own: five must come through
  for (int c : {0, 1, 2}) sites.silent_from[c] = Phase::train;
  EXPECT_TRUE(sites.round().empty());
  EXPECT_EQ(sites.given_up, std::vector<SlotId>{0});
  Sites late(7);
  for (int c : {0, 1, 2}) late.silent_from[c] = Phase::secure_open;
  EXPECT_TRUE(late.round().empty());
  EXPECT_EQ(late.given_up, std::vector<SlotId>{0});
}

TEST(SecureRound, TwoClientsAreNotSummed) {
  Sites sites(2);
  EXPECT_TRUE(sites.round().empty());
  EXPECT_TRUE(sites.tasks.empty());  // nobody trained what could not be hidden
  EXPECT_EQ(sites.given_up, std::vector<SlotId>{0});
}

RunLog simulated(bool secure, const FaultConfig& faults = {}) {
  const auto federation =
      make_federation({.name = "sine", .samples = 200, .seed = 2}, ConceptPattern::named("A").first_steps(5));
  RunConfig config;
  config.rounds = 20;
  config.local_steps = 20;
  config.secure = secure;
  config.faults = faults;
  StrategySpec spec{.name = "feddrift", .drift = {.delta = 0.2}};
  const auto strategy = make_strategy(spec, federation.pattern());
  return run(federation, *strategy, config);
}

TEST(SecureRound, FedDriftLearnsTheSameThroughSecureSums) {
  const RunLog plain = simulated(false), secure = simulated(true), again = simulated(true);
  EXPECT_NEAR(secure.accuracy(), plain.accuracy(), 0.02);
  EXPECT_GT(secure.rand_index(), 0.9);
  EXPECT_EQ(secure.parameters, again.parameters);  // masks are random, sums are not
  EXPECT_GT(secure.ledger.secure_up, 0u);
  EXPECT_GT(simulated(true, {.churn = 0.1, .stragglers = 0.1}).accuracy(), plain.accuracy() - 0.05);
}

TEST(SecureRound, ContradictionsAreRefused) {
  for (int kind = 0; kind < 4; ++kind) {
    RunConfig config;
    config.secure = true;
    if (kind == 0) config.aggregator = Aggregator::from_string("median");
    if (kind == 1) config.compression = Compression::from_string("int8");
    if (kind == 2) config.privacy = {.clip = 1, .noise = 1, .adaptive = true};
    if (kind == 3) config.faults.sign_flip = 0.1;
    EXPECT_THROW(config.check(), InvalidInput) << kind;
  }
}

}  // namespace
}  // namespace ballast::federate
