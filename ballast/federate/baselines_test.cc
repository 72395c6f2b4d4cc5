#include "ballast/federate/baselines.h"

#include <gtest/gtest.h>

#include "ballast/cluster/cluster.h"
#include "ballast/federate/coordinator.h"
#include "ballast/federate/engine.h"

namespace ballast::federate {
namespace {

RunConfig smoke() {
  RunConfig config;
  config.rounds = 6;
  config.local_steps = 5;
  return config;
}

RunLog run_named(const std::string& name, const Federation& federation, const RunConfig& config) {
  StrategySpec spec{.name = name, .drift = {.delta = 0.2}, .data = federation.name()};
  const auto strategy = make_strategy(spec, federation.pattern());
  return run(federation, *strategy, config);
}

Federation small() {
  return make_federation({.name = "sine", .samples = 100, .seed = 4},
                         ConceptPattern::named("A").first_steps(5));
}

// Every strategy: state written after any phase and read into a fresh object ends in the same bits.
TEST(Baselines, EveryStrategyGoesOnFromAnyPhase) {
  const auto federation = small();
  const RunConfig config = smoke();
  for (const auto& name : strategy_names()) {
    const auto whole = run_named(name, federation, config);
    ASSERT_EQ(whole.prequential.size(), 5u) << name;
    EXPECT_GT(whole.accuracy(), 0.4) << name;

    // The same tasks, answered by runtimes that are kept, with the coordinator replaced every third phase.
    class Store : public ClientStore {
     public:
      Store(const Federation& f, int c) : federation_(f), client_(c) {}
      const Samples* batch(int step) override { return &federation_.batch(client_, step); }

     private:
      const Federation& federation_;
      int client_;
    };
    class OneThread : public Workforce {
     public:
      OneThread(const Federation& f, const RunConfig& c)
          : shape_{f.features(), 2 * f.features(), f.classes()}, trainer_(shape_) {
        stores_.reserve(static_cast<std::size_t>(f.clients()));
        for (int i = 0; i < f.clients(); ++i) {
          stores_.emplace_back(f, i);
          runtimes_.emplace_back(shape_, c, stores_.back());
        }
      }
      void perform(const std::vector<ClientTask>& tasks, const ModelStore& models, bool,
                   const Sink& sink) override {
        for (const auto& task : tasks) {
          const auto copy = from_bytes<ClientTask>(to_bytes(task));
          auto result = runtimes_[static_cast<std::size_t>(task.client)].perform(
              copy, [&](SlotId s) -> const Params& { return models.params.at(static_cast<std::size_t>(s)); },
              trainer_);
          auto sent = from_bytes<ClientResult>(to_bytes(result));
          sink(sent);
        }
      }

     private:
      ModelShape shape_;
      Trainer trainer_;
      std::vector<Store> stores_;
      std::vector<ClientRuntime> runtimes_;
    };
    OneThread workforce(federation, config);
    const Problem problem{federation.features(), federation.classes(), federation.clients(),
                          federation.steps()};
    StrategySpec spec{.name = name, .drift = {.delta = 0.2}, .data = federation.name()};
    auto strategy = make_strategy(spec, federation.pattern());
    auto coordinator = std::make_unique<Coordinator>(*strategy, config, problem, workforce);
    for (int phase = 1; coordinator->advance(); ++phase) {
      if (phase % 3 != 0) continue;
      Archive saved;
      coordinator->archive(saved);
      auto fresh = make_strategy(spec, federation.pattern());
      auto next = std::make_unique<Coordinator>(*fresh, config, problem, workforce);
      Archive stored(saved.bytes());
      next->archive(stored);
      stored.expect_end();
      coordinator = std::move(next);
      strategy = std::move(fresh);
    }
    const RunLog log = coordinator->take_log();
    EXPECT_EQ(log.parameters, whole.parameters) << name;
    EXPECT_EQ(log.prequential, whole.prequential) << name;
    EXPECT_EQ(log.serving, whole.serving) << name;
  }
}

// Oracle 7, threads against the machines of a cluster (the transport is threads here; mpi_transport is tested
// in cluster and by the program test).
TEST(Engines, SameBitsOnOneTwoAndFourMachines) {
  const auto federation = small();
  RunConfig config = smoke();
  config.threads = 1;
  for (const std::string name : {"feddrift", "cfl", "kue"}) {
    const auto one = run_named(name, federation, config);
    for (int machines : {1, 2, 4}) {
      auto cluster = cluster::Cluster::open({.machines = machines});
      cluster.run([&](cluster::Machine& machine) {
        StrategySpec spec{.name = name, .drift = {.delta = 0.2}, .data = "sine"};
        const auto strategy = make_strategy(spec, federation.pattern());
        const auto log = run_on(machine, federation, *strategy, config);
        EXPECT_EQ(log.parameters, one.parameters) << name << " on " << machines;
        EXPECT_EQ(log.prequential, one.prequential);
        EXPECT_EQ(log.ledger.total(), one.ledger.total());
      });
    }
  }
}

TEST(Engines, LocalSlotsChangeBytesOnly) {
  const auto federation = small();
  RunConfig config = smoke();
  const auto with = run_named("feddrift", federation, config);
  config.local_slots = false;
  const auto without = run_named("feddrift", federation, config);
  EXPECT_EQ(with.parameters, without.parameters);
  EXPECT_LT(with.ledger.models_up, without.ledger.models_up);
}

// The ablation switches of FedDrift are different methods: each must run, keep its invariants, and (on data
// whose second concept is the reverse) stay far above one model for all.
TEST(Switches, EachStillFindsTheConcepts) {
  const auto federation =
      make_federation({.name = "sine", .samples = 200, .seed = 2}, ConceptPattern::named("A").first_steps(6));
  RunConfig config;
  config.rounds = 20;
  config.local_steps = 10;
  const double single = run_named("oblivious", federation, config).accuracy();
  const std::vector<std::pair<std::string, std::function<void(FedDriftOptions&)>>> switches = {
      {"merge_first", [](auto& o) { o.merge_first = true; }},
      {"baseline now", [](auto& o) { o.baseline = "now"; }},
      {"baseline reference", [](auto& o) { o.baseline = "reference"; }},
      {"detector ddm", [](auto& o) { o.detector = "ddm"; }},
      {"W 2", [](auto& o) { o.isolation_steps = 2; }},
      {"random start", [](auto& o) { o.init_new = "random"; }},
      {"per client", [](auto& o) { o.init = "per_client"; }},
      {"history 3", [](auto& o) { o.history = 3; }},
      {"keep data", [](auto& o) { o.keep_one = o.keep_data = true; }},
      {"four slots", [](auto& o) {
         o.max_models = 4;
         o.random_eviction = true;
       }}};
  for (const auto& [what, change] : switches) {
    StrategySpec spec{.name = "feddrift", .drift = {.delta = 0.2}};
    change(spec.drift);
    spec.name = spec.drift.keep_one ? "feddrift_c" : "feddrift";
    const auto strategy = make_strategy(spec, federation.pattern());
    EXPECT_GT(run(federation, *strategy, config).accuracy(), single + 0.1) << what;
  }
  config.holdout = true;
  StrategySpec spec{.name = "feddrift", .drift = {.delta = 0.2, .baseline = "holdout"}};
  const auto strategy = make_strategy(spec, federation.pattern());
  EXPECT_GT(run(federation, *strategy, config).accuracy(), single + 0.1);
}

}  // namespace
}  // namespace ballast::federate
